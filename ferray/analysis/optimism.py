"""The test set: how often it was opened, and how much better things looked where they were chosen than where they were not.

The selected epoch has the highest of many validation accuracies, and the chosen sample the highest of many means. The highest of many
noisy numbers is too high by itself (Cawley and Talbot 2010, Journal of Machine Learning Research 11). How much is seen by comparing it
with numbers that chose nothing: those of the test set, and those of fresh seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from ferray.analysis.claims import Claim
from ferray.analysis.results import Results
from ferray.analysis.seal import SEALED
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.statistics import LEVEL, Estimate, Numbers, mean_interval
from ferray.analysis.wording import interval, moment, plural, signed
from ferray.errors import LedgerError
from ferray.ledger import openings
from ferray.ledger.openings import Opening

METHODS = {
    "gap": "t over seeds, of validation minus test accuracy at the selected epoch",
    "selection": "Welch's t, of validation accuracy on the seeds of the tuning minus that on fresh seeds",
}


@dataclass(frozen=True)
class Optimism:
    """How much too good something looked, in accuracy points; ``keys`` are the trials behind it."""

    variant: str
    kind: str  # "gap": validation minus test, per seed. "selection": tuning minus fresh seeds, on validation
    estimate: Estimate
    keys: tuple[str, ...]


@dataclass(frozen=True)
class OpenedInfo:
    """The openings of the test set and the optimism of every variant, as far as there are figures."""

    labels: Mapping[str, str]
    openings: tuple[Opening, ...]
    unreadable: str  # why the openings cannot be told, or nothing
    gaps: tuple[Optimism, ...]
    selections: tuple[Optimism, ...]
    sealed: int  # trials


def opened_info(results: Results) -> OpenedInfo:
    """What the section on the test set tells."""
    found: list[Opening] = []
    unreadable = ""
    try:
        found = [one for one in openings.read(results.ledger, results.name) if one.split == SEALED]
    except LedgerError as error:
        unreadable = str(error)
    trials = speaking_trials(results)
    final = trials[trials["phase"] != "tuning"]
    gaps = [gap for variant in results.variants if (gap := _gap(final, variant)) is not None] if SEALED in results.splits else []
    selections = [one for variant in results.variants if (one := _selection(results.trials, variant)) is not None]
    return OpenedInfo(results.split_labels, tuple(found), unreadable, tuple(gaps), tuple(selections), len(results.sealed))


def _gap(final: pd.DataFrame, variant: str) -> Optimism | None:
    own = finished_of(final[final["phase"] == "final"], variant).dropna(subset=["validation_accuracy", "test_accuracy"])
    if own.empty:
        return None
    points = 100 * (own["validation_accuracy"] - own["test_accuracy"]).to_numpy(float)
    return Optimism(variant, "gap", mean_interval(points), tuple(own["key"]))


def _selection(trials: pd.DataFrame, variant: str) -> Optimism | None:
    """None where no fresh seeds tell, or none of the tuning's trials is of the sample that they have."""
    own = trials[(trials["variant"] == variant) & (trials["status"] == "finished")]
    final = own[own["phase"] == "final"].drop_duplicates("key")
    tuning = own[(own["phase"] == "tuning") & own["sample"].isin(final["sample"].unique()) & ~own["seed"].isin(final["seed"])]
    if final.empty or tuning.empty:
        return None
    looked, proved = 100 * tuning["validation_accuracy"].to_numpy(float), 100 * final["validation_accuracy"].to_numpy(float)
    return Optimism(variant, "selection", welch(looked, proved), (*tuning["key"], *final["key"]))


def welch(left: Numbers, right: Numbers, level: float = LEVEL) -> Estimate:
    """The difference of two independent means with Welch's interval (1947, Biometrika 34); ``n`` is the size of the smaller sample.

    Speaks about the *training*. Without two values on each side there is no interval.
    """
    sides = mean_interval(left, level), mean_interval(right, level)
    mean, n = sides[0].mean - sides[1].mean, min(side.n for side in sides)
    variance = sum(side.error**2 for side in sides)
    if n < 2 or not variance > 0:
        return Estimate(mean, math.nan, math.nan, n)
    error = math.sqrt(variance)
    degrees = variance**2 / sum(side.error**4 / (side.n - 1) for side in sides)
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, degrees))
    return Estimate(mean, mean - half, mean + half, n, p=p, error=error, degrees=degrees)


def optimism_claims(info: OpenedInfo) -> list[Claim]:
    """A claim for each variant's gap, and for each chosen sample that was trained on fresh seeds."""
    return [
        Claim(
            name=f"optimism/{one.kind}/{one.variant}",
            kind="optimism",
            subject=one.variant,
            split="validation",
            metric="accuracy",
            unit="points",
            estimates={"seeds": one.estimate},
            methods={"seeds": METHODS[one.kind]},
            keys=one.keys,
            sentence=_sentence(one, info),
            counts={"seeds": one.estimate.n},
            caveats=(two_sets(info),) if one.kind == "gap" else (),
        )
        for one in [*info.gaps, *info.selections]
    ]


def opened_sentences(info: OpenedInfo) -> list[str]:
    """How often the test set was opened, and what is sealed."""
    told = []
    if info.unreadable:
        told.append(f"How often the test set was opened cannot be told: {info.unreadable}.")
    elif info.openings:
        first = info.openings[0]
        configurations = len({name for one in info.openings for name in one.configurations})
        trials = len({key for one in info.openings for key in one.keys})
        by = sorted({one.who for one in info.openings})
        often = "once" if len(info.openings) == 1 else f"{len(info.openings)} times, each time for trials that nobody had looked at before"
        told.append(
            f"The test set was opened {often}, first on {moment(first.when)}: for {plural(configurations, 'configuration')} and "
            f"{plural(trials, 'trial')} in all (by {', '.join(by)})."
        )
    elif SEALED in info.labels:
        told.append("No opening of the test set is on record.")
    if info.sealed:
        told.append(f"It stays sealed for {plural(info.sealed, 'trial')} that only helped to choose.")
    return told


def optimism_sentences(info: OpenedInfo) -> list[str]:
    """One sentence for each variant and kind."""
    return [_sentence(one, info) for one in [*info.gaps, *info.selections]]


def two_sets(info: OpenedInfo) -> str:
    """What a gap between two sets of images does not say."""
    return (
        f"The two sets hold different images: what one is harder than the other is part of the gap, beside the choice of the epoch on the "
        f"{info.labels['validation']} set."
    )


def _sentence(one: Optimism, info: OpenedInfo) -> str:
    points = f"{signed(one.estimate.mean)} points"
    certain = f" (95 % interval {interval(one.estimate, sign=True)})" if one.estimate.has_interval else ""
    if one.kind == "gap":
        seeds = plural(one.estimate.n, "seed")
        return (
            f"{one.variant}: accuracy on the {info.labels['validation']} set minus that on the {info.labels[SEALED]} set, at the selected "
            f"epoch, is {points}{certain} over {seeds}."
        )
    return (
        f"{one.variant}: accuracy of the chosen sample on the {info.labels['validation']} set while it was chosen minus that on fresh "
        f"seeds is {points}{certain}."
    )
