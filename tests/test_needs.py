"""What it would take to decide: more seeds, more images, or neither."""

from __future__ import annotations

import numpy as np
import pytest

from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.needs import MOST_IMAGES, needs


def table(effect: float, seeds: int, images: int, of_seeds: float, of_images: float) -> Crossed:
    """A table whose variances are about the given ones squared."""
    generator = np.random.default_rng(5)
    rows = generator.normal(0, of_seeds, seeds)
    values = (rows - rows.mean())[:, None] + generator.normal(0, of_images, images)[None, :] + generator.normal(0, 0.01, (seeds, images))
    return crossed(values - values.mean() + effect)


def test_a_spread_over_seeds_takes_more_seeds() -> None:
    found = needs(table(1.0, 4, 4000, 1.5, 0.1), 0.5, 1, 4000)
    assert found.seeds is not None
    assert 5 <= found.seeds < 60
    assert found.images is None


def test_a_larger_family_takes_more_seeds() -> None:
    one, ten = (needs(table(1.0, 4, 4000, 1.5, 0.1), 0.5, comparisons, 4000).seeds for comparisons in (1, 10))
    assert one is not None
    assert ten is not None
    assert ten > one


def test_a_spread_over_images_takes_more_images() -> None:
    found = needs(table(1.0, 5, 100, 0.2, 10.0), 0.5, 1, 100)
    assert found.seeds is None
    assert found.images is not None
    assert found.more_seeds is not None
    assert 400 < found.images < 100 * MOST_IMAGES
    assert found.images % 10 == 0


def test_more_than_the_seeds_that_did_not_decide_are_needed() -> None:
    assert (needs(table(5.0, 4, 4000, 0.5, 0.01), 0.5, 1, 4000).seeds or 0) > 4


@pytest.mark.parametrize("margin", [0.5])
def test_an_effect_at_the_margin_with_a_wide_spread_is_out_of_reach(margin: float) -> None:
    found = needs(table(1e-4, 3, 50, 50.0, 10.0), margin / 100, 1, 50)
    assert (found.seeds, found.images, found.more_seeds) == (None, None, None)
