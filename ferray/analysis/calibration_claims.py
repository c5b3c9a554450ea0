"""What is said of calibration: each variant's measures, and how they differ from the baseline's, as claims and in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ferray.analysis.calibration import BINS, DIGITS, LIMITS, MEASURES, UNITS, Calibration, CalibrationInfo, best, difference_limits
from ferray.analysis.claims import Claim
from ferray.analysis.crossed import Crossed
from ferray.analysis.statistics import Estimate
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS
from ferray.analysis.wording import image_count, interval, plain, plural, probability, signed


def calibration_claims(info: CalibrationInfo) -> list[Claim]:
    """Every measure of every variant, and its difference to the baseline: of a factor, how much lower it is with the factor."""
    claims = []
    reference = next((one for one in info.variants if one.variant == info.baseline), None)
    for one in info.variants:
        counts = {**one.fates, "trainings": one.seeds, "images": info.images, "image_groups": one.measured["ece"].n_groups}
        caveats = (one.fixed,) if one.fixed else ()
        for measure, told in one.measured.items():
            estimates = _estimates(told)
            if measure != "overconfidence":  # that another measure is zero is no hypothesis
                estimates = {name: replace(estimate, p=np.nan) for name, estimate in estimates.items()}
            details = {"bins": BINS, "without the correction of bias": one.plain_error} if measure == "ece" else {}
            claims.append(
                Claim(
                    name=f"calibration/{one.variant}/{info.split}/{measure}", kind="calibration", subject=one.variant, split=info.split,
                    metric=MEASURES[measure], unit=UNITS[measure], estimates=estimates,
                    methods=_methods(told, LIMITS[measure], UNITS[measure]), keys=one.keys, sentence=_sentence(one, info, measure),
                    decided_by="both" if told.both.has_interval else "images", counts=counts, caveats=caveats, details=details,
                )
            )  # fmt: skip
        for measure, gained in one.gained.items():
            if measure != "overconfidence":
                claims.append(_difference_claim(one, info, measure, gained, () if reference is None else reference.keys))
    return claims


def _difference_claim(one: Calibration, info: CalibrationInfo, measure: str, gained: Crossed, reference: tuple[str, ...]) -> Claim:
    told = gained.scaled(-1) if one.removed else gained
    pair = (info.baseline, one.variant) if one.removed else (one.variant, info.baseline)
    return Claim(
        name=f"calibration/{one.variant} beside {info.baseline}/{info.split}/{measure}", kind="calibration",
        subject=one.removed or one.variant, split=info.split, metric=f"lower {MEASURES[measure]}", unit=UNITS[measure],
        estimates=_estimates(told), methods=_methods(told, difference_limits(measure), UNITS[measure]), keys=(*one.keys, *reference),
        sentence=difference_sentence(one, info, measure), compared=pair,
        family=f"calibration/{info.split}/{measure}", decided_by="both", p_adjusted=one.p_adjusted.get(measure, np.nan),
        counts={"paired": told.both.n, "images": info.images, "image_groups": told.n_groups}, caveats=_fixed(one, info),
    )  # fmt: skip


def _fixed(one: Calibration, info: CalibrationInfo) -> tuple[str, ...]:
    """Which trainings on either side of a difference answer one class for nearly every image."""
    return tuple(side.fixed for side in info.variants if side.fixed and side.variant in (one.variant, info.baseline))


def _estimates(told: Crossed) -> dict[str, Estimate]:
    return {"seeds": told.seeds, "images": told.images, "both": told.both}


def _sentence(one: Calibration, info: CalibrationInfo, measure: str) -> str:
    told, digits = best(one.measured[measure]), DIGITS[measure]
    unit = "" if measure == "brier" else f" {UNITS[measure]}"
    sure = f"95 % interval {interval(told, digits)}, {plural(one.seeds, 'seed')}, {image_count(info.images, one.measured['ece'].n_groups)}"
    number = (signed if measure == "overconfidence" else plain)(told.mean, digits)
    return f"{one.spoken}: the {MEASURES[measure]} on the {info.label} set is {number}{unit} ({sure})."


def leaning_sentence(one: Calibration, info: CalibrationInfo) -> str:
    """Over- or underconfident in words, with the calibration error."""
    error, lean = best(one.measured["ece"]), one.confidence
    sure = f"confidence minus accuracy {signed(lean.mean)} points, 95 % interval {interval(lean, sign=True)}"
    subject = one.spoken if one.spoken == one.variant else f"{one.spoken} the network"
    warning = f"; {one.fixed}, and a fixed answer is easily calibrated" if one.fixed else ""
    return (
        f"{subject} ({plural(one.seeds, 'seed')}) is {one.leaning} on the {info.label} set ({sure}); its calibration error is "
        f"{plain(error.mean)} points (95 % interval {interval(error)}){warning}."
    )


def difference_sentence(one: Calibration, info: CalibrationInfo, measure: str = "ece") -> str:
    """How much larger or smaller a measure is than the baseline's; or that the two are not told apart."""
    digits, p = DIGITS[measure], one.p_adjusted.get(measure, np.nan)
    change = one.gained[measure].both.scaled(-1)
    unit = "" if measure == "brier" else f" {UNITS[measure]}"
    sure = plural(change.n, "paired seed")
    if change.has_interval:
        sure = f"95 % interval {interval(change, digits, sign=True)}, {sure}" + (f", adjusted p {probability(p)}" if p == p else "")
    undecided = ""
    if p != p:
        undecided = (
            f"; fewer than {FEWEST_SEEDS} seeds decide nothing" if change.n < FEWEST_SEEDS else "; all seeds show the same difference"
        )
    warning = "".join(f"; {words}" for words in _fixed(one, info))
    name = "" if info.baseline == "baseline" else f", {info.baseline}"
    told = f"{_beside(change, p)} that of the baseline{name}"
    return f"{one.spoken}: the {MEASURES[measure]} is {told} ({signed(change.mean, digits)}{unit}, {sure}){undecided}{warning}."


def _beside(change: Estimate, p: float) -> str:
    """How a measure lies beside the baseline's; p alone decides which is larger."""
    if change.is_point and change.mean == 0:
        return "as large as"
    if p < ALPHA:
        return f"{'larger' if change.mean > 0 else 'smaller'} than"
    return "not told apart from"


def _methods(told: Crossed, limits: tuple[float, float], unit: str) -> Mapping[str, str]:
    """How the estimates come about that are cut to these limits."""
    low, high = limits
    if not np.isfinite(low):
        return told.methods
    of_unit = "" if unit == UNITS["brier"] else f" {unit}"
    return told.methods_within(f"{plain(low, 0)} to {plain(high, 0)}{of_unit}" if np.isfinite(high) else f"{plain(low, 0)} {unit} or more")
