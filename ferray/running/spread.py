"""How far the paired differences of single seeds lie apart, and how much of it images add: measured in the ledger, or assumed.

Measured on the validation images, since a plan must not look at the test set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.crossed import crossed, not_negative
from ferray.analysis.families import Family, share_of
from ferray.errors import LedgerError
from ferray.ledger import Ledger

if TYPE_CHECKING:
    from ferray.study import Study
    from ferray.trial import Trial

FEWEST_DEGREES = 4
"""Degrees of freedom, pairs of seeds beyond the first of each variant, from which a spread counts as measured."""
MOST_CONTRASTS = 20
"""So many effects are looked at; more would take long to read and tell nothing new."""
TRAINING_DEVIATION = 0.5
"""Accuracy points, assumed where nothing is measured: of one seed's paired difference, apart from the images."""
DISCORDANCE = 0.15
"""Assumed: on this share of the images one of two trainings is right and the other wrong."""
LASTING = 1 / 3
"""Assumed: the part of it that other seeds would not change."""


@dataclass(frozen=True)
class Spread:
    """Variances of paired differences in squared accuracy points, of which those due to images are of one image alone.

    Of an effect that averages differences, ``share`` is what is left of the parts that are drawn anew in each (see
    ``ferray.analysis.families.Family``). What all seeds have in common of an image is taken to be common to the differences too: it is
    what the factor does to that image, whatever else is there.

    ``training`` is that of one seed's difference apart from the images, ``lasting`` that among images which every seed shares,
    ``passing`` the rest, drawn anew with every seed and image. ``basis`` says where they are known from. Where every seed draws the images
    that it is judged on (``is_redrawn``), nothing of them lasts from one seed to the next.
    """

    training: float
    lasting: float
    passing: float
    basis: str
    is_assumed: bool = False
    is_redrawn: bool = False

    def of_a_seed(self, images: int, share: float = 1.0) -> float:
        """The variance of one seed's difference on so many images, the rest included; with what lasts where its images are its own."""
        return share * (self.training + self.passing / images) + (self.lasting / images if self.is_redrawn else 0.0)

    def of_images(self, images: int) -> float:
        """The variance of the mean over infinitely many seeds that so many images leave."""
        return 0.0 if self.is_redrawn else self.lasting / images


def assumed() -> Spread:
    """What is taken for granted where no finished trials tell."""
    share = 1e4 * DISCORDANCE
    basis = (
        f"an assumption, since too few finished trials tell: {TRAINING_DEVIATION:g} points through training, and "
        f"{100 * DISCORDANCE:.0f} % of the images on which one of two networks is right and the other wrong, a third of them in every seed"
    )
    return Spread(TRAINING_DEVIATION**2, LASTING * share, (1 - LASTING) * share, basis, is_assumed=True)


def spread(ledger: Ledger, study: Study, trials: Sequence[Trial], judged: Sequence[Family] = ()) -> Spread:
    """The spread of this study's finished trials, else of the study most like it in the ledger, else an assumption.

    Of its own trials it is that of the effects which are ``judged``, interactions apart, where there are enough whole seeds of them, else
    that of differences to the baseline. Like it are studies on the same data whose baseline is the same network; the one with the most
    pairs tells.
    """
    own = [(one.variant, 0 if study.tuning else one.sample, one.config.seed, one.key) for one in trials if one.phase == "final"]
    fingerprint = trials[0].data
    effects = [one for family in judged if family.kind != "interaction" for one in family.contrasts]
    for contrasts in (effects, _to_baseline(study.baseline, own)):
        found = _measured(ledger, fingerprint, contrasts, own)
        if found is not None:
            what = "main effects of single seeds" if len(contrasts[0]) > 2 else "paired differences"
            return _told(found, f"finished trials of this study, {found.pairs} {what} on validation")
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
        return _measured(ledger, fingerprint, _to_baseline(document["baseline"], entries), entries)
    except (LedgerError, KeyError, TypeError):
        return None  # others may tell


Entry = tuple[str, int, int, str]
"""Variant, sample, seed and key; all trials of a tuned study, whose variants each have one sample of their own, are of one sample."""


def _to_baseline(baseline: str, entries: Iterable[Entry]) -> list[Mapping[str, float]]:
    """The difference of every variant to the baseline."""
    return [{name: 1.0, baseline: -1.0} for name in dict.fromkeys(entry[0] for entry in entries) if name != baseline]


def _measured(ledger: Ledger, fingerprint: str, contrasts: Sequence[Mapping[str, float]], entries: Iterable[Entry]) -> _Measured | None:
    """Variances of a paired difference, pooled over contrasts and samples, of trials at the same sample; None where there are too few."""
    keys = {(variant, sample, seed): key for variant, sample, seed, key in entries}
    places = dict.fromkeys((sample, seed) for _, sample, seed in keys)
    groups: list[tuple[Mapping[str, float], int, list[int]]] = []
    for contrast in contrasts:
        whole: dict[int, list[int]] = {}
        for sample, seed in places:
            if all((variant, sample, seed) in keys for variant in contrast):
                whole.setdefault(sample, []).append(seed)
        groups += [(contrast, sample, seeds) for sample, seeds in whole.items()]
    groups = [group for group in groups[:MOST_CONTRASTS] if len(group[2]) > 1]
    if sum(len(seeds) - 1 for *_, seeds in groups) < FEWEST_DEGREES:
        return None
    try:
        labels = ledger.evaluation(fingerprint)["validation_labels"]
        is_redrawn = ledger.data(fingerprint).get("validation_split") == "seed"
    except (LedgerError, OSError, KeyError):
        return None
    right: dict[str, NDArray[np.float64] | None] = {}
    parts = []
    for contrast, sample, seeds in groups:
        rows = []
        for seed in seeds:
            own = [(weight, _right(ledger, keys[variant, sample, seed], labels, right)) for variant, weight in contrast.items()]
            told = [weight * values for weight, values in own if values is not None]
            if len(told) == len(own):
                rows.append(np.sum(told, axis=0))
        if len(rows) > 1:
            parts.append((_redrawn_parts if is_redrawn else _parts)(100 * np.stack(rows), share_of(contrast)))
    degrees = sum(one.degrees for one in parts)
    if degrees < FEWEST_DEGREES:
        return None
    weights = [one.degrees / degrees for one in parts]
    training, lasting, error, passing = (
        sum(weight * getattr(one, name) for weight, one in zip(weights, parts, strict=True))
        for name in ("training", "lasting", "lasting_error", "passing")
    )
    # the images are the same in all parts, so that more of these make no surer what they add
    return _Measured(max(0.0, training), not_negative(lasting, error), passing, degrees + len(parts), degrees, is_redrawn)


@dataclass(frozen=True)
class _Parts:
    """Variances as in Spread, as they were estimated: the first two are differences of mean squares, and below zero by chance."""

    training: float
    lasting: float
    lasting_error: float
    passing: float
    degrees: int


def _parts(table: NDArray[np.float64], share: float = 1.0) -> _Parts:
    """Of effects [seeds, images] that have this ``share`` of the variance of a paired difference."""
    seeds, images = table.shape
    found = crossed(table)
    passing = found.rest_variance * seeds * images
    return _Parts(
        training=(found.seed_variance * seeds - passing / images) / share,
        lasting=(found.image_variance - found.rest_variance) * images,
        lasting_error=found.of_images_error * images,
        passing=passing / share,
        degrees=seeds - 1,
    )


def _redrawn_parts(table: NDArray[np.float64], share: float = 1.0) -> _Parts:
    """The same where each seed drew its images; which part of their variance would last is assumed."""
    seeds, images = table.shape
    of_images = float(table.var(axis=1, ddof=1).mean())
    of_difference = of_images / (LASTING + share * (1 - LASTING))
    return _Parts(
        training=(float(table.mean(axis=1).var(ddof=1)) - of_images / images) / share,
        lasting=LASTING * of_difference,
        lasting_error=0.0,
        passing=(1 - LASTING) * of_difference,
        degrees=seeds - 1,
    )


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


def deviation(found: Spread, images: int, share: float = 1.0) -> float:
    """Of one seed's paired difference, or of an effect with such a share of its variance, in accuracy points, on so many images."""
    return math.sqrt(found.of_a_seed(images, share))
