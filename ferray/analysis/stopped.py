"""Trials that a scheduler stopped early: counted and told, and bounds in the curves of the best of n draws; no part of anything else.

Nobody knows how they would have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ferray.analysis.results import Results
from ferray.analysis.wording import listed, plural

SCHEDULERS = {"asha": "ASHA", "median": "the median rule"}
"""What sentences call them."""


@dataclass(frozen=True)
class StoppedInfo:
    """How many trials were stopped early in tuning, of how many, by what and in which variants; and how many more are yet to go on."""

    schedulers: tuple[str, ...]
    stopped: int
    tuning: int
    variants: Mapping[str, tuple[int, int]]  # stopped ones and all of tuning
    waiting: int  # that the tuning of another study stopped, and this one wants in full length


def stopped_info(results: Results) -> StoppedInfo:
    """Counts each trial of a variant once."""
    trials = results.trials.drop_duplicates(["variant", "key"])
    tuning = trials[trials["phase"] == "tuning"]
    stopped = tuning[tuning["status"] == "stopped"]
    schedulers = dict.fromkeys(str(results.record(str(key))["stopped"]["scheduler"]) for key in stopped["key"])
    by_variant = {
        str(variant): (int((own["status"] == "stopped").sum()), len(own)) for variant, own in tuning.groupby("variant", sort=False)
    }
    waiting = int((trials["status"] == "stopped").sum()) - len(stopped)
    return StoppedInfo(tuple(schedulers), len(stopped), len(tuning), by_variant, waiting)


def stopped_sentences(info: StoppedInfo) -> list[str]:
    """How many were stopped and what follows; none where every trial ran to its end."""
    sentences = []
    if info.stopped:
        by = listed([SCHEDULERS.get(name, name) for name in info.schedulers])
        where = f" ({listed([f'{own} of {of} of {name}' for name, (own, of) in info.variants.items()])})" if len(info.variants) > 1 else ""
        sentences.append(
            f"{info.stopped} of {plural(info.tuning, 'tuning trial')} {_were(info.stopped)} stopped early by {by}, each by trials of its "
            f"own variant{where}. Nobody knows how they would have ended, so they are in no mean, no effect and no dot of a figure, and "
            "none can be chosen. Only the expected best of n draws counts them, as bounds: at least with the best accuracy that they had "
            "reached, at most with the best of their variant in full."
        )
    if info.waiting:
        sentences.append(
            f"{plural(info.waiting, 'trial')} that this study wants in full length {_were(info.waiting)} stopped early by the tuning of "
            "another study; until the study is run again, they are missing here."
        )
    return sentences


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
