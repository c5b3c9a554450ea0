"""Two studies side by side: what both claim, how far apart their numbers are, and where their verdicts agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ferray.analysis.ablation import TITLES, effect_name
from ferray.analysis.claims import Claim
from ferray.analysis.differences import Difference, differences
from ferray.analysis.effect_sentences import brackets, equal, factors_label, verdict_words
from ferray.analysis.effects import VERDICT_METRIC
from ferray.analysis.factorial import effect_label
from ferray.analysis.matches import FACTORIAL, METHODS, Match, Matcher, Place, by_place, numbers
from ferray.analysis.results import Results
from ferray.analysis.study_claims import study_claims
from ferray.analysis.tuned_claims import WHAT
from ferray.analysis.wording import plural, points, signed
from ferray.errors import LedgerError

HEADLINE = ("main_effect", "interaction", "effect", "step", "variant", "tuned", "shapley", "together", "difference")
"""Kinds of effects, in the order in which they are told; those of accuracy on the first split have sentences and are drawn."""
DIGITS = {"nats": 3, "share": 3, "score": 3}
"""Of a number in print, where it is not one."""
CONTRASTS = {
    "main_effect": "main effect",
    "interaction": "interaction",
    "shapley": "Shapley effect",
    "together": "all together",
}
"""How the effects of a factorial design are called beside their factors."""
AGREEMENTS = {
    "agree": "the verdicts agree",
    "open": "both verdicts are open",
    "differ": "the verdicts differ",
    "contradict": "the verdicts contradict each other",
}
"""What two verdicts say of each other."""


@dataclass(frozen=True)
class ComparisonInfo:
    """What two studies have in common and what not; ``names`` are theirs, told apart where they are the same."""

    names: tuple[str, str]
    matches: tuple[Match, ...]
    only: tuple[tuple[Claim, ...], tuple[Claim, ...]]  # what one of the studies alone tells
    settings: tuple[Difference, ...]
    split: str  # that is told first
    label: str  # of that split
    margins: tuple[float, float]
    synthetic: bool
    same_images: bool  # on that split
    factors: tuple[tuple[str, ...], tuple[str, ...]]  # of the designs

    @property
    def headline(self) -> tuple[Match, ...]:
        """The effects that verdicts are given for, and their like: in accuracy on the split that is told first."""
        told = [
            one
            for one in self.matches
            if one.first.kind in HEADLINE and one.first.metric == VERDICT_METRIC and one.first.split == self.split
        ]
        return tuple(sorted(told, key=lambda one: HEADLINE.index(one.first.kind)))


def comparison_info(first: Results, second: Results) -> ComparisonInfo:
    """Matches the claims of two studies by kind, subject, split and metric. Raises LedgerError where their classes are not the same."""
    if first.classes != second.classes:
        raise LedgerError(
            f"{first.name} and {second.name} cannot be compared, as their classes differ: "
            f"{', '.join(first.classes)} and {', '.join(second.classes)}"
        )
    names = (first.name, second.name)
    if first.name == second.name:
        if first.ledger.path.resolve() == second.ledger.path.resolve():
            raise LedgerError(f"{first.name} would be compared with itself; give two studies")
        names = _told_apart(first, second)
    left, right = (by_place(results, study_claims(results)) for results in (first, second))
    matcher = Matcher(first, second)
    pairs = ((claim, right[place]) for place, claim in left.items() if place in right)
    split = next(split for split in ("test", "validation") if split in first.splits and split in second.splits)
    return ComparisonInfo(
        names=names,
        matches=tuple(match for pair in pairs if (match := matcher.match(*pair)) is not None),
        only=(_alone(left, right), _alone(right, left)),
        settings=differences(first, second),
        split=split,
        label=first.split_labels[split],
        margins=(first.smallest_effect, second.smallest_effect),
        synthetic=first.synthetic or second.synthetic,
        same_images=matcher.shares_images(split),
        factors=(_factors(first), _factors(second)),
    )


def _factors(results: Results) -> tuple[str, ...]:
    return tuple(str(name) for name in results.ablation.get("factors") or ())


def _told_apart(first: Results, second: Results) -> tuple[str, str]:
    """Two studies of one name by as much of the end of their storages' paths as differs."""
    parts = [results.ledger.path.resolve().parts for results in (first, second)]
    depth = next(depth for depth in range(1, max(map(len, parts)) + 1) if parts[0][-depth:] != parts[1][-depth:])
    one, other = (f"{first.name} in {Path(*own[-depth:])}" for own in parts)
    return one, other


def _alone(own: Mapping[Place, Claim], other: Mapping[Place, Claim]) -> tuple[Claim, ...]:
    """One claim for each kind, subject, context and aspect of it that the other study says nothing of."""
    told = {(*place[:3], place[5]) for place in other}
    alone: dict[tuple[object, ...], Claim] = {}
    for place, claim in own.items():
        what = (*place[:3], place[5])
        if what not in told:
            alone.setdefault(what, claim)
    return tuple(alone.values())


def comparison_claims(info: ComparisonInfo) -> list[Claim]:
    """A claim for every claim that both studies make: how much larger its number is in the first."""
    return [_claim(info, match) for match in info.matches]


def match_name(claim: Claim) -> str:
    """What a claim is called in a row of a table or figure."""
    if claim.kind in TITLES:
        return effect_name(claim)
    if claim.kind in FACTORIAL:
        return f"{effect_label(claim.subject)}, {CONTRASTS[claim.kind]}"
    if claim.kind == "tuned":
        return f"{factors_label(claim.subject)}, {WHAT[claim.details['settings']]}"
    return f"{claim.subject}: {metric_name(claim)}"


def metric_name(claim: Claim) -> str:
    """What a claim measures, where its metric alone does not tell it apart from others of its study."""
    if claim.kind == "overfitting" and claim.metric.endswith("gap"):
        return f"{claim.metric} at the {claim.details['epoch']} epoch"
    if claim.kind == "optimism":
        return f"{claim.metric} on validation minus {'test' if claim.name.startswith('optimism/gap/') else 'that of fresh seeds'}"
    return claim.metric


def match_sentence(info: ComparisonInfo, match: Match) -> str:
    """Both numbers, their difference and what the verdicts say of each other."""
    digits = DIGITS.get(match.first.unit, 1)
    over = "" if match.estimate == "both" or not match.difference.has_interval else f" over {match.estimate} alone"
    told = [
        f"{signed(one.mean, digits)} {claim.unit} {brackets(one, digits)}{over} in {name}"
        + (f" ({verdict_of(claim)})" if claim.verdict else "")
        for claim, one, name in zip((match.first, match.second), match.sides, info.names, strict=True)
    ]
    verdicts = f"; {AGREEMENTS[match.agreement]}" if match.agreement else ""
    if match.agreement in ("differ", "contradict") and len(set(info.margins)) > 1:
        verdicts += f", which are given for effects of more than {points(info.margins[0])} and of more than {info.margins[1]:g}"
    references = _references(match)
    if len(set(references)) > 1:
        verdicts += f"; the one against {references[0]}, the other against {references[1]}"
    return f"{match_name(match.first)}: {told[0]} and {told[1]}; {_apart(match, digits)}{verdicts}."


def _references(match: Match) -> tuple[str, ...]:
    """Of named variants, what either study compares them with."""
    pairs = [claim.compared for claim in (match.first, match.second) if claim.kind in ("variant", "difference")]
    return tuple(pair[1] for pair in pairs if pair is not None)


def difference_words(match: Match) -> str:
    """The difference as a figure has it beside its row."""
    apart = match.difference
    if match.way == "same trials":
        return "the same trials"
    if match.way == "further seeds":
        return f"{signed(apart.mean)} (further seeds)"
    return f"{signed(apart.mean)} (no spread)" if apart.is_point else f"{signed(apart.mean)} {brackets(apart)}"


def verdict_of(claim: Claim) -> str:
    """A verdict in words; a change by tuning is of a difference, and helps nobody."""
    if claim.kind == "tuned" and claim.details["settings"] == "change":
        return {"helps": "more once re-tuned", "hurts": "less once re-tuned"}.get(str(claim.verdict), verdict_words(claim))
    return verdict_words(claim)


def _apart(match: Match, digits: int) -> str:
    apart = match.difference
    if match.way == "same trials":
        return "both rest on the same trials, so that they are one number"
    if match.way == "further seeds":
        return f"difference {signed(apart.mean, digits)}, of further seeds alone, as the trials of one are among those of the other"
    seeds = plural(match.shared, "seed")
    ways = {
        "seeds and images": f"paired by image over the {seeds} of both",
        "seeds": f"paired over the {seeds} of both",
        "images": "paired by image alone",
    }
    if apart.is_point:
        return f"difference {signed(apart.mean, digits)}, the same on every image and seed, {ways.get(match.way, 'unpaired')}"
    p = f", p {equal(apart.p)}" if math.isfinite(apart.p) else ""
    common = f", with {plural(match.common, 'trial')} in common" if match.common else ""
    return f"difference {signed(apart.mean, digits)} {brackets(apart, digits)}{p}, {ways.get(match.way, 'unpaired')}{common}"


def _claim(info: ComparisonInfo, match: Match) -> Claim:
    left, right = match.first, match.second
    caveats = [f"{name}: {caveat}" for claim, name in ((left, info.names[0]), (right, info.names[1])) for caveat in claim.caveats]
    return Claim(
        name=f"comparison/{left.name}",
        kind="comparison",
        subject=left.subject,
        split=left.split,
        metric=left.metric,
        unit=left.unit,
        estimates={match.estimate: match.difference},
        methods={match.estimate: METHODS[match.way]},
        keys=tuple(dict.fromkeys((*left.keys, *right.keys))),
        sentence=match_sentence(info, match),
        decided_by=match.estimate,
        counts={
            "seeds_first": match.sides[0].n,
            "seeds_second": match.sides[1].n,
            "shared": match.shared,
            "common_trials": match.common,
        },
        caveats=tuple(caveats),
        details={
            name: {"study": study, "kind": claim.kind, **numbers(claim)}
            for name, study, claim in zip(("first", "second"), info.names, (left, right), strict=True)
        }
        | {"agreement": match.agreement, "way": match.way},
    )


def surer_sentences(info: ComparisonInfo) -> Sequence[str]:
    """Why a difference can be surer than one of the numbers that it is of, where that happens among the headlines."""
    surer = [one for one in info.headline if one.is_surer]
    paired = [match_name(one.first) for one in surer if one.way in ("seeds and images", "seeds", "images")]
    others = [match_name(one.first) for one in surer if one.way in ("independent", "limits")]
    told = []
    if paired:
        told.append(
            f"{_some(paired)} surer than one of {_its(paired)} two numbers, as these are not independent: what the same images, or the "
            "same seeds, do to both of them drops out of their difference. With few seeds a spread is itself uncertain, and part of it "
            "may be chance."
        )
    if others:
        told.append(
            f"{_some(others)} surer than one of {_its(others)} two numbers, as the spread over seeds is estimated from both studies "
            "together, with more degrees of freedom than either has."
        )
    return told


def _some(names: Sequence[str]) -> str:
    return f"The difference of {names[0]} is" if len(names) == 1 else f"{len(names)} differences ({'; '.join(names)}) are"


def _its(names: Sequence[str]) -> str:
    return "its" if len(names) == 1 else "their"
