"""In what two studies differ that could make their numbers differ: study files, settings that trials had, data, code and machines."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from ferray.analysis.results import Results
from ferray.analysis.selection import searched_fields, speaking_trials
from ferray.analysis.wording import listed, points, setting
from ferray.config import flatten
from ferray.errors import LedgerError

Difference = tuple[str, str, str]
"""What it is, and its value in the first study and in the second."""

APART = frozenset(
    {"name", "title", "published", "keep_weights", "cpus", "gpus", "base", "baseline", "variants", "seeds", "smallest_effect"}
)
"""Fields of a study file that change no number, or that are told by what became of them."""
PLACES = frozenset({"data.path", "data.votes"})
"""Where data lie; their fingerprint tells what they are."""
UNSET = "not set"
LOOKED_AT = (
    "the study files (but names, titles, published numbers, and what changes no result: processors and GPUs set aside, kept weights), the "
    "settings that the trials of each variant of both had, data, seeds, the engine and the user's files behind the trials, and the "
    "software and processors that they ran on"
)
"""What ``differences`` compares."""


def differences(first: Results, second: Results) -> tuple[Difference, ...]:
    """All of ``LOOKED_AT`` in which two studies differ; what a variant has from its baseline is told of the baseline only."""
    both = (first, second)
    searched = {field for results in both for field in searched_fields(results)}
    base = _apart(*(_settings(results, results.baseline, searched) for results in both))
    told = [*_apart(*map(_facts, both)), *((f"base.{name}", one, other) for name, one, other in base)]
    for variant in first.variants:
        if variant in second.variants and (variant, variant) != (first.baseline, second.baseline):
            own = _apart(*(_settings(results, variant, searched) for results in both))
            told += [(f"{variant}: {name}", one, other) for name, one, other in own if (name, one, other) not in base]
    return (*told, *_apart(*map(_ran_on, both)))


def _apart(first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    pairs = ((name, first.get(name, UNSET), second.get(name, UNSET)) for name in dict.fromkeys([*first, *second]))
    return [(name, one, other) for name, one, other in pairs if one != other]


def _facts(results: Results) -> dict[str, str]:
    """What the study says, field by field, and what its data and its plan are."""
    final = results.trials[results.trials["phase"] != "tuning"]
    facts = {
        "data": f"{results.data['name']} ({results.data['fingerprint'][:12]})",
        **{f"{split} images": f"{results.images_in(split):,}" for split in ("train", *results.splits)},
        "seeds": _listed(sorted({int(seed) for seed in final["seed"]})),
        "baseline": results.baseline,
        "variants": listed(sorted(results.variants)),
        "smallest_effect": points(results.smallest_effect),
    }
    told = (results.study or {}).get("settings") or {}
    fields = flatten({name: value for name, value in told.items() if name not in APART})
    facts |= {name: _value(value) for name, value in fields.items() if name not in PLACES and value not in (None, [])}
    tuning = {name: value for name, value in results.tuning.items() if name != "chosen"}
    return facts | {f"tuning.{name}": _value(value) for name, value in flatten(tuning).items()}


def _settings(results: Results, variant: str, searched: Container[str]) -> dict[str, str]:
    """The settings that speak for a variant, without the seed; of those that either study searches, the chosen ones."""
    trials = speaking_trials(results)
    keys = [str(key) for key in trials.loc[trials["variant"] == variant, "key"]]
    config = flatten(results.config(keys[0]) if keys else dict(results.variants[variant].config))
    if not keys:
        config |= dict.fromkeys(searched_fields(results), "not chosen yet")
    return {f"{name} (chosen)" if name in searched else name: setting(value) for name, value in config.items() if name != "seed"}


def _ran_on(results: Results) -> dict[str, str]:
    """What is behind the trials that have ended: engine, the user's files by content, software and processors; not the host's name."""
    found: dict[str, dict[str, None]] = {}
    for key in results.trials["key"].unique():
        record = results.record(str(key))
        if not record:
            continue
        environment = {f"ran on: {name}": value for name, value in (record.get("environment") or {}).items() if name != "host"}
        files = {f"file: {name}": content[:12] for name, content in results.files(str(key)).items()}
        for name, value in {"engine": _engine(results, str(key)), **files, **environment}.items():
            found.setdefault(name, {})[setting(value)] = None
    return {name: listed(sorted(values)) for name, values in found.items()}


def _engine(results: Results, key: str) -> str:
    try:
        return str(results.ledger.trial(key).get("engine", UNSET))
    except LedgerError:
        return "cannot be read"


def _value(value: Any) -> str:
    return _listed(value) if isinstance(value, list | tuple) else setting(value)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(_value(value) for value in values)
