"""What it would take to decide: more seeds, more images, or neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.needs import MOST_IMAGES, needs
from ferray.analysis.verdicts import Decision, Undecided, decide, undecided
from simulations.worlds import World, draw

ONE = Undecided(1, 1)


def table(effect: float, seeds: int, images: int, of_seeds: float, of_images: float) -> Crossed:
    """A table whose variances are about the given ones squared."""
    generator = np.random.default_rng(5)
    rows = generator.normal(0, of_seeds, seeds)
    values = (rows - rows.mean())[:, None] + generator.normal(0, of_images, images)[None, :] + generator.normal(0, 0.01, (seeds, images))
    return crossed(values - values.mean() + effect)


def test_a_spread_over_seeds_takes_more_seeds() -> None:
    found = needs(table(1.0, 4, 4000, 1.5, 0.1), 0.5, ONE, 4000)
    assert found.seeds is not None
    assert 5 <= found.seeds < 60
    assert found.images is None


def test_a_larger_family_takes_more_seeds() -> None:
    one, ten = (needs(table(1.0, 4, 4000, 1.5, 0.1), 0.5, Undecided(comparisons, comparisons), 4000).seeds for comparisons in (1, 10))
    assert one is not None
    assert ten is not None
    assert ten > one


def test_a_spread_over_images_takes_more_images() -> None:
    found = needs(table(1.0, 5, 100, 0.2, 10.0), 0.5, ONE, 100)
    assert found.seeds is None
    assert found.images is not None
    assert found.more_seeds is not None
    assert 400 < found.images < 100 * MOST_IMAGES
    assert found.images % 10 == 0


@pytest.mark.parametrize(("effect", "margin"), [(3.0, 0.5), (0.0, 2.5)])
def test_so_many_seeds_decide_four_of_five_studies_where_images_seem_to_add_nothing(effect: float, margin: float) -> None:
    """In a world where an image is as easy for one variant as for the other, and studies see no more than the rest in their images."""
    world = World(5, 300, effects=(effect,), own=0.05, spread=0.3, margin=margin)
    generator = np.random.default_rng(3)
    asked, clipped = [], 0
    while clipped < 25:
        found = crossed(draw(world, generator).tables[0]).scaled(100)
        if found.image_variance <= found.rest_variance:
            clipped += 1
            asked.append(needs(replace(found, both=replace(found.both, mean=effect)), margin, ONE, 300).seeds)
    assert None not in asked
    decided = []
    for seeds in asked:
        for _ in range(16):
            again = crossed(draw(replace(world, seeds=seeds), generator).tables[0]).scaled(100)
            decided.append(decide([again.both], margin)[0].verdict != "inconclusive")
    assert 0.76 < np.mean(decided) < 0.95  # of no effect, 0.68 if the images add nothing to the variance


def test_where_images_may_hide_the_effect_no_number_of_seeds_is_said_to_decide() -> None:
    generator = np.random.default_rng(2)
    values = generator.choice([-1.0, 0.0, 1.0], p=[0.08, 0.84, 0.08], size=(5, 400))
    values += 0.002 - values.mean()
    # Every image is drawn anew for each seed, so that the images' own variance is estimated as about zero.
    found = crossed(values).scaled(100)
    assert found.image_variance < 1.1 * found.rest_variance
    assert needs(found, 0.5, ONE, 400).seeds is None


def test_more_than_the_seeds_that_did_not_decide_are_needed() -> None:
    assert (needs(table(5.0, 4, 4000, 0.5, 0.01), 0.5, ONE, 4000).seeds or 0) > 4


@pytest.mark.parametrize("margin", [0.5])
def test_an_effect_at_the_margin_with_a_wide_spread_is_out_of_reach(margin: float) -> None:
    found = needs(table(1e-4, 3, 50, 50.0, 10.0), margin / 100, ONE, 50)
    assert (found.seeds, found.images, found.more_seeds) == (None, None, None)


def test_so_many_seeds_decide_four_of_five_studies_whose_seeds_draw_their_images() -> None:
    generator = np.random.default_rng(4)
    ratio = 0.25

    def drawn(seeds: int, spread: float = 1.0) -> Crossed:
        means = 2.0 + np.sqrt(ratio) * generator.normal() + spread * generator.normal(size=(seeds, 1))
        return crossed(np.repeat(means, 2, axis=1), redrawn=ratio)

    found = drawn(3)
    scaled = replace(found, both=replace(found.both, mean=2.0), seed_variance=1 / 3, image_variance=ratio)
    asked = needs(scaled, 0.1, ONE, 400).seeds
    assert asked is not None
    decided = [decide([drawn(asked).both], 0.1)[0].verdict != "inconclusive" for _ in range(500)]
    assert 0.77 < np.mean(decided) < 0.93


def test_what_is_shown_leaves_the_others_of_its_family_an_easier_test() -> None:
    decisions = [Decision("helps", 0.01, 0.9), Decision("inconclusive", 0.061, 0.9), Decision("no effect", 0.8, 0.02)]
    left = undecided(decisions)
    assert left == Undecided(differences=2, equivalences=2)
    found = table(1.0, 4, 4000, 1.5, 0.1)
    alone, among = (needs(found, 0.5, Undecided(count, 3), 4000).seeds for count in (1, 3))
    assert alone is not None
    assert among is not None
    assert alone < among
