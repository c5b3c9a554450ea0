"""Power: against statsmodels and the noncentral t, and against simulated studies that ferray.analysis judges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from ferray import power
from ferray.analysis.crossed import crossed
from ferray.analysis.statistics import mean_interval
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS, equivalence


@pytest.mark.parametrize("seeds", [3, 5, 10, 40])
@pytest.mark.parametrize("comparisons", [1, 4])
def test_without_image_noise_the_smallest_effect_is_that_of_the_paired_t_test(seeds: int, comparisons: int) -> None:
    found = power.smallest_effect(4.0, 0.0, seeds, comparisons)
    expected = TTestPower().power(found / 2.0, seeds, 0.05 / comparisons, alternative="two-sided")
    assert expected == pytest.approx(0.8, abs=0.002)


def test_power_is_that_of_the_noncentral_t() -> None:
    critical, size = stats.t.isf(0.025, 4), 1.5 / math.sqrt(2.0 / 5)
    expected = stats.nct.sf(critical, 4, size) + stats.nct.cdf(-critical, 4, size)
    assert power.power_of(1.5, 2.0, 0.0, 5) == pytest.approx(expected, abs=0.002)
    assert power.power_of(-1.5, 2.0, 0.3, 5) == power.power_of(1.5, 2.0, 0.3, 5)


def test_without_noise_of_seeds_power_is_that_of_the_normal_distribution() -> None:
    expected = stats.norm.sf(1.96 - 2.5) + stats.norm.cdf(-1.96 - 2.5)
    assert power.power_of(2.5, 0.0, 1.0, 3) == pytest.approx(expected, abs=0.001)


def test_equivalence_is_shown_as_often_as_in_simulated_studies() -> None:
    random = np.random.default_rng(1)
    found = [equivalence(mean_interval(random.normal(0.1, 0.4, 8)), 0.5) < ALPHA for _ in range(4000)]
    assert np.mean(found) == pytest.approx(power.equivalence_power(0.1, 0.16, 0.0, 8, 0.5), abs=0.025)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("image_variance", [0.0, 0.1, 0.3, 3.0])
def test_without_an_effect_it_shows_as_often_as_alpha_allows(seeds: int, image_variance: float) -> None:
    # The judgement itself keeps between 3.5 and 5.2 % where seeds and images both weigh in.
    assert 0.034 < power.power_of(0.0, 2.0, image_variance, seeds) < 0.053
    assert power.power_of(0.0, 2.0, 0.0, seeds) == pytest.approx(0.05, abs=0.002)


def test_few_seeds_show_only_large_effects_and_images_set_a_floor() -> None:
    sizes = [power.smallest_effect(1.0, 0.09, seeds) for seeds in (2, 3, 5, 10, 1000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == pytest.approx(0.3 * (1.96 + 0.8416), rel=0.02)
    assert math.isnan(power.smallest_effect(1.0, 0.09, 1))
    assert power.smallest_effect(0.0, 0.0, 5) == 0.0


def test_the_seeds_needed_are_the_fewest_that_show_the_effect() -> None:
    needed = power.seeds_needed(1.0, 1.0, 0.01, 3)
    assert needed is not None
    assert power.smallest_effect(1.0, 0.01, needed, 3) <= 1.0 < power.smallest_effect(1.0, 0.01, needed - 1, 3)


def test_what_the_images_hide_no_number_of_seeds_shows() -> None:
    assert power.seeds_needed(0.5, 1.0, 1.0) is None
    assert power.seeds_needed(0.0, 1.0, 0.0) is None


def test_a_difference_within_the_margin_may_be_decided_by_equivalence() -> None:
    needed = power.seeds_needed(0.0, 0.25, 0.0, margin=0.5)
    assert needed is not None
    assert power.equivalence_power(0.0, 0.25, 0.0, needed, 0.5) >= 0.8 > power.equivalence_power(0.0, 0.25, 0.0, needed - 1, 0.5)
    assert power.seeds_needed(0.5, 0.25, 0.0, margin=0.5) == power.seeds_needed(0.5, 0.25, 0.0)


def test_variances_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="variances must not be negative"):
        power.smallest_effect(-1.0, 0.0, 5)
    with pytest.raises(ValueError, match="variances must not be negative"):
        power.seeds_needed(1.0, 1.0, math.nan)


def test_simulated_studies_show_the_smallest_effect_as_often_as_predicted() -> None:
    """Seeds and images are drawn anew in each study, and judged as the report judges them."""
    random = np.random.default_rng(0)
    seeds, images, of_seed, of_image, of_rest = 5, 300, 0.02, 0.15, 0.3
    seed_variance = of_seed**2 + of_rest**2 / images
    image_variance = of_image**2 / images
    effect = power.smallest_effect(seed_variance, image_variance, seeds, images=images)
    shown = equal = 0
    for _ in range(600):
        noise = of_seed * random.normal(size=(seeds, 1)) + of_image * random.normal(size=(1, images))
        noise = noise + of_rest * random.normal(size=(seeds, images))
        shown += crossed(effect + noise).both.p < ALPHA
        equal += equivalence(crossed(noise).both, 2 * effect) < ALPHA
    assert shown / 600 == pytest.approx(0.8, abs=0.06)
    predicted = power.equivalence_power(0.0, seed_variance, image_variance, seeds, 2 * effect, images=images)
    assert equal / 600 == pytest.approx(predicted, abs=0.06)


@pytest.mark.parametrize(("seeds", "redrawn"), [(3, 0.25), (8, 0.43)])
def test_where_seeds_draw_their_images_power_is_that_of_the_corrected_resampled_t(seeds: int, redrawn: float) -> None:
    """The whole error is estimated from the seeds, so that their degrees of freedom are those of the images' part too."""
    random = np.random.default_rng(1)
    effect = power.smallest_effect(1.0, redrawn, seeds, images=None)
    common = math.sqrt(redrawn)  # what the images that seeds share do to all of them: it widens no spread, and moves the mean
    shown = 0
    for _ in range(600):
        means = effect + common * random.normal() + random.normal(size=(seeds, 1))
        shown += crossed(np.repeat(means, 2, axis=1), redrawn=redrawn).both.p < ALPHA
    assert shown / 600 == pytest.approx(0.8, abs=0.05)
    assert power.smallest_effect(1.0, redrawn, seeds, images=400) < effect


def test_the_numbers_of_a_verdict_are_those_that_power_is_told_for() -> None:
    assert (power.ALPHA, power.FEWEST_SEEDS) == (ALPHA, FEWEST_SEEDS)
