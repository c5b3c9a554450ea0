"""A tuned ablation: what each variant's difference to the baseline is at the baseline's settings, and at its own best ones.

Taking something away and keeping all other settings asks what it does for a network that was tuned with it (frozen). Tuning every variant
by itself asks whether another setting could take its place (re-tuned). Both are told, and what tuning changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ferray.analysis.best_of import Curve, Draws, Order, curve, order
from ferray.analysis.claims import Verdict
from ferray.analysis.crossed import Crossed, crossed
from ferray.analysis.image_groups import image_groups
from ferray.analysis.per_image import per_image
from ferray.analysis.results import Results
from ferray.analysis.variants import Variant
from ferray.analysis.verdicts import FEWEST_SEEDS, Decision, decide


@dataclass(frozen=True)
class Retuned:
    """One variant's difference to the baseline in points, at the baseline's settings and at its own, over the seeds that finished all.

    Of a removal it is how much better the network is with what is removed; of a free variant, how much better that is than the baseline.
    ``change`` is ``final`` minus ``frozen``. All are None without such a seed. ``same`` says that tuning chose the same settings for both.
    """

    variant: str
    subject: str  # the factors removed, joined by +, or the variant's name
    is_removal: bool
    same: bool
    seeds: tuple[int, ...]
    lost: tuple[tuple[str, int, str], ...]  # trials that keep a seed out: what, seed, status
    planned: int  # seeds
    keys: tuple[str, ...]
    chosen: int | None  # the sample that tuning chose for it
    image_groups: int = 0  # near-identical images are one
    frozen: Crossed | None = None
    final: Crossed | None = None
    change: Crossed | None = None
    decisions: Mapping[str, Decision] | None = None  # by frozen, final and change

    @property
    def is_changed(self) -> bool:
        """Whether re-tuning certainly changes the difference by what may count (Holm over the factors, or over the free variants)."""
        return self.verdict("change") in ("helps", "hurts")

    @property
    def verdicts_differ(self) -> bool:
        """Whether the two have verdicts, and different ones."""
        verdicts = {self.verdict("frozen"), self.verdict("final")}
        return len(verdicts) == 2 and None not in verdicts

    def verdict(self, what: str) -> Verdict | None:
        """The verdict on ``frozen``, ``final`` or ``change``; None with too few seeds, or where they and all images show the same."""
        found = getattr(self, what)
        if self.decisions is None or found is None or len(self.seeds) < FEWEST_SEEDS or found.both.is_point:
            return None
        return self.decisions[what].verdict


@dataclass(frozen=True)
class Search:
    """What tuning found for a variant on validation, in percent."""

    variant: str
    draws: Draws
    curve: Curve | None
    counts: Mapping[str, int]  # draws by finished, stopped, diverged and left out
    order: Order | None  # the baseline's minus this variant's; None for the baseline


@dataclass(frozen=True)
class TunedInfo:
    """A tuned study: the variants but the baseline, and all searches with the baseline's first."""

    baseline: str
    split: str
    label: str
    validation: str
    scheduler: str
    seeds: int  # of tuning
    retuned: tuple[Retuned, ...]
    searches: tuple[Search, ...]
    majority: float  # percent of validation images that are of the largest class
    smallest_effect: float
    synthetic: bool


def tuned_info(results: Results, split: str | None = None) -> TunedInfo | None:
    """None where the study was not tuned."""
    told = results.study.get("tuning") if results.study else None
    if not told and "tuning" not in set(results.trials["phase"]):
        return None
    tuning: Mapping[str, Any] = told or {}
    split = split or results.headline
    trials = results.trials
    retuned = [
        _retuned(results, trials, variant, split, dict(tuning.get("chosen") or {}))
        for variant in results.variants.values()
        if variant.name != results.baseline
    ]
    return TunedInfo(
        baseline=results.baseline,
        split=split,
        label=results.split_labels[split],
        validation=results.split_labels["validation"],
        scheduler=str(tuning.get("scheduler") or "none"),
        seeds=int(trials.loc[trials["phase"] == "tuning", "seed"].nunique()),
        retuned=_decided(retuned, results.smallest_effect),
        searches=_searches(results, trials),
        majority=results.majority("validation"),
        smallest_effect=results.smallest_effect,
        synthetic=results.synthetic,
    )


def _retuned(results: Results, trials: pd.DataFrame, variant: Variant, split: str, chosen: Mapping[str, int]) -> Retuned:
    sides = {
        "baseline": _of(trials, results.baseline, "final"),
        "frozen": _of(trials, variant.name, "frozen"),
        "final": _of(trials, variant.name, "final"),
    }
    planned = sorted(set().union(*sides.values()))
    tables: dict[str, list[NDArray[np.float64]]] = {name: [] for name in sides}
    seeds: list[int] = []
    lost: list[tuple[str, int, str]] = []
    for seed in planned:
        values = {}
        for name, rows in sides.items():
            key, status = rows.get(seed, ("", "missing"))
            found = per_image(results, key, split, "accuracy") if status == "finished" else None
            if found is None:
                lost.append((name, seed, status))
            else:
                values[name] = found
        if len(values) == len(sides):
            seeds.append(seed)
            for name, found in values.items():
                tables[name].append(found)
    keys = {name: [rows[seed][0] for seed in seeds] for name, rows in sides.items()}
    one = Retuned(
        variant=variant.name,
        subject="+".join(variant.removed) or variant.name,
        is_removal=bool(variant.removed),
        same=bool(seeds) and keys["frozen"] == keys["final"],
        seeds=tuple(seeds),
        lost=tuple(lost),
        planned=len(planned),
        keys=tuple(dict.fromkeys(key for own in keys.values() for key in own)),
        chosen=chosen.get(variant.name),
    )
    if not seeds:
        return one
    groups, redrawn = image_groups(results, split), results.redrawn(split)
    sign = 1.0 if variant.removed else -1.0
    base, frozen, final = (np.stack(tables[name]) for name in sides)
    contrasts = {"frozen": base - frozen, "final": base - final, "change": frozen - final}
    known = len(base[0]) if groups is None else len(np.unique(groups))
    told = {name: crossed(sign * table, groups, redrawn=redrawn).scaled(100) for name, table in contrasts.items()}
    return replace(one, image_groups=known, **told)  # type: ignore[arg-type]


def _of(trials: pd.DataFrame, variant: str, phase: str) -> dict[int, tuple[str, str]]:
    """Key and status of a variant's trials of one phase, by seed."""
    own = trials[(trials["variant"] == variant) & (trials["phase"] == phase)].drop_duplicates("seed")
    return {int(seed): (str(key), str(status)) for seed, key, status in zip(own["seed"], own["key"], own["status"], strict=True)}


def _decided(retuned: list[Retuned], margin: float) -> tuple[Retuned, ...]:
    """With verdicts: the frozen differences are one family, the re-tuned ones another, and the changes a third.

    Removals have families of their own beside free variants, as in ferray.analysis.effects, so that a difference has one p-value in both.
    A variant whose own settings are the baseline's has nothing that could change.
    """
    known = [one for one in retuned if one.final is not None]
    decisions: dict[str, dict[str, Decision]] = {one.variant: {"change": Decision("no effect", 1.0, 0.0)} for one in known}
    for name, is_removal in itertools.product(("frozen", "final", "change"), (True, False)):
        family = [one for one in known if one.is_removal == is_removal and not (name == "change" and one.same)]
        verdicts = decide([getattr(one, name).both for one in family], margin)
        for one, decision in zip(family, verdicts, strict=True):
            decisions[one.variant][name] = decision
    return tuple(replace(one, decisions=decisions.get(one.variant)) for one in retuned)


def _searches(results: Results, trials: pd.DataFrame) -> tuple[Search, ...]:
    tuning = trials[trials["phase"] == "tuning"]
    reached = results.epochs.groupby("key")["validation_accuracy"].max()  # of an unfinished trial, so far
    chance = results.majority("validation")
    found = {name: _draws(tuning[tuning["variant"] == name], reached, chance) for name in results.variants}
    base = found[results.baseline][0]
    searches = []
    for name, (draws, counted) in found.items():
        own = curve(draws) if draws.low else None
        versus = order(base, draws) if name != results.baseline else None
        searches.append(Search(name, draws, own, counted, versus))
    return tuple(searches)


def _draws(trials: pd.DataFrame, reached: pd.Series, chance: float) -> tuple[Draws, dict[str, int]]:
    """What each draw came to in percent, the mean over the seeds of tuning, and how many draws ended how.

    A diverged trial is worth what always answering the largest class is, since it spent its budget and left no network. A draw with a trial
    that failed or has not ended is left out.
    """
    best = 100 * float(trials.loc[trials["status"] == "finished", "validation_accuracy"].max())
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    counts = dict.fromkeys(("finished", "stopped", "diverged", "left out"), 0)
    for sample in sorted(set(trials["sample"].astype(int))):
        own = trials[trials["sample"] == sample]
        statuses = set(own["status"])
        if statuses - {"finished", "stopped", "diverged"} or not np.isfinite(best):
            counts["left out"] += 1
            continue
        least, most = [], []
        for key, status, accuracy in zip(own["key"], own["status"], own["validation_accuracy"], strict=True):
            value = chance if status == "diverged" else 100 * float(reached.get(key, np.nan) if status == "stopped" else accuracy)
            least.append(value)
            most.append(max(value, best) if status == "stopped" else value)
        low[sample], high[sample] = float(np.mean(least)), float(np.mean(most))
        counts[next(one for one in ("stopped", "diverged", "finished") if one in statuses)] += 1
    return Draws(low, high), counts
