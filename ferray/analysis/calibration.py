"""Calibration: whether networks are right as often as they claim to be sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ferray.analysis.answers import Answers, answers, fates, paired, removed_by, spoken
from ferray.analysis.constant import constant_answers, constant_words
from ferray.analysis.crossed import Crossed
from ferray.analysis.per_image import of_predictions
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate
from ferray.analysis.verdicts import FEWEST_SEEDS, holm

BINS = 15
"""Bins of equal width in the confidence, as in Guo et al. (2017)."""
MEASURES = {"ece": "calibration error", "overconfidence": "confidence minus accuracy", "loss": "log loss", "brier": "Brier score"}
UNITS = {"ece": "points", "overconfidence": "points", "loss": "nats", "brier": "score"}
DIGITS = {"ece": 1, "overconfidence": 1, "loss": 3, "brier": 3}
FACTORS = {"ece": 100.0, "overconfidence": 100.0, "loss": 1.0, "brier": 1.0}
LIMITS = {"ece": (0.0, 100.0), "overconfidence": (-100.0, 100.0), "loss": (0.0, np.inf), "brier": (0.0, 2.0)}
"""What each measure can be; estimates of it, and of its differences, are cut to what is possible."""


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
    fixed: str  # which of its trainings answer one class for nearly every image, in words; empty where none does

    @property
    def confidence(self) -> Estimate:
        """Confidence minus accuracy with the widest interval that there is: over seeds and images, or of one seed over images."""
        return best(self.measured["overconfidence"])

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
    variants, label = [], results.split_labels[split]
    for name, own in found.items():
        errors = [calibration_error(one, own.labels) for one in own.probabilities]
        fixed = constant_answers(own, results.classes)
        variants.append(
            Calibration(
                variant=name,
                spoken=spoken(results, name),
                removed=removed_by(results, name),
                keys=own.keys,
                seeds=len(own.seeds),
                fates=fates(results, name),
                bins=tuple(reliability(one, own.labels) for one in own.probabilities),
                measured={measure: _measured(own, measure) for measure in MEASURES},
                plain_error=100 * float(np.mean([error for error, _ in errors])),
                gained=gained.get(name, {}),
                p_adjusted=adjusted[name],
                fixed="" if fixed is None else constant_words(fixed, label),
            )
        )
    images = len(next(iter(found.values())).labels)
    return CalibrationInfo(results.baseline, split, label, images, tuple(variants), results.synthetic)


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS) -> Bins:
    """The reliability diagram of one training: of probabilities [images, classes] and labels [images] by the confidence of the answers."""
    confidence, right, place = _confidence(probabilities, labels, bins)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, accuracy = (np.bincount(place, weights=values, minlength=bins) / counts for values in (confidence, right))
    return Bins(counts / len(labels), mean, accuracy)


def calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS, groups: NDArray[np.integer] | None = None
) -> tuple[float, float]:
    """The expected calibration error (0..1) and the part of it that is bias; ``groups`` [images] numbers near-identical images from 0.

    The error is the mean over images of how far apart mean confidence and accuracy of their bin lie (Guo et al. 2017, ICML). With few
    images in a bin the two differ by chance, which never lowers the error: even a perfectly calibrated network has one. The bias is
    estimated by how much the error grows, in expectation, once each bin's accuracy is drawn anew from a normal distribution about its
    value, as Kumar, Liang and Ma (2019, NeurIPS) do for errors of absolute value; the draw is replaced by the folded normal's mean. The
    standard error of an accuracy is that between groups (Liang and Zeger 1986, Biometrika 73); of images that stand alone, the binomial.
    """
    told = reliability(probabilities, labels, bins)
    full = told.shares > 0
    shares = told.shares[full]
    gaps = np.abs(told.accuracy[full] - told.confidence[full])
    _, right, place = _confidence(probabilities, labels, bins)
    together = (np.arange(len(labels)) if groups is None else groups) * bins + place
    rests = np.bincount(together, weights=right - told.accuracy[place])
    squares = np.bincount(np.arange(len(rests)) % bins, weights=rests**2, minlength=bins)
    error = np.sqrt(squares[full]) / (shares * len(labels))
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
    return np.stack([_by_image(one, own.labels, measure, own.groups) for one in own.probabilities])


def _by_image(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], measure: str, groups: NDArray[np.integer] | None
) -> NDArray[np.float64]:
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
    return np.asarray(signs[place] * (confidence - right) - calibration_error(probabilities, labels, BINS, groups)[1], dtype=float)


def _gained(own: Answers, reference: Answers | None) -> dict[str, Crossed]:
    """How much lower each measure is than the reference's, at the seeds of both."""
    both = paired(own, reference)
    if both is None:
        return {}
    return {
        name: own.told(_table(both[1], name) - _table(both[0], name)).scaled(FACTORS[name]).within(*difference_limits(name))
        for name in MEASURES
    }


def difference_limits(measure: str) -> tuple[float, float]:
    """What the difference of two of a measure can be."""
    low, high = LIMITS[measure]
    return low - high, high - low


def _measured(own: Answers, measure: str) -> Crossed:
    return own.told(_table(own, measure)).scaled(FACTORS[measure]).within(*LIMITS[measure])


def best(told: Crossed) -> Estimate:
    """The estimate over seeds and images together, or of one seed that over images."""
    return told.both if told.both.has_interval else told.images
