"""Statements about confusions, as people make them of a confusion matrix, tested one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.answers import Answers, answers, fates
from ferray.analysis.claims import Claim
from ferray.analysis.confusion_rates import CHANGES, FEW, FEWEST_IMAGES, share_interval
from ferray.analysis.constant import constant_answers, constant_words
from ferray.analysis.crossed import Crossed
from ferray.analysis.results import Results
from ferray.analysis.selection import best_variant
from ferray.analysis.statistics import Estimate
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS, holm
from ferray.analysis.wording import image_count, interval, plain, plural, probability, signed

Kind = Literal["often taken for", "otherwise rarely answered"]
Answer = Literal["supported", "contradicted", "open"]


@dataclass(frozen=True)
class Statement:
    """A sentence about two classes, in a form that the answers can support or contradict.

    ``often taken for``: of the wrong answers to ``true``, ``other`` is the most frequent one.
    ``otherwise rarely answered``: apart from images of ``other``, ``true`` is a rarer wrong answer than if wrong answers were spread
    evenly over the classes that they can be.
    """

    words: str
    kind: Kind
    true: str
    other: str


REFERENCE = (
    Statement("Sad is often taken for neutral", "often taken for", "sad", "neutral"),
    Statement("Sad is otherwise rarely the wrong answer for other faces", "otherwise rarely answered", "sad", "neutral"),
    Statement("Surprise is often taken for fear", "often taken for", "surprise", "fear"),
    Statement("Disgust is taken for anger", "often taken for", "disgust", "anger"),
)
"""What a careful reader of a single confusion matrix of FER2013 wrote down; tested wherever the data have these classes."""

SYNONYMS = (
    {"anger", "angry"},
    {"disgust", "disgusted"},
    {"fear", "fearful", "afraid", "scared"},
    {"happiness", "happy", "joy", "joyful"},
    {"sadness", "sad"},
    {"surprise", "surprised"},
    {"neutral", "neutrality"},
)
"""Names of the same expression in data sets of faces."""


@dataclass(frozen=True)
class Tested:
    """A statement with what the answers say to it.

    ``difference`` decides: how much larger the share is than that of its strongest rival, in points of the images asked about (often
    taken for), or than an even spread would have it (rarely answered; negative supports). ``rate`` is the share itself in percent.
    """

    statement: Statement
    true: str  # as the data call it
    other: str
    answer: Answer
    rate: Estimate
    method: str  # of ``rate``
    rival: str  # the wrong answer that the difference is to; empty for an even spread
    difference: Crossed
    p: float  # two-sided
    p_adjusted: float  # Holm, over the statements
    reason: str  # why nothing can be said; empty where something is
    images: int
    groups: int  # of these, near-identical ones being one
    methods: Mapping[str, str]  # of ``difference``


@dataclass(frozen=True)
class StatementsInfo:
    """The statements that the data have the classes for."""

    variant: str
    split: str
    label: str
    keys: tuple[str, ...]
    seeds: int
    fates: dict[str, int]
    tested: tuple[Tested, ...]


def statements_info(
    results: Results, statements: Sequence[Statement] = REFERENCE, variant: str | None = None, split: str | None = None
) -> StatementsInfo | None:
    """Tests statements on a variant, or on the one that validation ranks first; None without predictions or any of the classes.

    A statement is supported or contradicted where its p-value is below 5 % after Holm over the statements, and open otherwise: always
    with fewer than three seeds, where any training answers one class for nearly every image, where there are fewer than
    ``FEWEST_IMAGES`` images to ask about, and where the two answers that it compares are given to fewer than ten in the mean training, or,
    of an even spread, would be.
    """
    split, chosen = split or results.headline, variant or best_variant(results)
    own = None if chosen is None else answers(results, chosen, split)
    if own is None:
        return None
    raw = []
    for one in statements:
        true, other = class_called(one.true, results.classes), class_called(one.other, results.classes)
        if true is not None and other is not None and true != other:
            test = _often if one.kind == "often taken for" else _rarely
            found = test(own, results.classes, true, other)
            if found is not None:
                raw.append((one, results.classes[true], results.classes[other], found))
    if not raw:
        return None
    label = results.split_labels[split]
    fixed = constant_answers(own, results.classes)
    general = f"fewer than {FEWEST_SEEDS} seeds decide nothing" if len(own.seeds) < FEWEST_SEEDS else ""
    if fixed is not None:
        general = f"{constant_words(fixed, label)}, which says nothing of how classes look to a network"
    reasons = [general or _reason(found) for *_, found in raw]
    adjusted = holm([math.nan if reason else found.p for reason, (*_, found) in zip(reasons, raw, strict=True)])
    tested = [_tested(*one, p, reason) for one, p, reason in zip(raw, adjusted, reasons, strict=True)]
    return StatementsInfo(own.variant, split, label, own.keys, len(own.seeds), fates(results, own.variant), tuple(tested))


def class_called(name: str, classes: Sequence[str]) -> int | None:
    """The class of a name, whatever its case and whichever of its ``SYNONYMS`` the data use; None where there is none, or more than one."""
    names = next((own for own in SYNONYMS if name.casefold() in own), {name.casefold()})
    places = [place for place, one in enumerate(classes) if one.strip().casefold() in names]
    return places[0] if len(places) == 1 else None


@dataclass(frozen=True)
class _Found:
    rate: Crossed
    difference: Crossed
    rival: str
    supports: bool
    p: float
    counted: float  # distinct images that the comparison rests on, in the mean training
    methods: Mapping[str, str]


def _often(own: Answers, classes: Sequence[str], true: int, other: int) -> _Found | None:
    """Against every other wrong answer.

    The most frequent one is so for certain if it certainly exceeds each rival, the p-value being the largest of theirs (Berger 1982,
    Technometrics 24); and certainly is not if any rival exceeds it, the smallest p-value times the number of rivals.
    """
    members = own.labels == true
    answered = own.predicted[:, members]
    rivals = [place for place in range(len(classes)) if place not in (true, other)]
    if not answered.size or not rivals:
        return None
    taken = (answered == other).astype(float)
    told = {place: own.told(taken - (answered == place), members).within(-1, 1) for place in rivals}
    behind = [place for place in rivals if told[place].both.mean < 0]
    if behind:
        rival = min(behind, key=lambda place: (math.isnan(told[place].both.p), told[place].both.p, told[place].both.mean))
        p = float(np.minimum(1.0, told[rival].both.p * len(rivals)))  # NaN stays
    else:  # of rivals whose p-value is unknown, none can be excluded
        rival = max(rivals, key=lambda place: (math.isnan(told[place].both.p), told[place].both.p, -told[place].both.mean))
        p = told[rival].both.p
    counted = float(((taken + (answered == rival)) @ own.distinct(members)).mean())
    return _Found(own.told(taken, members), told[rival], classes[rival], not behind, p, counted, told[rival].methods_within(CHANGES))


def _rarely(own: Answers, classes: Sequence[str], true: int, other: int) -> _Found | None:
    """On images of all other classes but ``other``, against wrong answers that are spread evenly."""
    members = (own.labels != true) & (own.labels != other)
    if not members.any() or len(classes) < 3:
        return None
    answered, labels = own.predicted[:, members], own.labels[members]
    taken: NDArray[np.float64] = (answered == true).astype(float)
    wrong: NDArray[np.float64] = (answered != labels).astype(float)
    even = 1 / (len(classes) - 1)  # an answer of ``true`` is always wrong here
    difference = own.told(taken - even * wrong, members).within(-even, 1 - even)
    methods = difference.methods_within(f"{signed(-100 * even)} to {signed(100 - 100 * even)} points")
    counted = float(((taken + even * wrong) @ own.distinct(members)).mean())  # few wrong answers may leave a class out by chance
    return _Found(own.told(taken, members), difference, "", difference.both.mean < 0, difference.both.p, counted, methods)


def _reason(found: _Found) -> str:
    if found.rate.n_groups < FEWEST_IMAGES:
        return f"there are too few images, fewer than {FEWEST_IMAGES}"
    if found.counted < FEW - 1e-6:  # a sum of fractions
        even = "" if found.rival else ", those of an even spread included"
        return f"the answers compared are given to fewer than {FEW} images{even}"
    return "" if math.isfinite(found.p) else "all trainings show the same difference, which leaves no spread to judge by"


def _tested(statement: Statement, true: str, other: str, found: _Found, p_adjusted: float, reason: str) -> Tested:
    answer: Answer = "open"
    if not reason and p_adjusted < ALPHA:
        answer = "supported" if found.supports else "contradicted"
    rate, method = share_interval(found.rate)
    return Tested(
        statement=statement,
        true=true,
        other=other,
        answer=answer,
        rate=rate.scaled(100),
        method=method,
        rival=found.rival,
        difference=found.difference.scaled(100),
        p=found.p,
        p_adjusted=p_adjusted,
        reason=reason,
        images=found.rate.n_images,
        groups=found.rate.n_groups,
        methods=found.methods,
    )


def statement_claims(info: StatementsInfo) -> list[Claim]:
    """A claim for each statement; its answer (supported, contradicted, open) is among the details."""
    return [
        Claim(
            name=f"statement/{info.variant}/{info.split}/{one.statement.words}", kind="statement", subject=info.variant, split=info.split,
            metric=f"{one.true} {one.statement.kind}" + (f" {one.other}" if one.rival else f", apart from {one.other}"),
            unit="points", estimates={"seeds": one.difference.seeds, "images": one.difference.images, "both": one.difference.both},
            methods=one.methods, keys=info.keys, sentence=statement_sentence(one, info), family=f"statements/{info.split}",
            decided_by="both",
            p_adjusted=one.p_adjusted,
            counts={**info.fates, "trainings": info.seeds, "images": one.images, "image_groups": one.groups},
            caveats=(one.reason,) if one.reason else (),
            details={"answer": one.answer, "rival": one.rival or None, "rate": one.rate.mean, "rate_low": one.rate.low,
                     "rate_high": one.rate.high, "rate_method": one.method},
        )
        for one in info.tested
    ]  # fmt: skip


def statement_sentence(one: Tested, info: StatementsInfo) -> str:
    """The statement, what the answers say to it, and the numbers; where they say nothing, why not, and the share alone."""
    quoted = f"\N{LEFT DOUBLE QUOTATION MARK}{one.statement.words}\N{RIGHT DOUBLE QUOTATION MARK}"
    told, share = one.difference.both, f"{plain(one.rate.mean)} % (95 % interval {interval(one.rate)})"
    if one.rival:
        numbers = f"{one.true} is taken for {one.other} in {share} of n = {image_count(one.images, one.groups)}"
        compared = f"ahead of {one.rival}, as the most frequent wrong answer"
        if told.mean <= 0:
            compared = f"as often as for {one.rival}" if told.mean == 0 else f"behind {one.rival}, so not as the most frequent wrong answer"
    else:
        others = f"images of neither {one.true} nor {one.other} (n = {image_count(one.images, one.groups)})"
        numbers = f"{one.true} is the answer to {share} of all {others}"
        compared = f"{'less' if told.mean < 0 else 'more'} often than if wrong answers were spread evenly"
    where = f"{info.variant}, {info.label} set, {plural(info.seeds, 'seed')}"
    if one.reason:
        return f"{quoted}: open, since {one.reason}. For orientation ({where}): {numbers}."
    sure = f"{signed(told.mean)} points, 95 % interval {interval(told, sign=True)}, adjusted p {probability(one.p_adjusted)}"
    return f"{quoted}: {one.answer} ({where}). {numbers[0].upper()}{numbers[1:]}, {compared} ({sure})."
