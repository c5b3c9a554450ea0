"""Label noise: how far a data set's labels agree with what several people saw in the same images (FER+, Barsoum et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.statistics import Estimate, mean_interval, wilson
from ferray.analysis.style import BLUE, ORANGE, hide_y_marks, new_figure, note_synthetic, shortened
from ferray.analysis.wording import interval, listed, measured, plain

KINDS = ("agree", "disagree", "open")
"""Images whose most voted class is the label, is another one, or that no class won alone."""


@dataclass(frozen=True)
class ClassAgreement:
    """The images of one label that the vote decided, and in percent how many of them it decided for the label."""

    label: str
    agreement: Estimate  # Wilson's interval over the n decided images
    often: str | None  # the class that most of the others were given; None where the vote always agrees


@dataclass(frozen=True)
class VariantAgreement:
    """The accuracy (percent, against the labels) of a variant on images of each of ``KINDS``, over its finished seeds."""

    variant: str
    soft: bool  # whether it was trained on votes
    accuracy: Mapping[str, Estimate]


@dataclass(frozen=True)
class VotesInfo:
    """What votes say about the labels of the split whose figures are told first."""

    label: str
    images: Mapping[str, int]  # by kind; images on which nobody chose one of the classes are of none
    unvoted: int
    classes: tuple[ClassAgreement, ...]
    variants: tuple[VariantAgreement, ...]
    synthetic: bool

    @property
    def decided(self) -> int:
        """Images that one class won alone."""
        return self.images["agree"] + self.images["disagree"]


def votes_info(results: Results) -> VotesInfo | None:
    """None where the ledger holds no votes on images whose labels are known."""
    split = results.headline
    votes, labels = results.votes(split), results.labels(split)
    if votes is None or labels is None or votes.shape != (labels.size, len(results.classes)) or not votes.any():
        return None
    best = votes.max(axis=1)
    decided = (votes == best[:, None]).sum(axis=1) == 1  # by one class alone; never where there is no vote
    winner = votes.argmax(axis=1)
    members = {"agree": decided & (winner == labels), "disagree": decided & (winner != labels), "open": ~decided & (best > 0)}
    trials = speaking_trials(results)
    variants = [
        VariantAgreement(
            variant=name,
            soft=bool(variant.config.get("soft_labels")),
            accuracy=_accuracy(results, [str(key) for key in finished_of(trials, name)["key"]], split, labels, members),
        )
        for name, variant in results.variants.items()
    ]
    return VotesInfo(
        label=results.split_labels[split],
        images={kind: int(own.sum()) for kind, own in members.items()},
        unvoted=int((best == 0).sum()),
        classes=tuple(_agreement(results.classes, place, labels, winner, decided) for place in range(len(results.classes))),
        variants=tuple(one for one in variants if one.accuracy["agree"].n or one.accuracy["disagree"].n),
        synthetic=results.synthetic,
    )


def _agreement(
    classes: tuple[str, ...], place: int, labels: NDArray[np.int64], winner: NDArray[np.int64], decided: NDArray[np.bool_]
) -> ClassAgreement:
    given = np.bincount(winner[(labels == place) & decided], minlength=len(classes))
    agreement = wilson(float(given[place]), int(given.sum())).scaled(100)
    others = given.copy()
    others[place] = 0
    return ClassAgreement(classes[place], agreement, classes[int(others.argmax())] if others.any() else None)


def _accuracy(
    results: Results, keys: list[str], split: str, labels: NDArray[np.int64], members: Mapping[str, NDArray[np.bool_]]
) -> dict[str, Estimate]:
    found = [own for own in (results.probabilities(key, split) for key in keys) if own is not None and len(own) == labels.size]
    right = [own.argmax(axis=1) == labels for own in found]
    return {
        kind: mean_interval([100 * float(one[own].mean()) for one in right] if own.any() else []).within(0, 100)
        for kind, own in members.items()
    }


def votes_sentences(votes: VotesInfo) -> list[str]:
    """What the votes are and are not used for, how often they agree with the labels, and what that does to the accuracies."""
    sentences = [
        "FER+ has the same images seen by ten people each. Their votes are a diagnosis here and in no score of this report: every "
        "accuracy, also those below, is against the labels of the data set."
    ]
    if not votes.decided:
        return [*sentences, "No image has a class that won alone."]
    share = 100 * votes.images["agree"] / votes.decided
    one_won = f"Of the {votes.decided:,} images of the {votes.label} set on which one class won alone, it is the label in {plain(share)} %"
    left = f"{votes.images['open']:,} are open between several classes, and on {votes.unvoted:,} nobody saw one of the classes."
    sentences.append(f"{one_won}; {left}")
    known = sorted((one for one in votes.classes if one.agreement.n), key=lambda one: one.agreement.mean)
    if known:
        worst = known[0]
        often = f", most often given {worst.often} instead" if worst.often else ""
        sure = f"{plain(worst.agreement.mean)} %, {interval(worst.agreement)}, n = {worst.agreement.n}"
        sentences.append(f"The label that people confirm least is {worst.label} ({sure}){often}.")
    if votes.variants:
        first = votes.variants[0]
        agree, disagree = (first.accuracy[kind] for kind in ("agree", "disagree"))
        if agree.n and disagree.n:
            told = f"{first.variant} answers with the label in {measured(agree)} of the images where the vote agrees with it, and in "
            doubt = ": part of what counts as an error may be doubt about the label" if disagree.mean < agree.mean else ""
            sentences.append(f"{told}{measured(disagree)} where it does not{doubt}.")
    if any(one.soft for one in votes.variants):
        sentences.append(f"Trained on votes: {listed([one.variant for one in votes.variants if one.soft])}.")
    return sentences


def draw_votes(info: VotesInfo) -> Figure:
    """Two panels: how often the vote agrees with each label, and each variant's accuracy where it agrees and where it does not."""
    classes = [shortened(one.label, 20) for one in info.classes]
    names = [shortened(one.variant, 20) for one in info.variants]
    height = max(sum(0.26 + 0.13 * name.count("\n") for name in own) for own in (classes, names))
    figure = new_figure(1.15 + height)
    left, right = figure.subplots(1, 2)
    for place, one in enumerate(info.classes):
        if one.agreement.n:
            left.plot([one.agreement.low, one.agreement.high], [place, place], color=BLUE, linewidth=1.4)
            left.plot([one.agreement.mean], [place], "o", color=BLUE, markersize=5)
    left.set_yticks(range(len(classes)), [f"{name} (n={one.agreement.n})" for name, one in zip(classes, info.classes, strict=True)])
    left.set_ylim(len(classes) - 0.4, -0.6)
    left.set_title("labels that the vote confirms")
    left.set_xlabel(f"images of the label, {info.label} (%)")
    for place, variant in enumerate(info.variants):
        for kind, colour, aside in (("agree", BLUE, -0.14), ("disagree", ORANGE, 0.14)):
            estimate = variant.accuracy[kind]
            if estimate.has_interval:
                right.plot([estimate.low, estimate.high], [place + aside] * 2, color=colour, linewidth=1.4)
            if estimate.n:
                right.plot([estimate.mean], [place + aside], "o", color=colour, markersize=5)
    right.set_yticks(range(len(names)), names)
    right.set_ylim(max(1, len(names)) - 0.4, -0.6)
    right.set_title("accuracy by variant")
    right.set_xlabel("images answered with their label (%)")
    for axes in (left, right):
        axes.grid(axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        hide_y_marks(axes)
    marks = [right.plot([], [], "o", color=colour, markersize=4)[0] for colour in (BLUE, ORANGE)]
    figure.legend(marks, ["vote agrees with the label", "vote disagrees"], loc="outside lower center", ncols=2)
    note_synthetic(figure, info.synthetic)
    return figure
