"""Calibration: whether networks are right as often as they claim to be sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ferray.analysis.answers import Answers, answers, fates, paired, removed_by, spoken
from ferray.analysis.claims import Claim
from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.per_image import of_predictions
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS, holm
from ferray.analysis.wording import interval, plain, plural, probability, signed

BINS = 15
"""Bins of equal width in the confidence, as in Guo et al. (2017)."""
MEASURES = {"ece": "calibration error", "overconfidence": "confidence minus accuracy", "loss": "log loss", "brier": "Brier score"}
UNITS = {"ece": "points", "overconfidence": "points", "loss": "nats", "brier": "score"}
DIGITS = {"ece": 1, "overconfidence": 1, "loss": 3, "brier": 3}
FACTORS = {"ece": 100.0, "overconfidence": 100.0, "loss": 1.0, "brier": 1.0}
HIGHEST = {"ece": 100.0, "overconfidence": 100.0, "loss": np.inf, "brier": 2.0}


@dataclass(frozen=True)
class Bins:
    """The images of one training by the confidence of its answers: the share of images in each bin, their mean confidence and accuracy.

    All are [bins]; confidence and accuracy are NaN where a bin is empty.
    """

    shares: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """One variant on one split; estimates as in ``ferray.analysis.crossed``, in the units of ``UNITS``."""

    variant: str
    spoken: str  # what a sentence about it begins with
    removed: str  # what it goes without, in words; empty for a free variant
    keys: tuple[str, ...]
    seeds: int
    fates: Mapping[str, int]
    bins: tuple[Bins, ...]  # by seed
    measured: Mapping[str, Crossed]
    plain_error: float  # the mean calibration error without the correction of its bias, in points
    gained: Mapping[str, Crossed]  # how much lower each measure is than the baseline's at the same seeds; empty for the baseline
    p_adjusted: Mapping[str, float]  # of ``gained`` (``both``), Holm over the variants

    @property
    def confidence(self) -> Estimate:
        """Confidence minus accuracy with the widest interval that there is: over seeds and images, or of one seed over images."""
        return _best(self.measured["overconfidence"])

    @property
    def leaning(self) -> str:
        """Over- or underconfident, or neither for certain."""
        if not self.confidence.excludes_zero:
            return "neither over- nor underconfident for certain"
        return "overconfident" if self.confidence.mean > 0 else "underconfident"


@dataclass(frozen=True)
class CalibrationInfo:
    """Every variant whose trainings left predictions, in the study's order."""

    baseline: str
    split: str
    label: str
    images: int
    variants: tuple[Calibration, ...]
    synthetic: bool


def calibration_info(results: Results, split: str | None = None) -> CalibrationInfo | None:
    """The calibration of every variant on a split, or on the one that is told first; None while no training has left predictions."""
    split = split or results.headline
    found = {name: own for name in results.variants if (own := answers(results, name, split)) is not None}
    if not found:
        return None
    reference = found.get(results.baseline)
    gained = {name: _gained(own, reference) for name, own in found.items() if name != results.baseline}
    adjusted: dict[str, dict[str, float]] = {name: {} for name in found}
    for measure in MEASURES:
        told = {name: own[measure] for name, own in gained.items() if measure in own}
        tested = [one.both.p if one.both.n >= FEWEST_SEEDS else np.nan for one in told.values()]
        for name, p in zip(told, holm(tested), strict=True):
            adjusted[name][measure] = p
    variants = []
    for name, own in found.items():
        errors = [calibration_error(one, own.labels) for one in own.probabilities]
        variants.append(
            Calibration(
                variant=name,
                spoken=spoken(results, name),
                removed=removed_by(results, name),
                keys=own.keys,
                seeds=len(own.seeds),
                fates=fates(results, name),
                bins=tuple(reliability(one, own.labels) for one in own.probabilities),
                measured={measure: _cut(own, measure) for measure in MEASURES},
                plain_error=100 * float(np.mean([error for error, _ in errors])),
                gained=gained.get(name, {}),
                p_adjusted=adjusted[name],
            )
        )
    images = len(next(iter(found.values())).labels)
    return CalibrationInfo(results.baseline, split, results.split_labels[split], images, tuple(variants), results.synthetic)


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS) -> Bins:
    """The reliability diagram of one training: of probabilities [images, classes] and labels [images] by the confidence of the answers."""
    confidence, right, place = _confidence(probabilities, labels, bins)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, accuracy = (np.bincount(place, weights=values, minlength=bins) / counts for values in (confidence, right))
    return Bins(counts / len(labels), mean, accuracy)


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS) -> tuple[float, float]:
    """The expected calibration error (0..1) and the part of it that is bias.

    The error is the mean over images of how far apart mean confidence and accuracy of their bin lie (Guo et al. 2017, ICML). With few
    images in a bin the two differ by chance, which never lowers the error: even a perfectly calibrated network has one. The bias is
    estimated by how much the error grows, in expectation, once each bin's accuracy is drawn anew from a normal distribution about its
    value, as Kumar, Liang and Ma (2019, NeurIPS) do for errors of absolute value; the draw is replaced by the folded normal's mean.
    """
    told = reliability(probabilities, labels, bins)
    full = told.shares > 0
    shares, accuracy = told.shares[full], told.accuracy[full]
    gaps = np.abs(accuracy - told.confidence[full])
    error = np.sqrt(accuracy * (1 - accuracy) / (shares * len(labels)))
    with np.errstate(divide="ignore", invalid="ignore"):
        again = np.where(error > 0, stats.foldnorm.mean(gaps / error, scale=error), gaps)
    return float(shares @ gaps), float(shares @ (again - gaps))


def _confidence(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    confidence = probabilities.max(axis=1).astype(float)
    right = (probabilities.argmax(axis=1) == labels).astype(float)
    return confidence, right, np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # upper edges belong to their bin


def _table(own: Answers, measure: str) -> NDArray[np.float64]:
    return np.stack([_by_image(one, own.labels, measure) for one in own.probabilities])


def _by_image(probabilities: NDArray[np.floating], labels: NDArray[np.integer], measure: str) -> NDArray[np.float64]:
    """One number per image whose mean is the measure.

    For the calibration error the sign of its bin's gap times the image's own: the influence of an image on the error where no gap is
    zero (the infinitesimal jackknife; Efron 1982, chapter 6), less the bias.
    """
    if measure == "loss":
        return of_predictions(probabilities, labels, "loss", ())
    if measure == "brier":
        truth = np.eye(probabilities.shape[1])[labels]
        return np.asarray(((probabilities - truth) ** 2).sum(axis=1), dtype=float)
    confidence, right, place = _confidence(probabilities, labels, BINS)
    if measure == "overconfidence":
        return confidence - right
    signs = np.sign(np.bincount(place, weights=confidence - right, minlength=BINS))
    return np.asarray(signs[place] * (confidence - right) - calibration_error(probabilities, labels)[1], dtype=float)


def _gained(own: Answers, reference: Answers | None) -> dict[str, Crossed]:
    """How much lower each measure is than the reference's, at the seeds of both."""
    both = paired(own, reference)
    if both is None:
        return {}
    tables = {name: _table(both[1], name) - _table(both[0], name) for name in MEASURES}
    return {name: crossed(table, redrawn=both[0].redrawn).scaled(FACTORS[name]) for name, table in tables.items()}


def _cut(own: Answers, measure: str) -> Crossed:
    """The measure's estimates, cut to what it can be."""
    told = crossed(_table(own, measure), redrawn=own.redrawn).scaled(FACTORS[measure])
    low = -100.0 if measure == "overconfidence" else 0.0
    limits = (low, HIGHEST[measure])
    return replace(told, seeds=told.seeds.within(*limits), images=told.images.within(*limits), both=told.both.within(*limits))


def _best(told: Crossed) -> Estimate:
    return told.both if told.both.has_interval else told.images


def calibration_claims(info: CalibrationInfo) -> list[Claim]:
    """Every measure of every variant, and its difference to the baseline: of a factor, how much lower it is with the factor."""
    claims = []
    reference = next((one.keys for one in info.variants if one.variant == info.baseline), ())
    for one in info.variants:
        counts = {**one.fates, "trainings": one.seeds, "images": info.images}
        for measure, told in one.measured.items():
            details = {"bins": BINS, "without the correction of bias": one.plain_error} if measure == "ece" else {}
            claims.append(
                Claim(
                    name=f"calibration/{one.variant}/{info.split}/{measure}", kind="calibration", subject=one.variant, split=info.split,
                    metric=MEASURES[measure], unit=UNITS[measure], estimates=_estimates(told), methods=told.methods, keys=one.keys,
                    sentence=_sentence(one, info, measure), decided_by="both" if told.both.has_interval else "images", counts=counts,
                    details=details,
                )
            )  # fmt: skip
        for measure, gained in one.gained.items():
            if measure != "overconfidence":
                claims.append(_difference_claim(one, info, measure, gained, reference))
    return claims


def _difference_claim(one: Calibration, info: CalibrationInfo, measure: str, gained: Crossed, reference: tuple[str, ...]) -> Claim:
    told = gained.scaled(-1) if one.removed else gained
    pair = (info.baseline, one.variant) if one.removed else (one.variant, info.baseline)
    return Claim(
        name=f"calibration/{one.variant} beside {info.baseline}/{info.split}/{measure}", kind="calibration",
        subject=one.removed or one.variant, split=info.split, metric=f"lower {MEASURES[measure]}", unit=UNITS[measure],
        estimates=_estimates(told), methods=told.methods, keys=(*one.keys, *reference),
        sentence=difference_sentence(one, info, measure), compared=pair,
        family=f"calibration/{info.split}/{measure}", decided_by="both", p_adjusted=one.p_adjusted.get(measure, np.nan),
        counts={"paired": told.both.n, "images": info.images},
    )  # fmt: skip


def _estimates(told: Crossed) -> dict[str, Estimate]:
    return {"seeds": told.seeds, "images": told.images, "both": told.both}


def _sentence(one: Calibration, info: CalibrationInfo, measure: str) -> str:
    told, digits = _best(one.measured[measure]), DIGITS[measure]
    unit = "" if measure == "brier" else f" {UNITS[measure]}"
    sure = f"95 % interval {interval(told, digits)}, {plural(one.seeds, 'seed')}, {info.images:,} images"
    number = (signed if measure == "overconfidence" else plain)(told.mean, digits)
    return f"{one.spoken}: the {MEASURES[measure]} on the {info.label} set is {number}{unit} ({sure})."


def leaning_sentence(one: Calibration, info: CalibrationInfo) -> str:
    """Over- or underconfident in words, with the calibration error."""
    error, lean = _best(one.measured["ece"]), one.confidence
    sure = f"confidence minus accuracy {signed(lean.mean)} points, 95 % interval {interval(lean, sign=True)}"
    subject = one.spoken if one.spoken == one.variant else f"{one.spoken} the network"
    return (
        f"{subject} (n = {one.seeds}) is {one.leaning} on the {info.label} set ({sure}); its calibration error is "
        f"{plain(error.mean)} points ({interval(error)})."
    )


def difference_sentence(one: Calibration, info: CalibrationInfo, measure: str = "ece") -> str:
    """How much larger or smaller a measure is than the baseline's, and whether that is certain."""
    told, digits, p = one.gained[measure], DIGITS[measure], one.p_adjusted.get(measure, np.nan)
    change = told.scaled(-1).both
    unit = "" if measure == "brier" else f" {UNITS[measure]}"
    direction = "larger" if change.mean > 0 else "smaller"
    sure = f"paired, {plural(change.n, 'seed')}"
    if change.has_interval:
        sure = f"95 % interval {interval(change, digits, sign=True)}, {sure}" + (f", adjusted p {probability(p)}" if p == p else "")
    certain = (
        "" if p < ALPHA else "; that leaves open which is better" if p >= ALPHA else f"; fewer than {FEWEST_SEEDS} seeds decide nothing"
    )
    gap = plain(abs(change.mean), digits)
    return f"{one.spoken}: the {MEASURES[measure]} is {gap}{unit} {direction} than that of {info.baseline} ({sure}){certain}."
