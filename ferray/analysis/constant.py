"""Trials that answer one class, or nearly so, whatever an image shows: they finished, but learned to tell no class from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.answers import Answers
from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.wording import listed, plural

FEWEST_IMAGES = 20
"""Images of a split below which one answer for all of them may be chance."""
FEWEST_OTHERS = 5
"""Images of other classes below which the same holds."""
NEARLY = 0.9
"""Share of the images of all other classes from which an answer is a fixed one: what is left tells next to nothing of confusions."""
NAMED = 6
"""Seeds that a sentence names."""


@dataclass(frozen=True)
class Constant:
    """The finished trials of one variant that answer one class for every image of a split, or for nearly every one."""

    variant: str
    answers: Mapping[int, str]  # seed: the class
    finished: int
    exact: bool  # whether all of them give no other answer at all


def fixed_answer(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> int | None:
    """The class that a network answers whatever an image shows, of its answers [images] and labels [images]; None where it has none.

    It has one where it gives it to ``NEARLY`` all images of all other classes together. How many images are of the class itself does not
    matter, so that no network has one for knowing a class that makes up nearly all images.
    """
    if predicted.size < FEWEST_IMAGES:
        return None
    most = int(np.bincount(predicted).argmax())
    others = predicted[labels != most]
    return most if others.size >= FEWEST_OTHERS and float((others == most).mean()) >= NEARLY else None


def constant_answers(own: Answers, classes: Sequence[str]) -> Constant | None:
    """The trainings of a variant that have a ``fixed_answer`` to the images of its split; None where there are none."""
    fixed = {seed: fixed_answer(row, own.labels) for seed, row in zip(own.seeds, own.predicted, strict=True)}
    answers = {seed: classes[one] for seed, one in fixed.items() if one is not None}
    exact = all(np.unique(row).size == 1 for seed, row in zip(own.seeds, own.predicted, strict=True) if seed in answers)
    return Constant(own.variant, answers, len(own.seeds), exact) if answers else None


def constant_trials(results: Results) -> list[Constant]:
    """For each variant, at its chosen sample, the trials of one answer on the validation set; variants without any are left out.

    Nothing is found where that has few images, or few of other classes, since one answer for all may then be right.
    """
    labels = results.labels("validation")
    if labels is None or labels.size < FEWEST_IMAGES:
        return []
    own = np.bincount(labels) / labels.size
    highest = float((own + (1 - NEARLY) * (1 - own)).max())  # accuracy of a fixed answer that is given to the fewest images
    speaking = speaking_trials(results)
    found = []
    for variant in results.variants:
        trials = finished_of(speaking, variant)
        answers: dict[int, str] = {}
        exact = True
        for seed, row in trials.iterrows():
            if row["validation_accuracy"] > highest + 0.5 / labels.size:  # their predictions need not be read
                continue
            probabilities = results.probabilities(str(row["key"]), "validation")
            if probabilities is None or len(probabilities) != labels.size:
                continue
            predicted = probabilities.argmax(axis=1)
            given = fixed_answer(predicted, labels)
            if given is not None:
                answers[int(str(seed))] = results.classes[given]
                exact = exact and np.unique(predicted).size == 1
        if answers:
            found.append(Constant(variant, answers, len(trials), exact))
    return found


def constant_sentences(results: Results) -> list[str]:
    """For each variant with trials of one answer, how many they are and what follows."""
    label = results.split_labels["validation"]
    return [_sentence(one, label) for one in constant_trials(results)]


def constant_words(one: Constant, label: str) -> str:
    """Which trainings of the variant give which answer: ``2 of 5 trainings of bare (seeds 1 and 3) answer 'happy' for every image``."""
    number = len(one.answers)
    return f"{number} of {plural(one.finished, 'training')} of {one.variant}{_seeds(one)} {_answering(one, label)}"


def _seeds(one: Constant) -> str:
    number = len(one.answers)
    return f" (seed{'' if number == 1 else 's'} {listed([str(seed) for seed in one.answers])})" if number <= NAMED else ""


def _answering(one: Constant, label: str) -> str:
    classes = [f"'{name}'" for name in dict.fromkeys(one.answers.values())]
    answer = classes[0] if len(classes) == 1 else f"one class ({listed(classes, 'or')})"
    verb = "answers" if len(one.answers) == 1 else "answer"
    return f"{verb} {answer} for {'every' if one.exact else 'nearly every'} image of the {label} set"


def _sentence(one: Constant, label: str) -> str:
    number, one_only = len(one.answers), len(one.answers) == 1
    follows = f"{'enters' if one_only else 'enter'} every mean and interval of {one.variant} all the same"
    if number == one.finished:
        follows = f"the accuracy of {one.variant} is that of a fixed answer"
    return (
        f"{number} of {plural(one.finished, 'finished trial')} of {one.variant}{_seeds(one)} {_answering(one, label)}: "
        f"{'it has' if one_only else 'they have'} learned to tell no class from another, and {follows}."
    )
