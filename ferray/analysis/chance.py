"""Whether the baseline is told apart from always answering the largest class; one that is not says little of what is taken away from it."""

from __future__ import annotations

from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.statistics import Estimate, mean_interval
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import interval, plain, plural

ROUNDING = 1e-9
"""Points within which two shares are equal: means of seeds that all answer the largest class differ from its share in the last bits."""


def chance_sentences(results: Results) -> list[str]:
    """A sentence where the baseline is not told apart from the answer that is right most often; none without a finished training.

    Only the headline split counts, on which effects are told first, and only the baseline, since a variant may well fall so low for
    what it lacks.
    """
    split = results.headline
    finished = finished_of(speaking_trials(results), results.baseline)
    accuracy = mean_interval(finished[f"{split}_accuracy"].to_numpy(float)).scaled(100).within(0, 100)
    largest = results.majority(split)
    if accuracy.n == 0 or largest < _floor(accuracy) - ROUNDING:
        return []
    answer = f"always answering the largest class ({plain(largest)} % of the {results.split_labels[split]} set)"
    return [
        f"Baseline '{results.baseline}' ({_measured(accuracy)}) {_verdict(accuracy, largest)} {answer}: "
        "what is taken away from a network that has not learned says little."
    ]


def _floor(accuracy: Estimate) -> float:
    """What the baseline surely reaches: the interval's lower end, or the mean where seeds are too few for an interval to say anything."""
    return accuracy.low if accuracy.n >= FEWEST_SEEDS else accuracy.mean


def _measured(accuracy: Estimate) -> str:
    mean = f"{plain(accuracy.mean)} %"
    if accuracy.n < FEWEST_SEEDS:
        return f"{mean}, {plural(accuracy.n, 'seed')}"
    return f"{mean}, 95 % interval {interval(accuracy)} over {accuracy.n} seeds"


def _verdict(accuracy: Estimate, largest: float) -> str:
    if accuracy.n < FEWEST_SEEDS:
        return "is no better than"
    return "is worse than" if accuracy.high < largest - ROUNDING else "is not told apart from"
