"""Letters of any script: the installed fonts that have them, and what is written where none has."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

BASE = "DejaVu Sans"
"""Comes with matplotlib, so that figures look alike everywhere; Latin, Greek, Cyrillic, Arabic and many signs are in it."""
LONGEST = 64
"""Characters of a name in a figure, unless told; tables have it whole."""
LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"


def families(texts: Iterable[str]) -> tuple[str, ...]:
    """The base font, then as few installed ones as have between them the letters of the texts that the base lacks."""
    lacking = _letters(texts) - _charmap(findfont(FontProperties(family=[BASE])))
    chosen = [BASE]
    while lacking:
        path = max(_installed(), key=lambda one: len(lacking & _charmap(one)), default=None)
        if path is None or not lacking & _charmap(path):
            break
        lacking -= _charmap(path)
        chosen.append(_family(path))
    return tuple(chosen)


def lettered(name: str, longest: int = LONGEST) -> str:
    """A name as the fonts in use can print it: a letter that none of them has as ``U+6124``, a very long name with its middle left out.

    Marks that only join or vary letters are dropped where no font has them, and line ends become spaces. What is written from right to
    left is kept from turning around what stands beside it.
    """
    name = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in name)
    if len(name) > longest:
        name = f"{name[: 2 * longest // 3]}\N{HORIZONTAL ELLIPSIS}{name[-longest // 3 :]}"
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name):
        name = f"{LEFT_TO_RIGHT}{name}{LEFT_TO_RIGHT}"
    lacking = unprintable([name], mpl.rcParams["font.family"])
    if not lacking:
        return name
    pieces = [("" if _is_mark(letter) else f" U+{ord(letter):04X} ") if letter in lacking else letter for letter in name]
    return " ".join("".join(pieces).split())


def unprintable(texts: Iterable[str], fonts: Iterable[str]) -> set[str]:
    """The letters of the texts that none of the fonts has."""
    lacking = _letters(texts)
    with quiet():
        for family in fonts:
            if lacking:
                lacking = lacking - _charmap(findfont(FontProperties(family=[family])))
    return lacking


@contextmanager
def quiet() -> Iterator[None]:
    """Leaves out what matplotlib logs about weights that a font of another script lacks."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _letters(texts: Iterable[str]) -> set[str]:
    return {letter for text in texts for letter in text if not letter.isspace() and unicodedata.category(letter) != "Cc"}


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter) == "Cf" or "\N{VARIATION SELECTOR-1}" <= letter <= "\N{VARIATION SELECTOR-16}"


@cache
def _charmap(path: str) -> frozenset[str]:
    """The letters of a font with outlines; none of a font of bitmaps, which cannot be drawn at any size, or of a broken file."""
    try:
        font = FT2Font(path)
        return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()


@cache
def _family(path: str) -> str:
    """The name of a font, which is made known to matplotlib, whose own list may be older than the font."""
    name = FT2Font(path).family_name
    if path not in {entry.fname for entry in fontManager.ttflist}:
        fontManager.addfont(path)
    return name


@cache
def _installed() -> tuple[str, ...]:
    """Installed fonts, upright sans-serif ones of regular weight first, colour fonts left out."""
    rare = ("bold", "italic", "oblique", "light", "thin", "black", "medium", "mono", "serif", "condensed")
    found = [path for path in findSystemFonts() if "color" not in Path(path).name.lower()]
    return tuple(sorted(found, key=lambda path: (sum(word in Path(path).name.lower() for word in rare), path)))
