"""Fonts: names in any script become something that can be read."""

from __future__ import annotations

import logging
import warnings

import pytest

from ferray.analysis.figures import render
from ferray.analysis.fonts import BASE, LEFT_TO_RIGHT, LONGEST, families, lettered, unprintable
from ferray.analysis.style import new_figure, shortened, styled

UNASSIGNED = "\U0003fff0"  # no font has it


def test_the_base_font_is_enough_for_what_it_has() -> None:
    assert families(["angry", "счастье", "ευτυχία", "غاضب", "x → y"]) == (BASE,)


def test_a_letter_that_no_font_has_is_written_by_its_number() -> None:
    with styled(families([UNASSIGNED])):
        assert lettered(f"a{UNASSIGNED}b {UNASSIGNED}") == "a U+3FFF0 b U+3FFF0"
    assert unprintable([f"a{UNASSIGNED}"], (BASE,)) == {UNASSIGNED}


def test_installed_fonts_are_taken_for_the_letters_that_the_base_lacks() -> None:
    name = "愤怒"
    fonts = families([name])
    if len(fonts) == 1:
        pytest.skip("no font with Chinese letters is installed")
    with styled(fonts):
        assert lettered(name) == name


def test_a_name_without_a_font_for_it_is_still_told_apart() -> None:
    with styled([BASE]):
        assert lettered("愤怒") == "U+6124 U+6012"
        assert lettered("愤恨") == "U+6124 U+6068"


def test_marks_that_no_font_has_are_dropped_and_line_ends_become_spaces() -> None:
    with styled([BASE]):
        assert lettered("a\U000e0101b\nc") == "a U+E0101 b c"  # outside of the marks that emoji have
        assert lettered("heart \N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}").startswith("heart \N{HEAVY BLACK HEART}")
        assert "\n" not in lettered("two\nlines")


def test_a_very_long_name_keeps_its_ends() -> None:
    name = "begins" + "x" * 300 + "ends"
    short = lettered(name)
    assert len(short) <= LONGEST + 1
    assert short.startswith("begins")
    assert short.endswith("ends")


def test_a_name_from_right_to_left_does_not_turn_around_what_follows() -> None:
    assert lettered("غاضب") == f"{LEFT_TO_RIGHT}غاضب{LEFT_TO_RIGHT}"


@pytest.mark.parametrize("name", ["$x_1$", "$\\frac{", "a_b^c", "100 %", "\\alpha", UNASSIGNED, "愤怒", "\N{GRINNING FACE}"])
def test_any_name_is_drawn_as_it_is_without_a_word_in_the_terminal(name: str, caplog: pytest.LogCaptureFixture) -> None:
    def draw():  # type: ignore[no-untyped-def]
        figure = new_figure(1)
        axes = figure.subplots()
        axes.set_title(shortened(name))
        axes.set_xticks([0], [shortened(name)])
        return figure

    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        assert render("any", draw, families([name])).png.startswith(b"\x89PNG")
    assert caplog.records == []
