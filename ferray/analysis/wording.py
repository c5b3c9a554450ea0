"""How numbers, splits and lists are written, the same in sentences, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ferray.analysis.statistics import Estimate
from ferray.config import flatten
from ferray.factors import FACTORS

MINUS = "\N{MINUS SIGN}"


def split_label(data_name: str, split: str) -> str:
    """What a split is called in print: FER2013's validation split is its public test set, its test split the private one."""
    if data_name == "FER2013":
        return {"validation": "public test", "test": "private test"}.get(split, split)
    return split


def network_label(config: Mapping[str, Any]) -> str:
    """What a network is called in print, with the settings that tell it from others of its name: ``resnet18 (torchvision), stem=small``."""
    model = str(config.get("model", ""))
    place, colon, name = model.rpartition(":")
    told = [f"{name} ({place.rpartition('/')[2]})" if colon else model.upper()]
    width = config.get("width")
    if width is not None and width != 1.0:
        told.append(f"width {setting(width)}")
    told += [f"{name}={setting(value)}" for name, value in flatten(config.get("model_arguments") or {}).items()]
    if config.get("pretrained"):
        told.append("pretrained")
    return ", ".join(told)


def factor_label(name: str) -> str:
    """What a factor is called in print: one of ferray's in words, one of the study's own as the study file has it."""
    return name.replace("_", " ") if name in FACTORS else name


def capital(text: str) -> str:
    """A text that begins a sentence: with a capital, unless it begins with a name such as ``per_image``."""
    return f"{text[:1].upper()}{text[1:]}" if text.partition(" ")[0].rstrip(",").isalnum() else text


def moment(iso: str) -> str:
    """A time in ISO 8601 as ``2026-11-20 10:00 UTC``; whatever else it is, unchanged."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time.tzinfo else iso


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, also where it is positive."""
    if not math.isfinite(value):
        return "n/a"
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return f"{MINUS if value < 0 else '+'}{text}"


def plain(value: float, digits: int = 1) -> str:
    """A number with a proper minus, or ``n/a``."""
    return f"{value:.{digits}f}".replace("-", MINUS) if math.isfinite(value) else "n/a"


def minutes(value: float) -> str:
    """Minutes with one decimal; below one minute with two significant digits, so that a short time is not 0.0."""
    return f"{value:.2g}" if 0 < value < 1 else plain(value)


def count(value: float) -> str:
    """A whole number with its thousands apart, or ``n/a``."""
    return f"{int(value):,}" if math.isfinite(value) else "n/a"


def image_count(images: int, groups: int | None = None) -> str:
    """``1 image``, ``3,589 images``, and of how many groups of near-identical ones where that makes a difference."""
    alike = "" if groups is None or groups > 0.95 * images else f" in {plural(groups, 'group')} of near-identical ones"
    return f"{count(images)} image{'' if images == 1 else 's'}{alike}"


def sentence(text: str) -> str:
    """Somebody else's sentence with its full stop, and its capital where it begins with a word and not with a file's name."""
    text = text.strip()
    first = text[:1].upper() if text.partition(" ")[0].isalpha() else text[:1]
    return f"{first}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def interval(estimate: Estimate, digits: int = 1, *, sign: bool = False) -> str:
    """``56.1 to 58.5``, or that there is none, or that it is a point because all values are equal."""
    if not estimate.has_interval:
        return f"none (n = {estimate.n})" if estimate.n in (1, 2) else "n/a"
    write = signed if sign else plain
    if estimate.is_point:
        return f"{write(estimate.mean, digits)} (all equal)"
    return f"{write(estimate.low, digits)} to {write(estimate.high, digits)}"


def measured(estimate: Estimate, unit: str = " %", digits: int = 1) -> str:
    """A mean with its interval over seeds, for a sentence; a single seed is said to have none."""
    if estimate.n == 0:
        return "no finished trial"
    number = f"{plain(estimate.mean, digits)}{unit}"
    if not estimate.has_interval:
        return f"{number} (one seed, so no interval)"
    if estimate.is_point:
        return f"{number} (the same in all {estimate.n} seeds; their interval is a point, which is no certainty)"
    return f"{number} (95 % interval {interval(estimate, digits)} over {estimate.n} seeds)"


def points(value: float) -> str:
    """``0.5 points``, ``1 point``: a threshold, with as many digits as it was given."""
    return f"{value:g} point{'' if value == 1 else 's'}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def represented(samples: int, label: str, *, is_tuned: bool) -> str:
    """Which of the samples of a search speaks for a variant; ``is_tuned`` where other seeds chose it than those that are told."""
    rule = f"chosen by mean accuracy on the {label} set, among those with the most finished seeds"
    then = f"{rule}, in trainings of the tuning, and trained again on other seeds, which the numbers are of" if is_tuned else rule
    return f"Each variant is represented by the best of its samples (up to {samples:,}), {then}."


def summed(seeds: int) -> str:
    """How counts come from the seeds."""
    return "of one seed" if seeds == 1 else f"summed over {seeds} seeds"


def listed(words: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return " ".join([", ".join(words[:-1]), last, words[-1]]) if len(words) > 1 else "".join(words)


def probability(p: float) -> str:
    """A p-value as usually printed."""
    if not math.isfinite(p):
        return "n/a"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def setting(value: object) -> str:
    """A config value, with as many digits as a reader wants to see."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "none" if value is None else str(value)
