"""Exported networks: the right trial, the same probabilities, everything beside them that a user needs, and no surprises."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import make_ledger
from safetensors.numpy import load_file
from studies import tiny

from ferray import export, export_trial, load_model
from ferray.errors import DataError, LedgerError, ModelError
from ferray.ledger import Ledger, catalog, openings
from ferray.ledger.catalog import Filters
from ferray.ledger.rerun import rerun
from ferray.running.runner import run
from ferray.study import Study
from ferray.trained_model import Model

BASE = {"width": 0.05, "epochs": 2, "batch_size": 32, "precision": "fp32"}
VARIANTS: dict[str, Any] = {
    "standardized": {"input_normalization": "standardize"},
    "dense": {"model": "dnn", "width": 0.2, "input_normalization": "per_image"},
    "bf16": {"precision": "bf16"},
}
NETWORK = """
from torch import nn
from parts import hidden

def make(in_channels, num_classes, units=4):
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(in_channels * 36, units), hidden(), nn.Linear(units, num_classes))
"""


def silent(_: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger with a study of every variant, which the tests only read."""
    storage = tmp_path_factory.mktemp("trained")
    study = tiny(base=BASE, variants=VARIANTS, ablate=None, seeds=1)
    assert run(study, storage, local=True, say=silent).statuses == {"finished": 4}
    return Ledger(storage)


def key_of(ledger: Ledger, variant: str) -> str:
    (entry,) = catalog.select(ledger, Filters(variants=[variant]))
    return entry.key


def copied(ledger: Ledger, place: Path) -> Ledger:
    return Ledger(shutil.copytree(ledger.path, place))


@pytest.mark.parametrize("variant", ["baseline", *VARIANTS])
def test_an_exported_network_gives_the_probabilities_of_the_training(variant: str, trained: Ledger, tmp_path: Path) -> None:
    key = key_of(trained, variant)
    exported = export_trial(key[:10], trained.path, tmp_path / "model")
    assert exported.key == key
    assert exported.notes[1].startswith("verified: its probabilities of 35 validation images")
    images = trained.evaluation(trained.trial(key)["data"])["test_images"]
    before = (trained.predictions(key) or {})["test_selected"]
    found = load_model(tmp_path / "model").probabilities(images)
    np.testing.assert_allclose(found, before, atol=1e-6)
    assert found.dtype == np.float32


def test_the_description_holds_what_a_user_needs(trained: Ledger, tmp_path: Path) -> None:
    key = key_of(trained, "standardized")
    export_trial(key, trained.path, tmp_path)
    said = json.loads((tmp_path / "model.json").read_text())
    train = tiny().load_data().train.images
    normalization = said["preprocessing"].pop("input_normalization")
    assert normalization["kind"] == "standardize"
    assert normalization["mean"] == pytest.approx([train.mean()])
    assert normalization["deviation"] == pytest.approx([train.std()])
    assert said["preprocessing"] == {"channels": 1, "height": 48, "width": 48, "pixels": "0..255", "resize": "crop"}
    assert said["classes"][3] == "happy"
    row = trained.epochs(key)[said["epoch"] - 1]
    assert said["accuracy"]["validation"] == {"accuracy": row["validation_accuracy"], "macro_f1": row["validation_macro_f1"], "n": 35}
    assert said["accuracy"]["test"]["n"] == 35
    assert said["config"] == trained.trial(key)["config"]
    assert (said["key"], said["trained_with"]["ferray"], said["code"]) == (key, "0.1.0", {})
    tensors = load_file(tmp_path / "model.safetensors")
    assert {"input.mean", "input.deviation", "output.weight"} <= set(tensors)
    assert f"from trial {key}" in (tmp_path / "README.txt").read_text()


def test_an_export_opens_the_test_figures_of_its_trial_unless_it_only_helped_to_tune(trained: Ledger, tmp_path: Path) -> None:
    ledger = copied(trained, tmp_path / "copy")
    ledger.openings_file("tiny").unlink(missing_ok=True)  # by exports of other tests
    key, other = key_of(ledger, "standardized"), key_of(ledger, "baseline")
    export_trial(key, ledger.path, tmp_path / "final")
    (line,) = openings.read(ledger, "tiny")
    assert (line.who, line.keys, line.configurations) == ("export", (key,), ("standardized",))
    file = ledger.study_file("tiny")
    document = json.loads(file.read_text())
    document["plan"] = [{**one, "phase": "tuning"} if one["key"] == other else one for one in document["plan"]]
    file.write_text(json.dumps(document))
    export_trial(other, ledger.path, tmp_path / "tuning")
    assert list(json.loads((tmp_path / "tuning" / "model.json").read_text())["accuracy"]) == ["validation"]
    assert len(openings.read(ledger, "tiny")) == 1


def test_of_a_study_the_best_on_validation_is_taken_whatever_the_test_says(tmp_path: Path) -> None:
    make_ledger(tmp_path, outcome={("cnn", 0): "failed"}, epochs=6)
    ledger = Ledger(tmp_path)
    finished = {entry.key: entry for entry in catalog.entries(ledger) if entry.status == "finished"}
    best = max(finished.values(), key=lambda entry: entry.accuracy or 0.0)
    entry, choice = export.find(ledger, "report")
    assert entry == best
    assert f"the highest of {len(finished)} finished trials of report, and so too high" in choice
    assert "test set selected nothing" in choice
    assert "of its own" not in choice
    entry, _ = export.find(ledger, "report/dnn")
    assert entry.accuracy == max(one.accuracy or 0.0 for one in finished.values() if one.places[0].variant == "dnn")


@pytest.mark.parametrize("seeds", [1, 3])
def test_where_seeds_draw_their_validation_images_the_choice_says_so(tmp_path: Path, seeds: int) -> None:
    make_ledger(tmp_path, seeds=seeds, epochs=2, images=60, shape=(1, 8, 8), redrawn=True)
    _, choice = export.find(Ledger(tmp_path), "report")
    assert ("finished trials of report, each seed judged on images of its own, and so too high" in choice) == (seeds > 1)


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("tine", "no trial's key begins with 'tine'.*did you mean 'tiny'"),
        ("tiny/baselin", "no variant is called 'baselin'; did you mean 'baseline'"),
        ("tine/baseline", "did you mean 'tiny'"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest(which: str, message: str, trained: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ValueError if "variant" in message else LedgerError, match=message):
        export_trial(which, trained.path, tmp_path)


def test_a_trial_that_has_not_finished_has_no_network(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, outcome={("cnn", 0): "failed", ("cnn", 1): "running"}, epochs=4)
    for seed, status in ((0, "failed"), (1, "interrupted")):
        with pytest.raises(LedgerError, match=f"is {status}, so there is no trained network"):
            export_trial(made.keys["cnn", 0, seed], tmp_path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_without_kept_weights_it_says_how_to_get_them_and_that_works(tmp_path: Path) -> None:
    study = tiny(base=BASE, ablate=None, seeds=1, keep_weights=False)
    run(study, tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    (entry,) = catalog.entries(ledger)
    with pytest.raises(LedgerError, match=f"kept no weights.*python -m ferray.ledger rerun {entry.key[:12]} --keep-weights"):
        export_trial(entry.key, tmp_path, tmp_path / "model")
    rerun(ledger, [entry], keep_weights=True, local=True, say=silent)
    assert export_trial(entry.key, tmp_path, tmp_path / "model").notes[1].startswith("verified")


def test_damaged_weights_are_refused(trained: Ledger, tmp_path: Path) -> None:
    ledger = copied(trained, tmp_path / "ledger")
    key = key_of(ledger, "baseline")
    content = bytearray(ledger.weights_file(key).read_bytes())
    content[-1] ^= 1
    ledger.weights_file(key).write_bytes(content)
    with pytest.raises(LedgerError, match=r"weights.safetensors is damaged"):
        export_trial(key, ledger.path, tmp_path / "model")


def test_a_network_that_is_not_the_trained_one_is_refused(trained: Ledger, tmp_path: Path) -> None:
    ledger = copied(trained, tmp_path / "ledger")
    key = key_of(ledger, "baseline")
    other = {name: np.roll(values, 1, axis=1) for name, values in (ledger.predictions(key) or {}).items()}
    np.savez(ledger.predictions_file(key), allow_pickle=False, **other)
    with pytest.raises(ModelError, match="is not the one that was trained"):
        export_trial(key, ledger.path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_without_images_of_the_right_size_it_says_that_nothing_was_verified(trained: Ledger, tmp_path: Path) -> None:
    ledger = copied(trained, tmp_path / "ledger")
    key = key_of(ledger, "baseline")
    file = ledger.data_folder(ledger.trial(key)["data"]) / "evaluation.npz"
    arrays = ledger.evaluation(ledger.trial(key)["data"])
    np.savez(file, allow_pickle=False, **{**arrays, "validation_images": arrays["validation_images"][:, :, ::2, ::2]})
    assert export_trial(key, ledger.path, tmp_path / "one").notes[1].startswith("not verified: the ledger keeps")
    file.unlink()
    assert export_trial(key, ledger.path, tmp_path / "two").notes[1].startswith("not verified")


def test_a_folder_with_anything_else_is_left_alone(trained: Ledger, tmp_path: Path) -> None:
    key = key_of(trained, "baseline")
    export_trial(key, trained.path, tmp_path / "model")
    export_trial(key, trained.path, tmp_path / "model")
    with pytest.raises(ModelError, match=f"holds the network of trial {key}"):
        export_trial(key_of(trained, "dense"), trained.path, tmp_path / "model")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").touch()
    with pytest.raises(ModelError, match="holds other files"):
        export_trial(key, trained.path, tmp_path / "thesis")
    with pytest.raises(ModelError, match="is a file"):
        export_trial(key, trained.path, tmp_path / "thesis" / "chapter.txt")
    with pytest.raises(ModelError, match="cannot write"):
        export_trial(key, trained.path, tmp_path / "thesis" / "chapter.txt" / "below")


def test_a_users_own_network_takes_its_source_along(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "parts.py").write_text("from torch import nn\n\ndef hidden():\n    return nn.Tanh()\n")
    file = tmp_path / "own.yaml"
    file.write_text(
        "data: {source: synthetic, images: 140}\n"
        "base: {model: ./network.py:make, model_arguments: {units: 5}, epochs: 1, precision: fp32, input_normalization: standardize}\n"
    )
    storage = tmp_path / "ledger"
    assert run(Study.load(file), storage, local=True, say=silent).statuses == {"finished": 1}
    (tmp_path / "network.py").write_text("raise RuntimeError('edited since')")
    (tmp_path / "parts.py").unlink()
    exported = export_trial("own", storage, tmp_path / "model")
    assert exported.notes[1].startswith("verified")
    assert (tmp_path / "model" / "code" / "network.py").read_text() == NETWORK
    assert (tmp_path / "model" / "code" / "parts.py").exists()
    ledger = Ledger(storage)
    images = ledger.evaluation(ledger.trial(exported.key)["data"])["test_images"]
    moved = (tmp_path / "model").rename(tmp_path / "elsewhere")
    before = (ledger.predictions(exported.key) or {})["test_selected"]
    np.testing.assert_allclose(load_model(moved).probabilities(images), before, atol=1e-6)


def test_onnx_computes_the_same_from_pixels_for_any_number_of_images(trained: Ledger, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    exported = export_trial("tiny/standardized", trained.path, tmp_path / "model", onnx=True)
    assert exported.notes[2].startswith("model.onnx and torch, both in float32, differ by at most")
    file = tmp_path / "model" / "model.onnx"
    onnx.checker.check_model(str(file))
    session = onnxruntime.InferenceSession(str(file))
    network = load_model(tmp_path / "model")
    images = trained.evaluation(network.description["data"]["fingerprint"])["test_images"]
    for n in (1, 2, 35):
        (found,) = session.run(None, {"images": images[:n].astype(np.float32)})
        np.testing.assert_allclose(found, network.probabilities(images[:n]), atol=1e-5)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(network.classes)
    alone = load_model(shutil.copy(file, tmp_path / "alone.onnx"))
    assert alone.classes == network.classes
    np.testing.assert_allclose(alone.probabilities(images, batch_size=8), network.probabilities(images), atol=1e-5)


def test_onnx_that_is_not_installed_is_told(trained: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ModelError, match=r"pip install -c constraints.txt -e '.\[onnx\]'"):
        export_trial("tiny/dense", trained.path, tmp_path / "model", onnx=True)
    assert not (tmp_path / "model").exists()


@pytest.fixture
def folder(trained: Ledger, tmp_path: Path) -> Path:
    return export_trial("tiny/dense", trained.path, tmp_path / "model").folder


def test_what_is_no_exported_network_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no exported network"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    with pytest.raises(ModelError, match="is no network that ferray exported"):
        load_model(tmp_path / "bad.onnx")
    text = (folder / "model.json").read_text()
    for content, message in (
        ("[]", "does not describe"),
        ("{", "cannot be read"),
        (text.replace('"format": 1', '"format": 9'), "format 9"),
    ):
        (folder / "model.json").write_text(content)
        with pytest.raises(ModelError, match=message):
            load_model(folder)


def test_weights_that_are_missing_changed_or_of_another_network_are_refused(folder: Path) -> None:
    said = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**said, "config": {**said["config"], "width": 0.5}}))
    with pytest.raises(ModelError, match="the weights do not fit the network 'dnn'"):
        load_model(folder)
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match="does not hold the weights"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        load_model(folder)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 1, 48, 48), np.float32), np.zeros((1, 48, 48), np.uint8), np.zeros((2, 3, 48, 48), np.uint8)]
)
def test_images_of_another_kind_are_refused(images: Any, folder: Path) -> None:
    with pytest.raises(DataError, match=r"must be uint8 \[n, 1, 48, 48\]"):
        load_model(folder).probabilities(images)


def test_the_size_of_batches_changes_nothing_and_no_images_have_no_probabilities(folder: Path) -> None:
    network = load_model(folder / "model.json")
    images = np.random.default_rng(0).integers(0, 256, (7, 1, 48, 48), np.uint8)
    np.testing.assert_allclose(network.probabilities(images, batch_size=2), network.probabilities(images), atol=1e-6)
    assert network.probabilities(images[:0]).shape == (0, 7)
    with pytest.raises(DataError, match="at least 1"):
        network.probabilities(images, batch_size=0)
    assert isinstance(network, Model)
