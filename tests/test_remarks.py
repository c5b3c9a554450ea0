"""Remarks: what a reader must know before any number, such as a setting that reaches nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from ledger_fixture import make_ledger

from ferray.analysis.remarks import notes as data_notes
from ferray.analysis.remarks import remarks
from ferray.analysis.results import Results
from ferray.analysis.twins import twin_sentences, twins

ONE: dict[str, tuple[dict[str, Any], list[str]]] = {"cnn": ({}, [])}


def test_a_setting_that_reaches_nothing_is_named_with_its_values(tmp_path: Path) -> None:
    draws = [{"l1": 0.0}, {"l1": 1e-4}, {"l1": 1e-3}]
    make_ledger(tmp_path, dead=("l1",), variants=ONE, samples=draws, seeds=2, epochs=3)
    results = Results.load(tmp_path, "report")
    (found,) = twins(results)
    assert dict(found.differing) == {"l1": (0.0, 1e-4, 1e-3)}
    assert [len(keys) for keys in found.groups] == [3, 3]
    assert found.trials == 6
    (sentence,) = remarks(results)
    assert sentence.startswith(
        "l1 reaches nothing here: 6 trials of cnn with different l1 (0, 0.0001 and 0.001) recorded exactly the same figures in every epoch"
    )


def test_an_argument_of_the_users_network_that_reaches_nothing_is_told_by_its_dotted_name(tmp_path: Path) -> None:
    variants: dict[str, tuple[dict[str, Any], list[str]]] = {
        name: ({"model": "./net.py:Net", "model_arguments": {"depth": depth}}, []) for name, depth in (("flat", 1), ("deep", 3))
    }
    make_ledger(tmp_path, dead=("model_arguments.depth",), variants=variants, seeds=1, epochs=3)
    (sentence,) = twin_sentences(Results.load(tmp_path, "report"))
    assert (
        "model_arguments.depth reaches nothing here: 2 trials of flat and deep with different model_arguments.depth (1 and 3)" in sentence
    )


def test_a_seed_that_changes_nothing_is_told_differently(tmp_path: Path) -> None:
    make_ledger(tmp_path, dead=("seed",), variants=ONE, seeds=3, epochs=3)
    (sentence,) = twin_sentences(Results.load(tmp_path, "report"))
    assert sentence.startswith("The seed changes nothing: 3 trials of cnn with different seeds (0, 1 and 2) recorded exactly the same")
    assert "one training several times over" in sentence


def test_one_figure_of_one_epoch_that_differs_makes_trials_different(tmp_path: Path) -> None:
    for figure in ("test_macro_f1", "penalty", "train_accuracy"):
        made = make_ledger(tmp_path / figure, dead=("seed",), variants=ONE, seeds=2, epochs=3)
        file = tmp_path / figure / "trials" / made.keys["cnn", 0, 1] / "epochs.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        rows[1][figure] = float(np.nextafter(rows[1][figure], 1))
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert twins(Results.load(tmp_path / figure, "report")) == []


def test_what_the_machine_or_a_setting_gives_is_no_difference(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, dead=("seed",), variants=ONE, seeds=2, epochs=3)
    file = tmp_path / "trials" / made.keys["cnn", 0, 1] / "epochs.jsonl"
    rows = [json.loads(line) | {"seconds": 7.5, "images_per_second": 1.0, "learning_rate": 0.5} for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(twins(Results.load(tmp_path, "report"))) == 1


def test_equal_trials_of_different_code_are_told_by_the_content_that_differs(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, dead=("seed",), variants={"own": ({"model": "./net.py:Net"}, [])}, seeds=2, epochs=3)
    for number, key in enumerate(made.keys.values()):
        file = tmp_path / "trials" / key / "trial.json"
        identity = json.loads(file.read_text())
        identity["config"]["seed"] = 0
        file.write_text(json.dumps({**identity, "files": {"model": f"{number}" * 64}}))
    (sentence,) = twin_sentences(Results.load(tmp_path, "report"))
    assert "the content of model reaches nothing here" in sentence


def test_unfinished_and_diverged_trials_are_not_compared(tmp_path: Path) -> None:
    for fate in ("running", "diverged"):
        outcome = {("cnn", 0): fate, ("cnn", 1): fate}
        made = make_ledger(tmp_path / fate, variants=ONE, seeds=2, epochs=4, outcome=outcome)
        first, second = (tmp_path / fate / "trials" / key for key in made.keys.values())
        shutil.copy(first / "epochs.jsonl", second / "epochs.jsonl")
        assert twins(Results.load(tmp_path / fate, "report")) == []


def test_a_missing_test_split_is_told_with_its_reason_and_what_follows(tmp_path: Path) -> None:
    make_ledger(tmp_path / "plain", test="unlabelled", seeds=1, epochs=2)
    (sentence,) = remarks(Results.load(tmp_path / "plain", "report"))
    assert sentence.startswith("There are no figures on the test set. The classes of its images are not known. Accuracies are therefore")
    assert "on which each trial's epoch was selected: they are optimistic" in sentence
    make_ledger(tmp_path / "search", test="absent", seeds=1, epochs=2, variants=ONE, samples=[{"l1": 0.1}, {"l1": 0.2}])
    (sentence,) = remarks(Results.load(tmp_path / "search", "report"))
    assert "each trial's epoch and each variant's sample were selected" in sentence


def test_near_identical_images_are_remarked_and_other_notes_are_not(tmp_path: Path) -> None:
    notes = ["images of 3 sizes were resized to 64 x 64 pixels", "2 near-identical images are in both training and test"]
    make_ledger(tmp_path, notes=notes, seeds=1, epochs=2)
    assert remarks(Results.load(tmp_path, "report")) == ["2 near-identical images are in both training and test."]


def test_a_study_in_order_has_no_remarks(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=2, epochs=2)
    assert remarks(Results.load(tmp_path, "report")) == []


def test_near_identical_images_of_a_part_are_said_to_be_counted_in_the_whole(tmp_path: Path) -> None:
    notes = ["3 of 900 test images are near-identical to a training image"]
    make_ledger(tmp_path / "whole", variants=ONE, seeds=1, epochs=2, notes=notes)
    make_ledger(tmp_path / "part", variants=ONE, seeds=1, epochs=2, notes=notes, subset=400)
    whole, part = (Results.load(tmp_path / name, "report") for name in ("whole", "part"))
    assert remarks(whole) == [f"{notes[0]}."]
    assert remarks(part) == [f"{notes[0]}. That is counted in the whole data set, of which this study takes a part."]
    assert data_notes(whole) == notes
    assert data_notes(part) == [*notes, "of the whole data set the study takes 400 training images, and the same share of the other splits"]
