"""Remarks: what a reader must know before any number, such as a setting that reaches nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import CLASSES, Made, make_ledger
from scipy import stats

from ferray.analysis.chance import chance_sentences
from ferray.analysis.divergence import divergence_claims
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
    for figure in ("validation_macro_f1", "penalty", "train_accuracy"):  # figures on test may be sealed, and are not compared
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


def test_divergences_that_are_at_hand_are_not_judged_again(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=4, epochs=2, images=40, outcome={("dnn", seed): "diverged" for seed in range(3)})
    results = Results.load(tmp_path, "report")
    claims = divergence_claims(results)
    assert remarks(results, claims) == remarks(results) == [claims[0].sentence]
    assert remarks(results, []) == []


def one_answer(made: Made, answers: dict[tuple[str, int, int], int], images: int) -> None:
    """Makes trials (variant, sample, seed) answer one class for every image, and their recorded accuracy what follows from it."""
    (evaluation,) = (made.path / "data").glob("*/evaluation.npz")
    with np.load(evaluation) as arrays:
        labels = arrays["validation_labels"]
    for trial, answer in answers.items():
        folder = made.path / "trials" / made.keys[trial]
        if (folder / "predictions.npz").exists():
            with np.load(folder / "predictions.npz") as arrays:
                own = dict(arrays)
            own["validation_selected"] = np.full((images, 7), 0.1, np.float32)
            own["validation_selected"][:, answer] = 0.4
            np.savez(folder / "predictions.npz", allow_pickle=False, **own)
        rows = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
        for row in rows:
            row["validation_accuracy"] = float((labels == answer).mean())
        (folder / "epochs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


TWO: dict[str, tuple[dict[str, Any], list[str]]] = {"cnn": ({}, []), "dnn": ({"model": "dnn"}, [])}


def test_trials_that_answer_one_class_for_every_image_are_counted_by_variant(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants=TWO, seeds=4, epochs=3, images=200)
    one_answer(made, {("dnn", 0, 1): 3, ("dnn", 0, 3): 3, ("cnn", 0, 2): 0}, 200)
    cnn, dnn = remarks(Results.load(tmp_path, "report"))
    assert cnn == (
        "1 of 4 finished trials of cnn (seed 2) answers 'angry' for every image of the public test set: it has learned to tell no class "
        "from another, and enters every mean and interval of cnn all the same."
    )
    assert dnn == (
        "2 of 4 finished trials of dnn (seeds 1 and 3) answer 'happy' for every image of the public test set: they have learned to tell no "
        "class from another, and enter every mean and interval of dnn all the same."
    )


def test_a_variant_of_fixed_answers_only_is_said_to_have_their_accuracy(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants=ONE, seeds=2, epochs=3, images=200)
    one_answer(made, {("cnn", 0, 0): 3, ("cnn", 0, 1): 4}, 200)
    (sentence,) = remarks(Results.load(tmp_path, "report"))
    assert "2 of 2 finished trials of cnn (seeds 0 and 1) answer one class ('happy' or 'sad') for every image" in sentence
    assert sentence.endswith("and the accuracy of cnn is that of a fixed answer.")


def test_of_a_search_only_the_chosen_samples_are_looked_at_for_fixed_answers(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants=ONE, samples=[{"l1": 0.1}, {"l1": 0.2}], seeds=2, epochs=3, images=200)
    one_answer(made, {("cnn", 1, 0): 3, ("cnn", 1, 1): 3}, 200)
    assert remarks(Results.load(tmp_path, "report")) == []


@pytest.mark.parametrize(("images", "fate"), [(19, "finished"), (200, "diverged"), (200, "failed")])
def test_few_images_and_trials_that_did_not_finish_are_no_fixed_answers(tmp_path: Path, images: int, fate: str) -> None:
    made = make_ledger(tmp_path, variants=ONE, seeds=2, epochs=3, images=images, outcome={("cnn", 0): fate})
    one_answer(made, {("cnn", 0, 0): 3}, images)
    assert remarks(Results.load(tmp_path, "report")) == []


def test_a_network_that_is_only_as_often_right_as_a_fixed_answer_is_not_called_one(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants=ONE, seeds=2, epochs=3, images=200)
    file = tmp_path / "trials" / made.keys["cnn", 0, 0] / "predictions.npz"
    honest = file.read_bytes()
    one_answer(made, {("cnn", 0, 0): 3}, 200)
    assert len(remarks(Results.load(tmp_path, "report"))) == 1
    file.write_bytes(honest)
    assert remarks(Results.load(tmp_path, "report")) == []


def test_one_answer_is_right_where_the_validation_set_has_one_class(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants=ONE, seeds=2, epochs=3, images=200)
    one_answer(made, {("cnn", 0, 0): 3}, 200)
    assert len(remarks(Results.load(tmp_path, "report"))) == 1
    (evaluation,) = (tmp_path / "data").glob("*/evaluation.npz")
    with np.load(evaluation) as arrays:
        own = dict(arrays)
    np.savez(evaluation, allow_pickle=False, **{**own, "validation_labels": np.full(200, 3)})
    one_answer(made, {("cnn", 0, 0): 3}, 200)
    assert remarks(Results.load(tmp_path, "report")) == []


def reached(made: Made, split: str, accuracies: dict[tuple[str, int], float]) -> None:
    """Gives trainings (variant, seed) an accuracy in percent on a split, the same in every epoch."""
    for (variant, seed), accuracy in accuracies.items():
        file = made.path / "trials" / made.keys[variant, 0, seed] / "epochs.jsonl"
        rows = [{**json.loads(line), f"{split}_accuracy": accuracy / 100} for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def chance_remarks(path: Path, accuracies: Sequence[float], *, variant: str = "cnn", split: str = "test") -> list[str]:
    """The remarks on a study of two variants, one of which reaches these accuracies; a quarter of its images is of the largest class."""
    made = make_ledger(path, variants=TWO, seeds=len(accuracies), epochs=3, images=40)
    data = json.loads((path / "studies" / "report" / "study.json").read_text())
    for own in ("validation", "test"):
        data["data"]["counts"][own] = dict.fromkeys(CLASSES, 5) | {"happy": 10}
    (path / "studies" / "report" / "study.json").write_text(json.dumps(data))
    reached(made, split, {(variant, seed): accuracy for seed, accuracy in enumerate(accuracies)})
    return remarks(Results.load(path, "report"))


def test_a_baseline_whose_interval_holds_the_share_of_the_largest_class_is_remarked_on(tmp_path: Path) -> None:
    accuracies = (25.0, 25.0, 35.0, 51.0)
    mean, (low, high) = 34.0, stats.t.interval(0.95, 3, loc=34, scale=stats.sem(accuracies))
    assert low < 25 < high
    assert chance_remarks(tmp_path, accuracies) == [
        f"Baseline 'cnn' ({mean:.1f} %, 95 % interval {low:.1f} to {high:.1f} over 4 seeds) is not told apart from always answering the "
        "largest class (25.0 % of the private test set): what is taken away from a network that has not learned says little."
    ]


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        ((40.0, 41.0, 42.0), None),
        ((25.1, 25.1, 25.1), None),
        ((25.0, 25.0, 25.0), "(25.0 %, 95 % interval 25.0 (all equal) over 3 seeds) is not told apart from"),
        ((25.0 - 1e-13, 25.0 + 1e-13, 25.0 + 1e-13), "over 3 seeds) is not told apart from"),
        ((20.0, 20.5, 21.0), "over 3 seeds) is worse than"),
        ((26.0, 24.5), None),
        ((26.0, 24.0), "(25.0 %, 2 seeds) is no better than"),
        ((26.0,), None),
        ((12.0,), "(12.0 %, 1 seed) is no better than"),
    ],
)
def test_the_interval_judges_the_baseline_from_three_seeds_on_and_its_mean_before(
    tmp_path: Path, accuracies: tuple[float, ...], words: str | None
) -> None:
    told = chance_remarks(tmp_path, accuracies)
    assert len(told) == (words is not None)
    assert words is None or f"{words} always answering the largest class (25.0 % of" in told[0]


def test_other_variants_and_other_splits_may_be_no_better_than_the_largest_class(tmp_path: Path) -> None:
    assert chance_remarks(tmp_path / "variant", (25.0, 25.0, 25.0), variant="dnn") == []
    assert chance_remarks(tmp_path / "split", (25.0, 25.0, 25.0), split="validation") == []


def test_a_baseline_without_a_finished_training_is_not_judged(tmp_path: Path) -> None:
    outcome = {("cnn", seed): "running" for seed in range(2)}
    make_ledger(tmp_path, variants=TWO, seeds=2, epochs=3, outcome=outcome, quality_of=lambda variant, sample: 0.1)
    assert chance_sentences(Results.load(tmp_path, "report")) == []
