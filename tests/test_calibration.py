"""Calibration: oracles of scikit-learn and the bootstrap, planted over- and underconfidence, the bias of few images."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import Made, make_ledger
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from ferray.analysis.answers import answers
from ferray.analysis.calibration import BINS, CalibrationInfo, _measured, calibration_error, calibration_info, reliability
from ferray.analysis.calibration_claims import calibration_claims, difference_sentence, leaning_sentence
from ferray.analysis.figures import render
from ferray.analysis.reliability import calibration_table, draw_reliability
from ferray.analysis.results import Results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=4, images=600, outcome={("no augmentation", 2): "diverged"})


@pytest.fixture(scope="module")
def info(results: Results) -> CalibrationInfo:
    found = calibration_info(results)
    assert found is not None
    return found


def drawn(images: int, seed: int, sharpened: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities whose labels are drawn from them, and which then claim ``sharpened`` times the log odds."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (images, 5))
    odds = np.exp(logits)
    labels = (odds.cumsum(axis=1) / odds.sum(axis=1, keepdims=True) < generator.random((images, 1))).sum(axis=1)
    claimed = np.exp(sharpened * logits)
    return claimed / claimed.sum(axis=1, keepdims=True), labels


def test_the_reliability_diagram_is_scikit_learns() -> None:
    probabilities, labels = drawn(2000, seed=1)
    told = reliability(probabilities, labels)
    right = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=BINS, strategy="uniform")
    full = told.shares > 0
    assert told.shares.sum() == pytest.approx(1)
    assert told.accuracy[full] == pytest.approx(accuracy)
    assert told.confidence[full] == pytest.approx(confidence)
    assert calibration_error(probabilities, labels)[0] == pytest.approx(float(told.shares[full] @ np.abs(accuracy - confidence)))


def test_log_loss_and_brier_score_are_scikit_learns(info: CalibrationInfo, results: Results) -> None:
    labels = results.labels("test")
    assert labels is not None
    one = info.variants[0]
    tables = [results.probabilities(key, "test") for key in one.keys]
    wide = [table.astype(float) / table.astype(float).sum(axis=1, keepdims=True) for table in tables if table is not None]
    assert one.measured["loss"].points == pytest.approx([log_loss(labels, table) for table in wide], rel=1e-5)
    brier = [sum(brier_score_loss(labels == place, table[:, place]) for place in range(7)) for table in wide]
    assert one.measured["brier"].points == pytest.approx(brier, rel=1e-5)


def test_the_intervals_over_images_agree_with_the_bootstrap(info: CalibrationInfo, results: Results) -> None:
    labels = results.labels("test")
    assert labels is not None
    one, generator = info.variants[1], np.random.default_rng(0)
    tables = [table for key in one.keys if (table := results.probabilities(key, "test")) is not None]
    draws = generator.integers(0, len(labels), (300, len(labels)))
    errors = [np.mean([100 * calibration_error(table[draw], labels[draw])[0] for table in tables]) for draw in draws]
    assert 0.9 < one.measured["ece"].images.error / np.std(errors) < 1.3  # gaps whose sign the bootstrap turns make its spread smaller


def test_the_bias_of_few_images_is_taken_off() -> None:
    plain, corrected = [], []
    for seed in range(40):
        error, bias = calibration_error(*drawn(300, seed))
        plain.append(error)
        corrected.append(error - bias)
    assert np.mean(plain) > 0.04  # although these networks are calibrated perfectly
    assert abs(np.mean(corrected)) < 0.65 * np.mean(plain)
    truth = calibration_error(*drawn(100_000, 99, sharpened=2.0))[0]
    told = [calibration_error(*drawn(300, seed, sharpened=2.0)) for seed in range(40)]
    assert np.mean([error - bias for error, bias in told]) == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize(("sure", "word"), [(0.8, "overconfident"), (0.45, "underconfident")])
def test_planted_over_and_underconfidence_are_told_in_words(tmp_path: Path, sure: float, word: str) -> None:
    made = make_ledger(tmp_path, seeds=3, images=500, epochs=2, variants={"cnn": ({}, [])})
    labels = Results.load(tmp_path, "report").labels("test")
    assert labels is not None
    for seed in range(3):
        file = tmp_path / "trials" / made.keys["cnn", 0, seed] / "predictions.npz"
        arrays = dict(np.load(file))
        generator = np.random.default_rng(seed)
        right = generator.random(len(labels)) < 0.6
        answer = np.where(right, labels, (labels + 1) % 7)
        table = np.full((len(labels), 7), (1 - sure) / 6, np.float32)
        table[np.arange(len(labels)), answer] = sure
        np.savez(file, allow_pickle=False, **{**arrays, "test_selected": table})
    info = calibration_info(Results.load(tmp_path, "report"))
    assert info is not None
    assert info.variants[0].leaning == word
    claims = {claim.name: claim for claim in calibration_claims(info)}
    told = claims["calibration/cnn/test/overconfidence"].estimates["both"]
    assert told.excludes_zero
    assert told.mean == pytest.approx(100 * (sure - 0.6), abs=5)


def test_the_difference_to_the_baseline_is_paired_and_told_of_the_factor(info: CalibrationInfo) -> None:
    claims = {claim.name: claim for claim in calibration_claims(info)}
    assert len(claims) == 5 * 4 + 4 * 3
    own = claims["calibration/no augmentation beside cnn/test/loss"]
    assert (own.subject, own.compared) == ("augmentation", ("cnn", "no augmentation"))
    assert own.estimates["both"].mean > 0  # the network is better, its loss lower, with augmentation
    assert own.estimates["both"].n == 3  # the diverged seed has no pair
    free = claims["calibration/dnn beside cnn/test/loss"]
    assert (free.subject, free.compared) == ("dnn", ("dnn", "cnn"))
    assert free.estimates["both"].mean < 0
    assert free.p_adjusted < 0.01
    raw = [one.gained["loss"].both.p for one in info.variants if one.gained]
    assert all(claim.p_adjusted >= p for claim, p in zip((own, free), (raw[1], raw[0]), strict=True))


def test_two_seeds_decide_nothing_about_calibration(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=2, epochs=2)
    info = calibration_info(Results.load(tmp_path, "report"))
    assert info is not None
    told = [claim for claim in calibration_claims(info) if claim.compared]
    assert all(np.isnan(claim.p_adjusted) for claim in told)
    assert all("fewer than 3 seeds decide nothing" in claim.sentence for claim in told)


@pytest.mark.parametrize(
    ("mean", "p", "told"),
    [
        (-0.5, 0.3, "is not told apart from that of the baseline, cnn (+0.5 points, "),
        (-0.5, np.nan, "is not told apart from that of the baseline, cnn (+0.5 points, "),
        (-0.5, 0.05, "is not told apart from"),
        (-0.5, 0.01, "is larger than that of the baseline, cnn (+0.5 points, "),
        (0.5, 0.01, "is smaller than that of the baseline, cnn (\N{MINUS SIGN}0.5 points, "),
    ],
)
def test_only_p_says_that_a_calibration_error_is_larger(info: CalibrationInfo, mean: float, p: float, told: str) -> None:
    one = next(one for one in info.variants if one.gained)
    gained = one.gained["ece"]
    moved = replace(gained, both=replace(gained.both, mean=mean))
    sentence = difference_sentence(replace(one, gained={"ece": moved}, p_adjusted={"ece": p}), info)
    assert told in sentence
    assert "leaves open" not in sentence


def test_a_baseline_of_that_name_is_named_once(info: CalibrationInfo) -> None:
    one = next(one for one in info.variants if one.gained)
    assert "that of the baseline (" in difference_sentence(one, replace(info, baseline="baseline"))


def test_a_variant_that_is_the_baseline_over_again_is_as_large_and_not_of_too_few_seeds(tmp_path: Path) -> None:
    variants = {"cnn": ({}, []), "same": ({"augmentation.rotation": 0.0}, ["augmentation"])}
    make_ledger(tmp_path, variants=variants, seeds=4, images=200, epochs=2, shape=(1, 8, 8), dead=("augmentation.rotation",))
    found = calibration_info(Results.load(tmp_path, "report"))
    assert found is not None
    told = difference_sentence(found.variants[1], found)
    assert "is as large as that of the baseline" in told
    assert told.endswith("; all seeds show the same difference.")


def test_the_figure_and_the_table_have_every_variant(info: CalibrationInfo) -> None:
    assert [row[0] for row in calibration_table(info).rows] == [one.variant for one in info.variants]
    figure = draw_reliability(info)
    assert sum(axes.axison for axes in figure.axes) == 5


@pytest.mark.filterwarnings("error")
def test_the_figure_finds_room_where_no_bin_has_images_enough(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=2, epochs=2, images=60, shape=(1, 8, 8))
    found = calibration_info(Results.load(tmp_path, "report"))
    assert found is not None
    assert render("calibration", lambda: draw_reliability(found)).png


def test_without_predictions_there_is_no_calibration(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=1, epochs=2, variants={"cnn": ({}, [])}, outcome={("cnn", 0): "failed"})
    assert calibration_info(Results.load(tmp_path, "report")) is None


def test_an_image_that_stands_twice_changes_no_bias_of_the_calibration_error() -> None:
    probabilities, labels = drawn(300, seed=5)
    wide, tall, groups = np.concatenate([probabilities] * 2), np.tile(labels, 2), np.tile(np.arange(300), 2)
    assert calibration_error(wide, tall, groups=groups) == pytest.approx(calibration_error(probabilities, labels))
    assert calibration_error(wide, tall)[1] < 0.9 * calibration_error(probabilities, labels)[1]


def test_calibration_is_no_surer_for_images_that_stand_twice(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.path, tmp_path, dirs_exist_ok=True)
    (evaluation,) = (tmp_path / "data").glob("*/evaluation.npz")
    arrays = dict(np.load(evaluation))
    half = {name: np.concatenate([arrays[name][:300]] * 2) for name in ("test_images", "test_labels")}
    np.savez(evaluation, allow_pickle=False, **{**arrays, **half})
    for file in (tmp_path / "trials").glob("*/predictions.npz"):
        told = dict(np.load(file))
        np.savez(file, allow_pickle=False, **{**told, "test_selected": np.concatenate([told["test_selected"][:300]] * 2)})
    doubled = Results.load(tmp_path, "report")
    info, own = calibration_info(doubled), answers(doubled, "cnn", "test")
    assert info is not None
    assert own is not None
    once = replace(own, probabilities=own.probabilities[:, :300], labels=own.labels[:300], groups=None)
    for measure, told in info.variants[0].measured.items():
        alone = _measured(once, measure)
        assert told.n_groups == 300
        assert (told.both.low, told.both.high) == pytest.approx((alone.both.low, alone.both.high))
    assert {claim.counts["image_groups"] for claim in calibration_claims(info)} == {300}


def test_measures_and_their_differences_are_cut_to_what_they_can_be(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=3, images=300, epochs=2, variants={"cnn": ({}, []), "dnn": ({"model": "dnn"}, [])})
    labels = Results.load(tmp_path, "report").labels("test")
    assert labels is not None
    for seed in range(3):  # one sure of what is right; the other in two seeds, and in one sure of what is wrong
        for variant, answer in (("cnn", labels), ("dnn", labels if seed else (labels + 1) % 7)):
            file = tmp_path / "trials" / made.keys[variant, 0, seed] / "predictions.npz"
            table = np.eye(7, dtype=np.float32)[answer]
            np.savez(file, allow_pickle=False, **{**dict(np.load(file)), "test_selected": table})
    info = calibration_info(Results.load(tmp_path, "report"))
    assert info is not None
    claims = {claim.name: claim for claim in calibration_claims(info)}
    for measure, highest in (("ece", 100), ("brier", 2)):
        own = claims[f"calibration/dnn/test/{measure}"]
        assert (own.estimates["both"].low, own.estimates["both"].high) == (0, highest)
        assert np.isnan(own.estimates["both"].p)
        beside = claims[f"calibration/dnn beside cnn/test/{measure}"]
        assert (beside.estimates["both"].low, beside.estimates["both"].high) == (-highest, highest)  # of t alone 110 points beyond zero
        assert "cut to what is possible" in beside.methods["both"]
    assert claims["calibration/dnn/test/loss"].estimates["seeds"].low == 0


def test_a_fixed_answer_is_said_to_be_easily_calibrated(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=3, images=300, epochs=2, variants={"cnn": ({}, [])})
    file = tmp_path / "trials" / made.keys["cnn", 0, 2] / "predictions.npz"
    table = np.tile(np.array([0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1], np.float32), (300, 1))
    np.savez(file, allow_pickle=False, **{**dict(np.load(file)), "test_selected": table})
    info = calibration_info(Results.load(tmp_path, "report"))
    assert info is not None
    words = "1 of 3 trainings of cnn (seed 2) answers 'happy' for every image of the private test set"
    assert f"{words}, and a fixed answer is easily calibrated" in leaning_sentence(info.variants[0], info)
    assert all(claim.caveats == (words,) for claim in calibration_claims(info))
