"""Fractions of factorials: what they leave out, and what they then confuse."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from ferray.fraction import GENERATORS, LETTERS, Fraction, fractions

ALL = [fraction for number in GENERATORS for fraction in fractions(LETTERS[:number])]


def called(fraction: Fraction) -> str:
    return f"{len(fraction.factors)}-factors-{fraction.size}-members"


def signs(fraction: Fraction) -> dict[str, np.ndarray]:
    """By factor, +1 for every member in which it is there and -1 for every other."""
    return {factor: np.array([-1 if factor in gone else 1 for gone in fraction.removals]) for factor in fraction.factors}


def contrast(columns: dict[str, np.ndarray], effect: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(int(sign) for sign in np.prod([columns[factor] for factor in effect], axis=0))


@pytest.mark.parametrize("fraction", ALL, ids=called)
def test_members_are_different_balanced_and_begin_with_the_whole(fraction: Fraction) -> None:
    assert fraction.removals[0] == ()
    assert len(set(fraction.removals)) == fraction.size
    assert all(column.sum() == 0 for column in signs(fraction).values())


@pytest.mark.parametrize("fraction", ALL, ids=called)
def test_the_resolution_is_that_of_the_members_themselves(fraction: Fraction) -> None:
    columns = signs(fraction)
    effects = itertools.chain.from_iterable(itertools.combinations(fraction.factors, size) for size in range(1, 8))
    shortest = next(effect for effect in effects if set(contrast(columns, effect)) == {1})
    assert len(shortest) == fraction.resolution
    assert shortest in fraction.words


@pytest.mark.parametrize("fraction", ALL, ids=called)
def test_aliases_are_exactly_the_effects_with_the_same_contrast(fraction: Fraction) -> None:
    columns = signs(fraction)
    effects = [effect for size in (1, 2, 3) for effect in itertools.combinations(fraction.factors, size)]
    alike: dict[tuple[int, ...], list[str]] = {}
    for effect in effects:
        alike.setdefault(contrast(columns, effect), []).append(":".join(effect))
    for effect, others in fraction.aliases().items():
        same = alike[contrast(columns, tuple(effect.split(":")))]
        assert [effect, *others] == [effect, *(other for other in same if other != effect)]


@pytest.mark.parametrize("fraction", [one for one in ALL if len(one.factors) <= 8 and one.size <= 16], ids=called)
def test_no_fraction_of_the_same_size_has_fewer_of_the_shortest_words(fraction: Fraction) -> None:
    number, generated = len(fraction.factors), len(fraction.generators)
    basic = number - generated
    columns = [bits for bits in range(1, 1 << basic) if bits.bit_count() > 1]

    def pattern(chosen: tuple[int, ...]) -> list[int]:
        products = [0]
        for place, bits in enumerate(chosen):
            products += [product ^ (bits | 1 << (basic + place)) for product in products]
        lengths = Counter(product.bit_count() for product in products)
        return [lengths[length] for length in range(1, number + 1)]

    own = Counter(len(word) for word in fraction.words)
    assert [own[length] for length in range(1, number + 1)] == min(pattern(chosen) for chosen in itertools.combinations(columns, generated))


def test_generated_factors_are_the_last_ones_by_the_names_that_are_given() -> None:
    (fraction,) = fractions(["augmentation", "l1", "l2", "dropout"])
    assert fraction.generators == {"dropout": ("augmentation", "l1", "l2")}
    assert fraction.removals[1:3] == [("augmentation", "l1"), ("augmentation", "l2")]


@pytest.mark.parametrize("number", [0, 1, 2, 12])
def test_there_are_none_of_so_few_or_so_many(number: int) -> None:
    assert fractions([str(one) for one in range(number)]) == []
