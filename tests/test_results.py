"""Results: a ledger as data frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from ledger_fixture import CLASSES, PATH, Made, make_ledger

from ferray.analysis.results import METRICS, Results
from ferray.errors import LedgerError
from ferray.ledger import Ledger

OUTCOME = {
    ("dnn", 1): "failed",
    ("no augmentation", 2): "missing",
    ("no augmentation, input scaling", 0): "diverged",
    ("cnn", 2): "running",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), outcome=OUTCOME)


@pytest.fixture
def results(made: Made) -> Results:
    return Results.load(made.path, "report")


def test_there_is_a_row_for_every_planned_trial(results: Results, made: Made) -> None:
    trials = results.trials
    assert list(trials["key"]) == list(made.keys.values())
    status = {(row.variant, row.seed): row.status for row in trials.itertuples()}
    assert {place: status[place] for place in OUTCOME if place != ("cnn", 2)} == {
        place: fate for place, fate in OUTCOME.items() if place != ("cnn", 2)
    }
    assert status["cnn", 2] == "interrupted"
    assert status["cnn", 0] == "finished"


def test_a_trial_has_the_numbers_of_its_selected_and_its_last_epoch(results: Results, made: Made) -> None:
    key = made.keys["cnn", 0, 0]
    row = results.trials.set_index("key").loc[key]
    rows = [json.loads(line) for line in results.ledger.epochs_file(key).read_text().splitlines()]
    assert row["validation_accuracy"] == max(one["validation_accuracy"] for one in rows)
    assert row["test_macro_f1"] == rows[row["selected_epoch"] - 1]["test_macro_f1"]
    assert row["last_train_loss"] == rows[-1]["train_loss"]
    assert (row["epochs"], row["parameters"], row["config.augmentation.rotation"]) == (12, 1_919_079, 31.4)


def test_a_missing_trial_has_its_planned_settings_and_no_numbers(results: Results) -> None:
    row = results.trials[results.trials["status"] == "missing"].iloc[0]
    assert (row["variant"], row["seed"], row["config.seed"], row["config.augmentation.rotation"]) == ("no augmentation", 2, 2, 0.0)
    assert np.isnan(row["test_accuracy"])


def test_a_failed_trial_has_its_error(results: Results) -> None:
    row = results.trials[results.trials["status"] == "failed"].iloc[0]
    assert row["error"] == "RuntimeError: out of memory <while allocating>"


def test_there_is_a_row_for_every_recorded_epoch(results: Results, made: Made) -> None:
    epochs = results.epochs
    assert len(epochs[epochs["key"] == made.keys["cnn", 0, 0]]) == 12
    assert len(epochs[epochs["key"] == made.keys["cnn", 0, 2]]) == 4
    diverged = epochs[epochs["status"] == "diverged"]
    assert np.isnan(diverged["train_loss"].iloc[-1])


def test_there_is_a_row_for_every_image_of_a_trial_and_split(results: Results, made: Made) -> None:
    predictions = results.predictions
    finished = int((results.trials["status"] == "finished").sum())
    assert len(predictions) == finished * 2 * 160
    own = predictions[(predictions["key"] == made.keys["cnn", 0, 0]) & (predictions["split"] == "test")]
    accuracy = results.trials.set_index("key").loc[made.keys["cnn", 0, 0], "test_accuracy"]
    assert (own["label"] == own["predicted"]).mean() == pytest.approx(accuracy)
    assert own[list(CLASSES)].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert list(own["image"]) == list(range(160))


def test_frames_have_the_same_types_whatever_the_trials_have_left(results: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=1, outcome={(name, 0): "missing" for name in PATH})
    nothing = Results.load(tmp_path, "report")
    whole = ["sample", "seed", "selected_epoch", "epochs", "parameters", "attempts"]
    for one in (results, nothing):
        assert set(one.trials[whole].dtypes.astype(str)) == {"Int64"}
        assert set(one.trials[["seconds", *METRICS, "last_test_loss"]].dtypes.astype(str)) == {"float64"}
        assert set(one.predictions[list(CLASSES)].dtypes.astype(str)) == {"float32"}
        assert list(one.predictions["label"].cat.categories) == list(one.predictions["predicted"].cat.categories) == list(CLASSES)
    for name in ("epochs", "predictions"):
        full, empty = getattr(results, name), getattr(nothing, name)
        assert empty.empty
        assert list(full.columns) == list(empty.columns)
        numbers = [column for column in full if full[column].dtype.kind in "if"]
        assert full[numbers].dtypes.equals(empty[numbers].dtypes)


def test_a_trial_that_ends_while_it_is_read_is_no_damage(made: Made, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.path, tmp_path / "copy"))
    key, other = made.keys["cnn", 0, 2], made.keys["cnn", 0, 1]

    class Ending(Ledger):
        def epochs(self, asked: str) -> list[dict[str, Any]]:
            rows = super().epochs(asked)
            if asked == key:
                record = json.loads(self.record_file(other).read_text())
                self.record_file(key).write_text(json.dumps({**record, "key": key}))
            return rows

    results = Results.load(Ending(copy), "report")
    assert results.damaged == []
    assert results.trials.set_index("key").loc[key, ["status", "epochs"]].to_list() == ["interrupted", 4]


def test_a_finished_trial_without_predictions_is_named_and_a_failed_one_is_not(made: Made, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.path, tmp_path / "copy"))
    key = made.keys["cnn", 0, 0]
    (copy / "trials" / key / "predictions.npz").unlink()
    results = Results.load(copy, "report")
    assert key not in set(results.predictions["key"])
    assert [damage.key for damage in results.damaged] == [key]
    assert "predictions.npz is missing" in results.damaged[0].reason


def test_predictions_can_be_of_the_last_epoch_and_of_some_trials(results: Results, made: Made) -> None:
    frame = results.prediction_frame("last", [made.keys["dnn", 0, 0]])
    assert set(frame["variant"]) == {"dnn"}
    assert len(results.prediction_frame(keys=[])) == 0


def test_without_a_study_all_trials_of_the_ledger_are_there(made: Made) -> None:
    everything = Results.load(made.path)
    assert len(everything.trials) == 14
    assert set(everything.trials["study"]) == {"report"}
    assert len(everything.epochs) > 100
    assert len(everything.prediction_frame(keys=[made.keys["cnn", 0, 0]])) == 320
    with pytest.raises(LedgerError, match="needs one study"):
        _ = everything.baseline


def test_a_trial_of_no_study_keeps_its_seed(made: Made, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.path, tmp_path / "copy"))
    shutil.rmtree(copy / "studies")
    trials = Results.load(copy).trials
    assert set(trials["seed"]) == {0, 1, 2}
    assert trials["study"].isna().all()


def test_a_copied_folder_reads_the_same(made: Made, results: Results, tmp_path: Path) -> None:
    copy = Results.load(shutil.copytree(made.path, tmp_path / "copy"), "report")
    assert copy.trials.equals(results.trials)


def test_an_unknown_study_names_those_there_are_and_the_nearest(made: Made) -> None:
    with pytest.raises(LedgerError, match=r"no study 'raport'.*did you mean 'report'.*there: report"):
        Results.load(made.path, "raport")


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no storage folder"):
        Results.load(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("record.json", b"{"),
        ("record.json", b"[]"),
        ("record.json", b'{"key": "another", "status": "finished"}'),
        ("trial.json", b"\x00\x01"),
        ("epochs.jsonl", b'{"epoch": 1, "validation'),
        ("epochs.jsonl", b'{"epoch": 1}\n'),
    ],
)
def test_a_damaged_record_is_named_and_the_others_are_read(made: Made, tmp_path: Path, file: str, content: bytes) -> None:
    copy = Path(shutil.copytree(made.path, tmp_path / "copy"))
    key = made.keys["cnn", 0, 0]
    (copy / "trials" / key / file).write_bytes(content)
    results = Results.load(copy, "report")
    assert [damage.key for damage in results.damaged] == [key]
    assert results.damaged[0].reason
    status = results.trials.set_index("key")["status"]
    assert status[key] == "damaged"
    assert status[made.keys["cnn", 0, 1]] == "finished"
    assert not results.epochs.empty


def test_damaged_predictions_are_named_when_they_are_read(made: Made, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.path, tmp_path / "copy"))
    key = made.keys["cnn", 0, 0]
    (copy / "trials" / key / "predictions.npz").write_bytes(b"PK\x03\x04 not a zip")
    results = Results.load(copy, "report")
    assert results.probabilities(key, "test") is None
    assert results.probabilities(key, "test") is None
    assert [damage.key for damage in results.damaged] == [key]


def test_a_trial_whose_folder_was_made_a_moment_ago_is_no_damage(made: Made, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.path, tmp_path / "copy"))
    (copy / "trials" / made.keys["no augmentation", 0, 2]).mkdir()
    results = Results.load(copy, "report")
    assert results.damaged == []
    assert results.trials.set_index("key")["status"][made.keys["no augmentation", 0, 2]] == "interrupted"


def test_a_study_of_which_nothing_has_run_has_rows_all_the_same(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=1, variants={"cnn": ({}, [])}, outcome={("cnn", 0): "missing"})
    results = Results.load(made.path, "report")
    assert list(results.trials["status"]) == ["missing"]
    assert results.epochs.empty
    assert results.predictions.empty


@pytest.mark.parametrize(("test", "rows"), [("unlabelled", 2), ("absent", 1)])
def test_without_labelled_test_images_validation_is_told_first(tmp_path: Path, test: Literal["unlabelled", "absent"], rows: int) -> None:
    make_ledger(tmp_path, test=test, seeds=1, epochs=3, variants={"cnn": ({}, [])})
    results = Results.load(tmp_path, "report")
    assert (results.splits, results.headline, set(results.missing)) == (("validation",), "validation", {"test"})
    assert results.trials["test_accuracy"].isna().all()
    assert results.epochs["test_loss"].isna().all()
    assert results.trials["validation_accuracy"].notna().all()
    predictions = results.predictions
    assert len(predictions) == rows * 160
    assert predictions.loc[predictions["split"] == "test", "label"].isna().all()
    assert predictions.loc[predictions["split"] == "validation", "label"].notna().all()


def test_older_data_that_say_nothing_of_missing_splits_have_both(results: Results, tmp_path: Path) -> None:
    assert (results.splits, results.headline, results.missing) == (("validation", "test"), "test", {})
    assert results.votes("test") is None


def test_a_class_that_is_called_like_a_column_has_one_of_its_own(tmp_path: Path) -> None:
    make_ledger(tmp_path, classes=["label", "image", "cat"], seeds=1, epochs=2, variants={"cnn": ({}, [])})
    frame = Results.load(tmp_path, "report").predictions
    assert list(frame.columns[-3:]) == ["class label", "class image", "cat"]
    assert set(frame["label"].unique()) == {"label", "image", "cat"}


def test_of_a_validation_split_that_seeds_draw_there_are_labels_and_no_images(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, redrawn=True, votes=True, epochs=2, variants={"cnn": ({}, [])})
    results = Results.load(made.path, "report")
    labels = results.labels("validation")
    assert labels is not None
    assert results.images("validation") is None
    assert results.votes("validation") is None
    assert results.images("test") is not None
    assert results.redrawn("validation") == results.images_in("validation") / results.images_in("train")
    assert results.redrawn("test") is None
    told = results.predictions[results.predictions["split"] == "validation"]
    for _, own in told.groupby("seed"):
        assert list(own["label"]) == [CLASSES[label] for label in labels]


def test_settings_of_other_networks_are_columns_that_others_lack(tmp_path: Path) -> None:
    own = {"model": "./net.py:Net", "model_arguments": {"depth": 3, "head": {"units": 64}}}
    made = make_ledger(tmp_path, variants={"cnn": ({}, []), "own": (own, [])}, seeds=1, epochs=2, outcome={("own", 0): "missing"})
    trials = Results.load(tmp_path, "report").trials.set_index("variant")
    assert (trials.loc["own", "config.model_arguments.depth"], trials.loc["own", "config.model_arguments.head.units"]) == (3, 64)
    assert np.isnan(trials.loc["cnn", "config.model_arguments.depth"])
    assert np.isnan(trials.loc["own", "config.width"])
    assert trials.loc["own", "key"] == made.keys["own", 0, 0]


def test_a_split_of_fer2013_that_was_made_from_training_images_is_no_public_test(tmp_path: Path) -> None:
    notes = ["there is no validation split: 400 training images (15%, stratified by class, seed 0) became it"]
    make_ledger(tmp_path / "made", notes=notes, seeds=1, epochs=2, variants={"cnn": ({}, [])})
    make_ledger(tmp_path / "whole", seeds=1, epochs=2, variants={"cnn": ({}, [])})
    assert Results.load(tmp_path / "made", "report").split_labels == {"validation": "validation", "test": "test"}
    assert Results.load(tmp_path / "whole", "report").split_labels == {"validation": "public test", "test": "private test"}
