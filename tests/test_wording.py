"""Wording: names and numbers as a reader expects them."""

from __future__ import annotations

import pytest

from ferray.analysis.wording import capital, factor_label, points


@pytest.mark.parametrize(("value", "told"), [(0.5, "0.5 points"), (1, "1 point"), (1.0, "1 point"), (2, "2 points"), (0.25, "0.25 points")])
def test_one_point_is_singular(value: float, told: str) -> None:
    assert points(value) == told


def test_ferrays_own_factors_are_told_in_words_and_a_studys_own_by_their_names() -> None:
    assert [factor_label(name) for name in ("batch_norm", "input_scaling", "per_image")] == ["batch norm", "input scaling", "per_image"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("batch norm and dropout", "Batch norm and dropout"),
        ("augmentation, per_image and dropout", "Augmentation, per_image and dropout"),
        ("per_image", "per_image"),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_it_begins_with_a_name(text: str, told: str) -> None:
    assert capital(text) == told
