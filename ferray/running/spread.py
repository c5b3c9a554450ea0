"""How far the paired differences of single seeds lie apart, and how much of it images add: measured in the ledger, or assumed.

Measured on the validation images, since a plan must not look at the test set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.crossed import crossed
from ferray.errors import LedgerError
from ferray.ledger import Ledger

if TYPE_CHECKING:
    from ferray.study import Study
    from ferray.trial import Trial

FEWEST_DEGREES = 4
"""Degrees of freedom, pairs of seeds beyond the first of each variant, from which a spread counts as measured."""
MOST_VARIANTS = 20
"""So many are looked at; more would take long to read and tell nothing new."""
TRAINING_DEVIATION = 0.5
"""Accuracy points, assumed where nothing is measured: of one seed's paired difference, apart from the images."""
DISCORDANCE = 0.15
"""Assumed: on this share of the images one of two trainings is right and the other wrong."""
LASTING = 1 / 3
"""Assumed: the part of it that other seeds would not change."""


@dataclass(frozen=True)
class Spread:
    """Variances of paired differences in squared accuracy points, of which those due to images are of one image alone.

    ``training`` is that of one seed's difference apart from the images, ``lasting`` that among images which every seed shares,
    ``passing`` the rest, drawn anew with every seed and image. ``basis`` says where they are known from.
    """

    training: float
    lasting: float
    passing: float
    basis: str

    @property
    def redrawn(self) -> Spread:
        """The same where every seed draws the images that it is judged on: none lasts from one to the next."""
        return replace(self, lasting=0.0, passing=self.lasting + self.passing)

    def of_a_seed(self, images: int) -> float:
        """The variance of one seed's difference on so many images, the rest included."""
        return self.training + self.passing / images

    def of_images(self, images: int) -> float:
        """The variance of the mean over infinitely many seeds that so many images leave."""
        return self.lasting / images


def assumed() -> Spread:
    """What is taken for granted where no finished trials tell."""
    share = 1e4 * DISCORDANCE
    basis = (
        f"an assumption, since too few finished trials tell: {TRAINING_DEVIATION:g} points through training, and "
        f"{100 * DISCORDANCE:.0f} % of the images on which one of two networks is right and the other wrong, a third of them in every seed"
    )
    return Spread(TRAINING_DEVIATION**2, LASTING * share, (1 - LASTING) * share, basis)


def spread(ledger: Ledger, study: Study, trials: Sequence[Trial]) -> Spread:
    """The spread of this study's finished trials, else of the study most like it in the ledger, else an assumption.

    Like it are studies on the same data whose baseline is the same network; the one with the most pairs tells.
    """
    own = [(one.variant, 0 if study.tuning else one.sample, one.config.seed, one.key) for one in trials if one.phase == "final"]
    fingerprint = trials[0].data
    found = _measured(ledger, fingerprint, study.baseline, own)
    if found is not None:
        return _told(found, f"finished trials of this study, {found.pairs} paired differences on validation")
    model = next((one.config.model for one in trials if one.variant == study.baseline), None)
    others = []
    for name in ledger.studies():
        measured = _of_study(ledger, name, fingerprint, model) if name != study.name else None
        if measured is not None:
            others.append((measured.degrees, name, measured))
    if not others:
        return assumed()
    _, name, best = max(others, key=lambda one: one[:2])
    return _told(best, f"study {name} (same data, same network), {best.pairs} paired differences on validation")


@dataclass(frozen=True)
class _Measured:
    training: float
    lasting: float
    passing: float
    pairs: int
    degrees: int
    is_redrawn: bool  # whether each seed drew its images


def _told(found: _Measured, where: str) -> Spread:
    share = ", each seed judged on images of its own, a third of whose part is assumed to last" if found.is_redrawn else ""
    return Spread(found.training, found.lasting, found.passing, f"by {where}{share}")


def _of_study(ledger: Ledger, name: str, fingerprint: str, model: str | None) -> _Measured | None:
    try:
        document = ledger.study(name)
        same = document["data"]["fingerprint"] == fingerprint
        if not same or document["variants"][document["baseline"]]["config"]["model"] != model:
            return None
        plan: list[Mapping[str, Any]] = document["plan"]
        final = [one for one in plan if one.get("phase", "final") == "final"]
        tuned = document.get("tuning")
        entries = [(one["variant"], 0 if tuned else one["sample"], one["seed"], one["key"]) for one in final]
        return _measured(ledger, fingerprint, document["baseline"], entries)
    except (LedgerError, KeyError, TypeError):
        return None  # others may tell


def _measured(ledger: Ledger, fingerprint: str, baseline: str, entries: Iterable[tuple[str, int, int, str]]) -> _Measured | None:
    """Variances pooled over variants and samples, of pairs at the same sample; None where there are too few.

    Entries are variant, sample, seed and key; those of a tuned study, whose variants each have one sample of their own, are all of one.
    """
    keys = {(variant, sample, seed): key for variant, sample, seed, key in entries}
    groups: dict[tuple[str, int], list[int]] = {}
    for variant, sample, seed in keys:
        if variant != baseline and (baseline, sample, seed) in keys:
            groups.setdefault((variant, sample), []).append(seed)
    groups = {place: seeds for place, seeds in list(groups.items())[:MOST_VARIANTS] if len(seeds) > 1}
    if sum(len(seeds) - 1 for seeds in groups.values()) < FEWEST_DEGREES:
        return None
    try:
        labels = ledger.evaluation(fingerprint)["validation_labels"]
        is_redrawn = ledger.data(fingerprint).get("validation_split") == "seed"
    except (LedgerError, OSError, KeyError):
        return None
    right: dict[str, NDArray[np.float64] | None] = {}
    parts = []
    for (variant, sample), seeds in groups.items():
        rows = []
        for seed in seeds:
            pair = [_right(ledger, keys[name, sample, seed], labels, right) for name in (variant, baseline)]
            if pair[0] is not None and pair[1] is not None:
                rows.append(pair[0] - pair[1])
        if len(rows) > 1:
            parts.append((_redrawn_parts if is_redrawn else _parts)(100 * np.stack(rows)))
    degrees = sum(degrees for *_, degrees in parts)
    if degrees < FEWEST_DEGREES:
        return None
    training, lasting, passing = (sum(one[place] * one[3] for one in parts) / degrees for place in range(3))
    return _Measured(max(0.0, training), max(0.0, lasting), passing, degrees + len(parts), degrees, is_redrawn)


def _parts(table: NDArray[np.float64]) -> tuple[float, float, float, int]:
    """Of differences [seeds, images] the variances due to training, images, and the rest of one image and seed; degrees of freedom.

    The first two are differences of mean squares, and below zero where there is nothing to find.
    """
    seeds, images = table.shape
    found = crossed(table)
    passing = found.rest_variance * seeds * images
    lasting = (found.image_variance - found.rest_variance) * images
    return found.seed_variance * seeds - passing / images, lasting, passing, seeds - 1


def _redrawn_parts(table: NDArray[np.float64]) -> tuple[float, float, float, int]:
    """The same where each seed drew its images; which part of their variance would last is assumed."""
    seeds, images = table.shape
    of_images = float(table.var(axis=1, ddof=1).mean())
    return float(table.mean(axis=1).var(ddof=1)) - of_images / images, LASTING * of_images, (1 - LASTING) * of_images, seeds - 1


def _right(ledger: Ledger, key: str, labels: NDArray[np.int64], known: dict[str, NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """Whether a finished trial was right about each validation image at its selected epoch, or None where it cannot tell."""
    if key not in known:
        known[key] = None
        try:
            given = (ledger.predictions(key) or {}).get("validation_selected") if ledger.status(key) == "finished" else None
            if given is not None and len(given) == len(labels):
                known[key] = (given.argmax(axis=1) == labels).astype(float)
        except LedgerError:
            pass  # it will be set aside and run again
    return known[key]


def deviation(found: Spread, images: int) -> float:
    """Of one seed's paired difference, in accuracy points, on so many images."""
    return math.sqrt(found.of_a_seed(images))
