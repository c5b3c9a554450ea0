"""Overfitting: in how many trainings the validation loss rises, after which epoch, and how wide the gaps are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import Made, make_ledger
from scipy import stats

from ferray.analysis.curves import curves_info
from ferray.analysis.overfitting import OverfittingInfo, draw_overfitting, overfitting_claims, overfitting_info, overfitting_table
from ferray.analysis.results import Results
from ferray.analysis.statistics import clopper_pearson

OUTCOME = {("no augmentation", 2): "diverged", ("dnn", 1): "failed"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=4, outcome=OUTCOME)


@pytest.fixture(scope="module")
def info(results: Results) -> OverfittingInfo:
    return overfitting_info(results, curves_info(results))


def test_a_share_of_trainings_has_the_exact_interval() -> None:
    for k, n in ((0, 5), (2, 5), (5, 5), (7, 40)):
        ours, oracle = clopper_pearson(k, n), stats.binomtest(k, n).proportion_ci(method="exact")
        assert (ours.low, ours.high) == pytest.approx((oracle.low, oracle.high))
        assert (ours.mean, ours.n) == (k / n, n)
    assert clopper_pearson(0, 0).n == 0
    with pytest.raises(ValueError, match=r"0\.\.3"):
        clopper_pearson(4, 3)


def test_the_planted_rise_is_found_where_it_is_and_nowhere_else(info: OverfittingInfo) -> None:
    counts = {one.variant: (len(one.risen), one.n) for one in info.variants}
    assert counts == {
        "cnn": (0, 4),
        "dnn": (0, 3),
        "no augmentation": (3, 3),
        "no augmentation, input scaling": (4, 4),
        "no augmentation, input scaling, batch norm": (4, 4),
    }
    risen = next(one for one in info.variants if one.variant == "no augmentation").risen
    assert all(4 <= epoch <= 8 for epoch in risen)  # the made-up losses turn after two fifths of twelve epochs


def test_a_diverged_training_is_counted_and_enters_no_gap(info: OverfittingInfo) -> None:
    one = next(one for one in info.variants if one.variant == "no augmentation")
    assert one.fates == {"planned": 4, "finished": 3, "diverged": 1}
    assert one.gaps["accuracy", "last"].n == 3
    claims = {claim.name: claim for claim in overfitting_claims(info)}
    rising = claims["overfitting/no augmentation/validation/rising-loss"]
    assert rising.counts["diverged"] == 1
    assert rising.sentence.startswith("Without augmentation: the loss on the public test set rises after epoch ")
    assert "in 3 of 3 trainings (95 % interval of the share 29 to 100 %); besides, 1 diverged, with no end to judge." in rising.sentence


def test_gaps_are_those_of_the_recorded_epochs(info: OverfittingInfo, results: Results) -> None:
    trials = results.trials.query("variant == 'cnn'")
    one = next(one for one in info.variants if one.variant == "cnn")
    for which, prefix in (("selected", ""), ("last", "last_")):
        gap = 100 * (trials[f"{prefix}train_accuracy"] - trials[f"{prefix}validation_accuracy"]).to_numpy(float)
        low, high = stats.t.interval(0.95, 3, loc=gap.mean(), scale=stats.sem(gap))
        told = one.gaps["accuracy", which]
        assert (told.mean, told.low, told.high) == pytest.approx((gap.mean(), low, high))
        loss = (trials[f"{prefix}validation_loss"] - trials[f"{prefix}train_loss"]).to_numpy(float)
        assert one.gaps["loss", which].mean == pytest.approx(loss.mean())


def test_seeds_that_rise_only_in_the_variant_are_compared_by_mcnemars_exact_test(info: OverfittingInfo) -> None:
    told = {one.variant: one.comparison for one in info.variants}
    assert told["cnn"] is None
    own = told["no augmentation, input scaling"]
    assert own is not None
    assert (own.pairs, own.only_variant, own.only_baseline) == (4, 4, 0)
    assert own.p == pytest.approx(2 * 0.5**4)
    assert own.p_adjusted == pytest.approx(4 * own.p)  # four variants are compared, one of which has no seed that tells them apart
    neither = told["dnn"]
    assert neither is not None
    assert np.isnan(neither.p)


def test_few_epochs_have_gaps_and_no_word_of_a_rise(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=2, epochs=4)
    results = Results.load(tmp_path, "report")
    info = overfitting_info(results, curves_info(results))
    assert {one.rising for one in info.variants} == {None}
    assert {claim.metric for claim in overfitting_claims(info)} == {"accuracy gap", "loss gap"}


def test_the_claims_say_that_training_figures_are_pessimistic(info: OverfittingInfo) -> None:
    claims = overfitting_claims(info)
    assert len({claim.name for claim in claims}) == len(claims) == 5 * 5 + 4
    gaps = [claim for claim in claims if claim.metric.endswith("gap")]
    assert all("pessimistic" in claim.caveats[0] and "not comparable" in claim.caveats[0] for claim in gaps)
    json.dumps([claim.sentence for claim in claims])
    assert not any("nan" in claim.sentence for claim in claims)


def test_the_table_and_the_figure_have_a_line_for_each_variant(info: OverfittingInfo) -> None:
    table = overfitting_table(info)
    assert [row[0] for row in table.rows] == [one.variant for one in info.variants]
    assert table.rows[2][1:4] == ("3 of 4", "1", "3 of 3")
    axes = draw_overfitting(info).axes
    assert axes[0].get_yticklabels()[0].get_text() == "cnn (n=4)"
    filled = [line for line in axes[0].get_lines() if line.get_markerfacecolor() != "white"]
    assert len(filled) == 11
