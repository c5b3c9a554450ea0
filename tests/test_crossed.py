"""Seeds and images as crossed random factors: against scipy, statsmodels, the analysis of variance by hand, and by simulation."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]
import statsmodels.formula.api as smf  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar  # type: ignore[import-untyped]

from ferray.analysis.crossed import crossed, not_negative


def made(
    seeds: int, images: int, *, of_seeds: float = 1.0, of_images: float = 1.0, noise: float = 1.0, seed: int = 0
) -> NDArray[np.float64]:
    """A table [seeds, images] of crossed normal effects with mean zero."""
    generator = np.random.default_rng(seed)
    table: NDArray[np.float64] = (
        generator.normal(0, of_seeds, (seeds, 1)) + generator.normal(0, of_images, images) + generator.normal(0, noise, (seeds, images))
    )
    return table


def test_over_seeds_it_is_the_paired_t_test() -> None:
    ours = crossed(made(5, 40)).seeds
    theirs = stats.ttest_1samp(made(5, 40).mean(axis=1), 0)
    interval = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high, ours.p) == pytest.approx((interval.low, interval.high, theirs.pvalue))
    assert (ours.n, ours.degrees) == (5, 4)


def test_over_images_of_one_seed_it_is_mcnemars_test() -> None:
    generator = np.random.default_rng(4)
    ours, reference = generator.random(4000) < 0.72, generator.random(4000) < 0.70
    counts = [[(ours & reference).sum(), (ours & ~reference).sum()], [(~ours & reference).sum(), (~ours & ~reference).sum()]]
    theirs = mcnemar(counts, exact=False, correction=False)
    estimate = crossed((ours.astype(float) - reference)[None]).images
    # McNemar takes the variance under no difference, b + c; the interval needs that about the mean, b + c - (b - c)^2 / m.
    discordant, difference = counts[0][1] + counts[1][0], counts[0][1] - counts[1][0]
    convention = (discordant - difference**2 / 4000) / discordant
    assert (estimate.mean / estimate.error) ** 2 * convention == pytest.approx(theirs.statistic, rel=1e-3)
    assert estimate.p == pytest.approx(theirs.pvalue, rel=0.03)


def test_the_variances_are_those_of_the_analysis_of_variance() -> None:
    table = made(4, 12, seed=2)
    frame = pd.DataFrame([{"x": table[s, i], "s": s, "i": i} for s in range(4) for i in range(12)])
    squares = sm.stats.anova_lm(smf.ols("x ~ C(s) + C(i)", frame).fit())
    mean_square = squares["sum_sq"] / squares["df"]
    ours = crossed(table)
    assert ours.seed_variance == pytest.approx(mean_square["C(s)"] / 48)
    assert ours.image_variance == pytest.approx(mean_square["C(i)"] / 48)
    assert ours.rest_variance == pytest.approx(mean_square["Residual"] / 48)
    assert ours.both.error**2 == pytest.approx((mean_square["C(s)"] + mean_square["C(i)"] - mean_square["Residual"]) / 48)


def test_the_error_over_both_is_that_of_a_mixed_model() -> None:
    table = made(6, 30, seed=5)
    frame = pd.DataFrame([{"x": table[s, i], "s": s, "i": i, "all": 1} for s in range(6) for i in range(30)])
    parts = {"s": "0 + C(s)", "i": "0 + C(i)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = smf.mixedlm("x ~ 1", frame, groups="all", vc_formula=parts, re_formula="0").fit(reml=True)
    ours = crossed(table)
    # Restricted maximum likelihood equals the analysis of variance on a balanced table with positive components.
    assert ours.both.mean == pytest.approx(fit.params["Intercept"])
    assert ours.both.error == pytest.approx(fit.bse["Intercept"], rel=0.01)


def test_where_seeds_draw_their_images_the_interval_is_that_of_the_corrected_resampled_t() -> None:
    table = made(5, 40, seed=3)
    ours = crossed(table, redrawn=0.25)
    means = table.mean(axis=1)
    assert ours.both.error == pytest.approx(math.sqrt((1 / 5 + 0.25) * means.var(ddof=1)))
    assert ours.both.p == pytest.approx(2 * stats.t.sf(abs(means.mean()) / ours.both.error, 4))
    theirs = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (ours.seeds.low, ours.seeds.high) == pytest.approx((theirs.low, theirs.high))
    assert ours.images.error == pytest.approx(math.sqrt(np.mean(table.var(axis=1, ddof=1)) / 40 / 5))
    assert ours.both.error**2 == pytest.approx(ours.seed_variance + ours.image_variance - ours.rest_variance)
    assert "Nadeau" in ours.methods["both"]


def test_where_seeds_draw_their_images_no_image_is_set_beside_one_of_another_seed() -> None:
    table = made(5, 40, of_images=5, seed=3)
    shuffled = np.stack([np.random.default_rng(seed).permutation(row) for seed, row in enumerate(table)])
    groups = np.arange(40) // 2
    assert crossed(shuffled, groups, redrawn=0.2).images.error == pytest.approx(crossed(table, redrawn=0.2).images.error)
    assert crossed(shuffled, redrawn=0.2).both == crossed(table, redrawn=0.2).both
    assert crossed(shuffled).image_variance != pytest.approx(crossed(table).image_variance)


def test_one_seed_on_images_that_it_drew_has_an_interval_over_them_alone() -> None:
    one = crossed(made(1, 50), redrawn=0.2)
    assert (one.seeds.has_interval, one.images.has_interval, one.both.has_interval) == (False, True, False)
    assert one.images.error == pytest.approx(crossed(made(1, 50)).images.error)


def test_intervals_over_images_that_seeds_draw_cover_the_mean_of_all_images() -> None:
    """Pools are drawn anew, and seeds draw 60 of 400 images; without the correction the interval covers too rarely."""
    generator = np.random.default_rng(8)
    covered = np.zeros(2)
    studies = 1500
    for _ in range(studies):
        pool = generator.normal(0, 1, 400)
        rows = [generator.permutation(pool)[:60] + generator.normal(0, 0.02) + generator.normal(0, 0.2, 60) for _ in range(8)]
        told = crossed(np.stack(rows), redrawn=60 / 340)
        covered += [one.low <= 0 <= one.high for one in (told.both, told.seeds)]
    plain, corrected = covered[1] / studies, covered[0] / studies
    assert plain < 0.9
    assert 0.94 < corrected < 0.985


def test_one_seed_has_an_interval_over_images_alone() -> None:
    one = crossed(made(1, 50))
    assert (one.seeds.has_interval, one.images.has_interval, one.both.has_interval) == (False, True, False)


def test_two_seeds_have_no_interval_over_both_which_would_cover_too_rarely() -> None:
    two = crossed(made(2, 50))
    assert (two.seeds.has_interval, two.images.has_interval, two.both.has_interval) == (True, True, False)
    assert math.isnan(two.both.p)
    assert math.isnan(two.both.error)
    assert two.both.mean == pytest.approx(made(2, 50).mean())
    assert crossed(made(3, 50)).both.has_interval


@pytest.mark.parametrize("of_images", [0.0, 0.1, 0.3])
def test_for_a_plan_the_images_never_add_nothing_and_seeds_no_less_than_the_rest(of_images: float) -> None:
    found = [crossed(made(4, 200, of_seeds=0.02, of_images=of_images, seed=world)) for world in range(400)]
    unclipped = np.array([one.image_variance - one.rest_variance for one in found])
    planned = np.array([one.of_images for one in found])
    assert (planned > np.maximum(unclipped, 0)).all()
    assert np.mean([one.of_images_error for one in found]) == pytest.approx(unclipped.std(), rel=0.15)
    # What is large beside its error stays; what hides in it is taken to be of its size.
    assert planned.mean() - of_images**2 / 200 < np.std(unclipped)
    assert all(one.of_a_seed >= 4 * one.rest_variance for one in found)


def test_a_variance_is_not_negative() -> None:
    # The mean of a normal distribution cut off at zero.
    for estimate in (-3.0, 0.0, 0.5, 8.0):
        assert not_negative(estimate, 2.0) == pytest.approx(stats.truncnorm(-estimate / 2, np.inf, loc=estimate, scale=2).mean(), rel=1e-6)
    assert (not_negative(-1.0, 0.0), not_negative(1.0, 0.0)) == (0.0, 1.0)
    assert 0 < not_negative(-100.0, 2.0) < 0.1


def test_images_that_belong_together_are_one() -> None:
    table = made(5, 60, of_seeds=0, seed=3)
    whole = crossed(table)
    doubled = crossed(np.repeat(table, 2, axis=1), np.repeat(np.arange(60), 2))
    assert doubled.both.mean == pytest.approx(whole.both.mean)
    assert (doubled.images.low, doubled.images.high) == pytest.approx((whole.images.low, whole.images.high))
    assert doubled.both.error == pytest.approx(whole.both.error)
    assert crossed(np.repeat(table, 2, axis=1)).images.error < 0.75 * whole.images.error
    assert crossed(table, np.arange(60)) == whole


def test_a_table_without_any_spread_has_a_point_and_no_p_value() -> None:
    nothing = crossed(np.zeros((5, 30)))
    assert (nothing.both.low, nothing.both.high, nothing.both.is_point) == (0, 0, True)
    assert math.isnan(nothing.both.p)


def test_images_that_differ_rarely_count_by_those_that_do() -> None:
    table = np.zeros((1, 3000))
    table[0, :6], table[0, 6:10] = 1, -1
    # Ten images that differ are little to know a variance by, however many do not.
    assert crossed(table).images.degrees == pytest.approx(20, rel=0.1)
    assert crossed(made(1, 3000)).images.degrees == pytest.approx(2999, rel=0.15)


def test_another_unit_scales_everything_and_a_negative_one_turns_it() -> None:
    plain, turned = crossed(made(5, 40)), crossed(-100 * made(5, 40))
    scaled = plain.scaled(-100)
    for name in ("seeds", "images", "both"):
        ours, theirs = getattr(scaled, name), getattr(turned, name)
        assert (ours.mean, ours.low, ours.high, ours.p) == pytest.approx((theirs.mean, theirs.low, theirs.high, theirs.p))
        assert ours.tail(0.3) == pytest.approx(theirs.tail(0.3))
    assert scaled.rest_variance == pytest.approx(turned.rest_variance)


@pytest.mark.parametrize("table", [np.zeros((0, 4)), np.zeros((3, 0)), np.zeros(4), np.full((2, 2), np.nan)])
def test_what_is_no_table_of_finite_numbers_is_refused(table: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        crossed(table)


@pytest.mark.parametrize("of_seeds", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_over_both_covers_whichever_part_is_the_larger(seeds: int, of_seeds: float) -> None:
    found = [crossed(made(seeds, 60, of_seeds=of_seeds, seed=world)).both for world in range(1500)]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.93 < covered < 0.975  # 0.95 with a Monte-Carlo error of 0.0056
    # The p-value and the interval are two faces of one thing.
    assert all((one.p < 0.05) == one.excludes_zero for one in found)
