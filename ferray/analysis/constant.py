"""Trials that answer one class whatever an image shows: they finished, but learned to tell no class from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.wording import listed, plural

FEWEST_IMAGES = 20
"""Validation images below which one answer for all of them may be chance."""
NAMED = 6
"""Seeds that a sentence names."""


@dataclass(frozen=True)
class Constant:
    """The finished trials of one variant that answer one class for every validation image at the selected epoch."""

    variant: str
    answers: Mapping[int, str]  # seed: the class
    finished: int


def constant_trials(results: Results) -> list[Constant]:
    """For each variant, at its chosen sample, the trials of one answer; variants without any are left out.

    Nothing is found where the validation set has fewer than ``FEWEST_IMAGES`` images or images of one class only, since one answer for
    all may then be right.
    """
    labels = results.labels("validation")
    if labels is None or labels.size < FEWEST_IMAGES or np.unique(labels).size < 2:
        return []
    counts = np.bincount(labels)
    speaking = speaking_trials(results)
    found = []
    for variant in results.variants:
        trials = finished_of(speaking, variant)
        answers = {}
        for seed, row in trials.iterrows():
            # One answer is right as often as its class occurs; only trials of such an accuracy have their predictions read.
            if not np.any(np.abs(counts - row["validation_accuracy"] * labels.size) < 0.5):
                continue
            probabilities = results.probabilities(str(row["key"]), "validation")
            if probabilities is None or len(probabilities) != labels.size:
                continue
            given = np.unique(probabilities.argmax(axis=1))
            if given.size == 1:
                answers[int(str(seed))] = results.classes[given[0]]
        if answers:
            found.append(Constant(variant, answers, len(trials)))
    return found


def constant_sentences(results: Results) -> list[str]:
    """For each variant with trials of one answer, how many they are and what follows."""
    label = results.split_labels["validation"]
    return [_sentence(one, label) for one in constant_trials(results)]


def _sentence(one: Constant, label: str) -> str:
    number, one_only = len(one.answers), len(one.answers) == 1
    classes = [f"'{name}'" for name in dict.fromkeys(one.answers.values())]
    answer = classes[0] if len(classes) == 1 else f"one class ({listed(classes, 'or')})"
    seeds = f" (seed{'' if one_only else 's'} {listed([str(seed) for seed in one.answers])})" if number <= NAMED else ""
    follows = f"{'enters' if one_only else 'enter'} every mean and interval of {one.variant} all the same"
    if number == one.finished:
        follows = f"the accuracy of {one.variant} is that of a fixed answer"
    return (
        f"{number} of {plural(one.finished, 'finished trial')} of {one.variant}{seeds} {'answers' if one_only else 'answer'} {answer} for "
        f"every image of the {label} set: {'it has' if one_only else 'they have'} learned to tell no class from another, and {follows}."
    )
