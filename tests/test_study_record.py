"""What the ledger keeps of a study whose seeds draw their validation splits, and that it is right for every trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studies import numbers, tiny

from ferray.analysis.results import Results
from ferray.export import export_trial
from ferray.ledger import Ledger, catalog
from ferray.ledger.rerun import rerun
from ferray.running.runner import run
from ferray.study import Study
from ferray.trained_model import load_model


def silent(_: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two classes, one brighter than the other, without any split."""
    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for label, count in (("dark", 30), ("light", 50)):
        (root / label).mkdir()
        for number in range(count):
            pixels = generator.integers(0, 180, (12, 12)) + (60 if label == "light" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{number}.png")
    return root


def of(folder: Path, **data: object) -> Study:
    return tiny(data={"path": str(folder), **data}, keep_weights=True)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    storage = tmp_path_factory.mktemp("trained")
    assert run(of(folder), storage, local=True, say=silent).statuses == {"finished": 4}
    return Ledger(storage)


def test_all_variants_of_a_seed_are_judged_on_the_images_that_it_drew(folder: Path, trained: Ledger, tmp_path: Path) -> None:
    data = of(folder).load_data()
    seen = set()
    for number, entry in enumerate(catalog.entries(trained)):
        assert entry.seed is not None
        model = load_model(export_trial(entry.key, trained.path, tmp_path / str(number)).folder)
        own = data.for_seed(entry.seed)
        predictions = trained.predictions(entry.key) or {}
        np.testing.assert_allclose(model.probabilities(own.validation.images), predictions["validation_selected"], atol=1e-5)
        np.testing.assert_allclose(model.probabilities(data.test.images), predictions["test_selected"], atol=1e-5)
        seen.add((entry.seed, own.validation.images.tobytes()))
    assert len(seen) == len({images for _, images in seen}) == 2


def test_figures_are_those_of_each_trials_own_images(trained: Ledger) -> None:
    results = Results.load(trained.path, "tiny")
    labels = results.labels("validation")
    assert labels is not None
    for row in results.trials.to_dict("records"):
        probabilities = results.probabilities(row["key"], "validation")
        assert probabilities is not None
        assert (probabilities.argmax(axis=1) == labels).mean() == pytest.approx(row["validation_accuracy"])
    assert "validation_images" not in trained.evaluation(results.data["fingerprint"])


def test_an_export_is_held_against_the_test_images(trained: Ledger, tmp_path: Path) -> None:
    told = export_trial("tiny", trained.path, tmp_path / "model").notes
    assert any(note.startswith("verified: its probabilities of 12 test images") for note in told)


def test_a_trial_runs_again_with_the_same_numbers(trained: Ledger) -> None:
    before = numbers(trained)
    (outcome,) = rerun(trained, catalog.entries(trained)[:1], local=True, say=silent)
    assert outcome.trained == 1
    assert numbers(trained) == before


def test_a_fixed_split_has_trials_of_its_own(folder: Path) -> None:
    keys = [{trial.key for trial in of(folder, validation_split=kind).plan()} for kind in ("seed", "fixed")]
    assert not keys[0] & keys[1]
