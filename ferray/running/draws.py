"""What of a study's draws takes effect: values that were drawn again, variants that override the search, trials that variants share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ferray.config import flatten, merge
from ferray.running.estimate import counted
from ferray.search import Domain, domains, samples

if TYPE_CHECKING:
    from ferray.study import Study
    from ferray.trial import Trial

MOST_NAMED = 4
"""So many variants, or pairs of them, are named one by one."""


def sentences(study: Study, trials: Sequence[Trial]) -> list[str]:
    """What is to be known of the draws before the ``trials`` of the study run; nothing without a search."""
    found = domains(study.search)
    return [*_drawn_again(study, found), *_without_effect(found, trials), *_shared(trials)] if found else []


def _drawn_again(study: Study, found: list[Domain]) -> list[str]:
    drawn = [json.dumps(values, sort_keys=True) for values in samples(found, study.num_samples, study.search_seed)]
    different = len(set(drawn))
    return [f"{different:,} of {counted(len(drawn), 'sample')} (a value was drawn again)"] if different < len(drawn) else []


def _without_effect(found: Iterable[Domain], trials: Iterable[Trial]) -> list[str]:
    """Fields under conditions are left out: where these take effect, the study says itself."""
    fields = [field for domain in found if not domain.conditions for field in _fields(domain)]
    taken: dict[str, set[str]] = {}
    for trial in trials:
        taken.setdefault(trial.variant, set()).update(trial.overrides)
    variants: dict[tuple[str, ...], list[str]] = {}
    for variant, own in taken.items():
        variants.setdefault(tuple(field for field in fields if field not in own), []).append(variant)
    return [
        f"what is drawn for {', '.join(lost)} has no effect in {_listed(names)}; samples that differ in nothing else are one trial there"
        for lost, names in variants.items()
        if lost
    ]


def _fields(domain: Domain) -> list[str]:
    """The domain's field, or the fields that lie below it."""
    return list(dict.fromkeys(field for value in domain.examples() for field in flatten(merge({}, {domain.field: value}))))


def _shared(trials: Iterable[Trial]) -> list[str]:
    variants: dict[str, dict[str, None]] = {}
    for trial in trials:
        variants.setdefault(trial.key, {})[trial.variant] = None
    pairs = Counter((first, other) for first, *others in variants.values() for other in others)
    if len(pairs) > MOST_NAMED:
        number = sum(len(names) > 1 for names in variants.values())
        return [f"{counted(number, 'trial')} are shared by several variants, and run once"]
    return [
        f"{counted(number, 'trial')} of {other} {'is' if number == 1 else 'are'} the same as of {first}: what is shared runs once"
        for (first, other), number in pairs.items()
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return f"{', '.join(names[:MOST_NAMED])} and {more:,} more" if more > 0 else ", ".join(names)
