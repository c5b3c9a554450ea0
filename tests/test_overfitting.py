"""Overfitting: in how many trainings the validation loss rises, after which epoch, and how wide the gaps are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import Made, make_ledger
from scipy import stats

from ferray.analysis.curves import curves_info
from ferray.analysis.overfitting import (
    OverfittingInfo,
    draw_overfitting,
    improving_sentences,
    overfitting_claims,
    overfitting_info,
    overfitting_table,
    section,
)
from ferray.analysis.page import Page
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
    filled = [colour for dots in axes[0].collections for colour in dots.get_facecolor() if tuple(colour) != (1, 1, 1, 1)]
    assert len(filled) == 11


def ending(path: Path, last: Mapping[str, int], *, seeds: int = 4, epochs: int = 6, diverged: str = "") -> OverfittingInfo:
    """What is told of variants whose first so many seeds selected the last epoch, and all others the first."""
    variants = {name: ({"l1": 0.1 * number}, []) for number, name in enumerate(last)}
    outcome = {(diverged, 0): "diverged"} if diverged else {}
    made = make_ledger(path, variants=variants, seeds=seeds, epochs=epochs, images=40, outcome=outcome)
    for (variant, _, seed), key in made.keys.items():
        file = path / "trials" / key / "record.json"
        record = json.loads(file.read_text())
        file.write_text(json.dumps({**record, "selected_epoch": epochs if seed < last[variant] else 1}))
    results = Results.load(path, "report")
    return overfitting_info(results, curves_info(results))


def test_trainings_that_select_their_last_epoch_are_counted_and_told_of_variants_where_half_do(tmp_path: Path) -> None:
    info = ending(tmp_path, {"cnn": 3, "bare": 1, "wide": 2})
    assert [one.improving for one in info.variants] == [(3, 4), (1, 4), (2, 4)]
    assert improving_sentences(info) == [
        "The selected epoch is the last in 6 of 12 trainings (3 of 4 of cnn; 2 of 4 of wide): these were still improving on the public "
        "test set, and longer training may change what augmentation and regularization are worth."
    ]
    table = overfitting_table(info)
    assert [row[table.columns.index("last is best in")] for row in table.rows] == ["3 of 4", "1 of 4", "2 of 4"]


def test_the_section_says_which_trainings_were_still_improving_below_where_losses_rise(tmp_path: Path) -> None:
    info = ending(tmp_path, {"cnn": 2}, seeds=2)
    results = Results.load(tmp_path, "report")
    page = Page()
    section(page, results, curves_info(results))
    rising, improving, *_ = page.sections[0].blocks
    assert "the loss on the public test set rises" in rising.items[0]
    assert [improving.text] == improving_sentences(info)


def test_nothing_is_said_where_fewer_than_half_of_every_variants_trainings_were_still_improving(tmp_path: Path) -> None:
    assert improving_sentences(ending(tmp_path, {"cnn": 1, "bare": 1})) == []


def test_the_only_training_of_the_only_variant_is_told_of_in_the_singular(tmp_path: Path) -> None:
    (sentence,) = improving_sentences(ending(tmp_path, {"cnn": 1}, seeds=1))
    assert sentence.startswith("The selected epoch is the last in 1 of 1 training: this one was still improving on the public test set")


def test_a_single_epoch_is_the_last_without_meaning_anything(tmp_path: Path) -> None:
    info = ending(tmp_path, {"cnn": 2, "bare": 2}, seeds=2, epochs=1)
    assert [one.improving for one in info.variants] == [(0, 0), (0, 0)]
    assert improving_sentences(info) == []
    table = overfitting_table(info)
    assert {row[table.columns.index("last is best in")] for row in table.rows} == {"single epochs"}


def test_a_diverged_training_is_not_counted_among_those_that_were_still_improving(tmp_path: Path) -> None:
    info = ending(tmp_path, {"cnn": 4}, diverged="cnn")
    assert [one.improving for one in info.variants] == [(3, 3)]


def test_of_many_variants_that_were_still_improving_the_first_are_named(tmp_path: Path) -> None:
    (sentence,) = improving_sentences(ending(tmp_path, {f"v{number}": 1 for number in range(8)}, seeds=1))
    assert "in 8 of 8 trainings (1 of 1 of v0; " in sentence
    assert "1 of 1 of v5; at least half of 2 more variants): these were" in sentence
