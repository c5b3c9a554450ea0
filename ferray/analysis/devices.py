"""On what trials ran, where that could stand behind a difference: kinds of devices that variants, or studies, were compared across."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ferray.analysis.results import Results
from ferray.analysis.selection import speaking_trials
from ferray.analysis.wording import listed, plural
from ferray.ledger import devices

NAMED = 6
"""Variants that a sentence names of one kind of device."""
WHY = (
    "Each rounds in its own way, so that trainings from the same seed part: a difference between kinds may be the devices' own, pairs of "
    "seeds have less in common, and seconds and images/s do not compare."
)
PRECISIONS = "Precision changes the numbers beyond rounding."


@dataclass(frozen=True)
class DevicesInfo:
    """The kind of device of each trial that speaks for its variant, in words, by variant and seed.

    ``crossed`` are the seeds whose variants ran on several kinds; ``apart`` pairs of variants that have no kind in common.
    """

    kinds: Mapping[str, Mapping[int, str]]
    crossed: tuple[int, ...]
    apart: tuple[tuple[str, str], ...]

    @property
    def all_kinds(self) -> tuple[str, ...]:
        """Each once, the most frequent first."""
        every = [kind for own in self.kinds.values() for kind in own.values()]
        return tuple(sorted(dict.fromkeys(every), key=lambda kind: -every.count(kind)))


def devices_info(results: Results) -> DevicesInfo:
    """Of trials that ended with figures; where variants are to differ in precision, that is no difference between devices."""
    is_compared = len({variant.config.get("precision") for variant in results.variants.values()}) > 1
    trials = speaking_trials(results)
    trials = trials[trials["status"].isin(["finished", "diverged"])]
    kinds: dict[str, dict[int, str]] = {}
    for variant, seed, key in trials[["variant", "seed", "key"]].itertuples(index=False):
        if kind := _kind(results, str(key), precision=not is_compared):
            kinds.setdefault(str(variant), {})[int(seed)] = kind
    seeds = sorted({seed for own in kinds.values() for seed in own})
    crossed = tuple(seed for seed in seeds if len({own[seed] for own in kinds.values() if seed in own}) > 1)
    pairs = itertools.combinations(kinds, 2)
    return DevicesInfo(kinds, crossed, tuple(pair for pair in pairs if not _of(kinds, pair[0]) & _of(kinds, pair[1])))


def _of(kinds: Mapping[str, Mapping[int, str]], variant: str) -> set[str]:
    return set(kinds[variant].values())


def _kind(results: Results, key: str, *, precision: bool) -> str:
    """In words the kind of device of a trial; of one that went on elsewhere, both."""
    found = (devices.Device.of(environment) for environment in devices.environments(results.record(key)))
    return " and then ".join(dict.fromkeys(one.told(precision=precision) for one in found if one is not None))


def device_sentences(results: Results) -> list[str]:
    """What must be known before any difference: that variants were compared across kinds of devices. Empty where they were not."""
    info = devices_info(results)
    if not info.crossed and not info.apart:
        return []
    on = "; ".join(f"on {kind} {_who(info, kind)}" for kind in info.all_kinds)
    pairs = f" Of {_seeds(info.crossed)} the pairs are across kinds." if info.crossed else ""
    return [
        f"Variants were compared across devices: {on}.{pairs} {_why(info.all_kinds)} Trials on one kind of device alone would settle it."
    ]


def _why(kinds: Iterable[str]) -> str:
    precisions = {word for kind in kinds for word in ("fp32", "bf16") if f" in {word}" in kind}
    return f"{WHY} {PRECISIONS}" if len(precisions) > 1 else WHY


def _who(info: DevicesInfo, kind: str) -> str:
    """The variants with trials on a kind of device and their seeds; those with the same seeds together."""
    together: dict[tuple[int, ...], list[str]] = {}
    for variant, own in info.kinds.items():
        if seeds := tuple(sorted(seed for seed, one in own.items() if one == kind)):
            together.setdefault(seeds, []).append(variant)
    return listed([f"{_names(names)} ({_seeds(seeds)})" for seeds, names in together.items()])


def _names(names: Sequence[str]) -> str:
    return listed([*names[:NAMED], *([f"{len(names) - NAMED} more variants"] if len(names) > NAMED else [])])


def _seeds(seeds: Sequence[int]) -> str:
    """``seed 3``, ``seeds 0 to 4 and 7``."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    words = [word for run in runs for word in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(seed) for seed in run])]
    return f"seed{'' if len(seeds) == 1 else 's'} {listed(words)}"


def device_notes(results: Results) -> list[str]:
    """For the details: seeds on several kinds of devices but each on one, trials that went on elsewhere, several models of processors."""
    info = devices_info(results)
    told = []
    if len(info.all_kinds) > 1 and not info.crossed and not info.apart:
        on = "; ".join(f"on {kind} {_who(info, kind)}" for kind in info.all_kinds)
        told.append(f"Trials ran on several kinds of devices, but all variants of a seed on the same one: {on}. Speeds do not compare.")
    return [*told, *_gone_on(results), *_processors(results)]


def _gone_on(results: Results) -> list[str]:
    """How many trials were interrupted and then trained elsewhere, and the first of them."""
    moved = []
    for variant, seed, key in results.trials.drop_duplicates("key")[["variant", "seed", "key"]].itertuples(index=False):
        places = devices.environments(results.record(str(key)))
        first = next(iter(devices.elsewhere(results.record(str(key)))), None)
        if first is not None and places[-1] is not None:
            names = [f"{one.get('host', 'an unknown host')} ({_short(one)})" for one in (first["environment"], places[-1])]
            moved.append(f"{variant} seed {seed}, after epoch {first['to_epoch']} from {names[0]} to {names[1]}")
    if not moved:
        return []
    more = f"; and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    return [f"{plural(len(moved), 'trial')} went on elsewhere, or with other software: {'; '.join(moved[:NAMED])}{more}."]


def _short(environment: Mapping[str, object]) -> str:
    device = devices.Device.of(environment)
    return "unknown" if device is None else device.short


def _processors(results: Results) -> list[str]:
    counts: dict[str, int] = {}
    for key in results.trials["key"].unique():
        device = devices.Device.of(results.record(str(key)).get("environment") or {})
        if device is not None and device.kind == "cpu" and device.model:
            counts[device.model] = counts.get(device.model, 0) + 1
    if len(counts) < 2:
        return []
    models = listed([f"{model} ({plural(number, 'trial')})" for model, number in sorted(counts.items(), key=lambda one: -one[1])])
    return [f"Trials ran on several models of processors: {models}. Rounding may differ between them, and speeds do not compare."]


def between(first: Results, second: Results, names: tuple[str, str]) -> list[str]:
    """What must be known before two studies are compared: that they ran on other kinds of devices. Empty where they did not."""
    kinds = [devices_info(results).all_kinds for results in (first, second)]
    if not all(kinds) or set(kinds[0]) == set(kinds[1]):
        return []
    on = [f"{name} on {listed(own)}" for name, own in zip(names, kinds, strict=True)]
    return [
        f"The studies ran on different devices: {'; '.join(on)}. {_why([*kinds[0], *kinds[1]])}".replace(
            "of the variants alone", "of the studies alone"
        )
    ]
