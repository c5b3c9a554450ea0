"""Trials that are equal to the last bit although their settings or seeds differ: something that was set reaches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ferray.analysis.results import Results
from ferray.analysis.wording import count, listed, plural, setting
from ferray.config import flatten

NOT_RESULTS = ("learning_rate", "seconds", "images_per_second")
"""Recorded figures that settings or the machine give; everything else of an epoch comes out of the training."""
TOLD = 6
"""Values of a setting that a sentence names."""


@dataclass(frozen=True)
class Twins:
    """Groups of trials that differ in the same settings and recorded equal figures in every epoch."""

    differing: Mapping[str, tuple[Any, ...]]  # by dotted name, ``seed`` among them: the values met
    groups: tuple[tuple[str, ...], ...]  # the keys of each group of equals
    variants: tuple[str, ...]

    @property
    def trials(self) -> int:
        """How many trials have an equal."""
        return sum(map(len, self.groups))


def twins(results: Results) -> list[Twins]:
    """All finished trials that have an equal, by what differs among the equals; those of most trials first.

    Every figure of every epoch is compared, bit by bit. Trials with a figure that is not finite are left out, since they are alike without
    meaning anything, and so is one trial that several variants plan.
    """
    epochs = results.epochs
    epochs = epochs[epochs["status"] == "finished"].drop_duplicates(["key", "epoch"])
    if epochs.empty:
        return []
    texts = ("variant", "sample", "seed", "phase", "status", *NOT_RESULTS)
    figures = epochs[[name for name in epochs.columns if name not in texts]].dropna(axis="columns", how="all")
    broken = figures.loc[figures.isna().any(axis="columns"), "key"]
    figures = figures[~figures["key"].isin(broken)]
    hashed = pd.util.hash_pandas_object(figures.drop(columns="key"), index=False)
    equal: dict[tuple[int, ...], list[str]] = {}
    for key, series in hashed.groupby(figures["key"], sort=False).agg(tuple).items():
        equal.setdefault(series, []).append(str(key))
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    values: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for keys in (tuple(keys) for keys in equal.values() if len(keys) > 1):
        settings = [_settings(results, key) for key in keys]
        names = dict.fromkeys(name for own in settings for name in own)
        differing = {name: {repr(own.get(name)): own.get(name) for own in settings} for name in names}
        differing = {name: met for name, met in differing.items() if len(met) > 1}
        kind = tuple(differing)
        groups.setdefault(kind, []).append(keys)
        for name, met in differing.items():
            values.setdefault(kind, {}).setdefault(name, {}).update(met)
    variant_of: dict[str, str] = {}
    for entry in results.plan:
        variant_of.setdefault(entry["key"], str(entry["variant"]))
    found = [
        Twins(
            differing={name: tuple(met.values()) for name, met in values.get(kind, {}).items()},
            groups=tuple(own),
            variants=tuple(name for name in results.variants if name in {variant_of[key] for keys in own for key in keys}),
        )
        for kind, own in groups.items()
    ]
    return sorted(found, key=lambda one: -one.trials)


def twin_sentences(results: Results) -> list[str]:
    """For each kind of equals what differs among them and reached nothing; none where all trials differ."""
    return [_sentence(one) for one in twins(results)]


def _settings(results: Results, key: str) -> dict[str, Any]:
    """What tells a trial from others: its settings, and the sources and weights that it stands on."""
    files = results.files(key)
    return {**flatten(results.config(key)), **{f"the content of {name}": digest[:12] for name, digest in files.items()}}


def _sentence(one: Twins) -> str:
    names = [name for name in one.differing if name != "seed"]
    of = f"{plural(one.trials, 'trial')} of {listed(one.variants)}" if len(one.variants) <= TOLD else plural(one.trials, "trial")
    same = "recorded exactly the same figures in every epoch"
    if not names:
        return (
            f"The seed changes nothing: {of} with different seeds ({_values(one.differing['seed'])}) {same}. "
            "They are one training several times over, so their agreement is no certainty, and an interval over them means nothing."
        )
    told = listed([f"{name} ({_values(one.differing[name])})" for name in names])
    verb = "reaches" if len(names) == 1 else "reach"
    seeds = " and different seeds" if "seed" in one.differing else ""
    groups = f", in {count(len(one.groups))} groups of equals" if len(one.groups) > 1 else ""
    return (
        f"{listed(names)} {verb} nothing here: {of} with different {told}{seeds} {same}{groups}. "
        "Look whether the training uses what is set; a difference between these trials says nothing about it."
    )


def _values(values: tuple[Any, ...]) -> str:
    written = [setting(value) for value in values[:TOLD]]
    return f"{', '.join(written)} and {len(values) - TOLD} more" if len(values) > TOLD else listed(written)
