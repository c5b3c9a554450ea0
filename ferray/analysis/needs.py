"""What it would take to decide an effect that is inconclusive: more seeds, or more images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ferray.analysis.crossed import Crossed
from ferray.analysis.verdicts import Undecided
from ferray.power import seeds_needed

MOST_IMAGES = 1000
"""Times as many images as there are; what needs more is told as out of reach."""


@dataclass(frozen=True)
class Needs:
    """``seeds`` decide on these very images; None where more of them do not, and then ``more_seeds`` on ``images`` may."""

    seeds: int | None
    images: int | None = None
    more_seeds: int | None = None


def needs(found: Crossed, margin: float, family: Undecided, groups: int) -> Needs:
    """Seeds that decide in four of five such studies, if the effect and its spread are as they were found, in the unit of ``margin``.

    Where no number of seeds is enough, as the images alone leave too much open: how many images it takes so that at most twice the
    seeds decide that would on endlessly many. ``groups`` counts near-identical images once; ``family`` is what of it is open.

    Variances are those for planning, as in ferray.running.spread: where images seem to add nothing, they are taken to add what they may.
    """
    n = len(found.points)
    of_seed, of_images = found.of_a_seed, found.of_images

    def enough(of_images: float, images: float | None) -> int | None:
        among = family.differences
        return seeds_needed(found.both.mean, of_seed, of_images, among, margin=margin, images=images, equivalences=family.equivalences)

    def seeds(times: float) -> int | None:
        return enough(of_images / times, None if found.is_redrawn else groups * times)

    now = seeds(1.0)
    if now is not None:
        return Needs(max(now, n + 1))  # what was found with n has not decided
    if found.is_redrawn:
        return Needs(None)  # more images would also be trained on, and nobody knows what that does
    least = enough(0.0, math.inf)
    if least is None:
        return Needs(None)
    low, high = 1.0, 2.0
    while (told := seeds(high)) is None or told > 2 * least:
        low, high = high, 2 * high
        if high > MOST_IMAGES:
            return Needs(None)
    while high / low > 1.05:
        middle = math.sqrt(low * high)
        told = seeds(middle)
        low, high = (low, middle) if told is not None and told <= 2 * least else (middle, high)
    return Needs(None, _rounded(high * found.n_images), seeds(high))


def _rounded(number: float) -> int:
    """Up to two digits, as no more are known."""
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return int(math.ceil(number / step) * step)
