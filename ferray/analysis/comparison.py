"""Two studies side by side: what both claim, how far apart their numbers are, and where their verdicts agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferray.analysis.ablation import effect_name
from ferray.analysis.claims import Claim
from ferray.analysis.crossed import crossed
from ferray.analysis.effect_sentences import brackets, equal, verdict_words
from ferray.analysis.effects import VERDICT_METRIC, effect_claims
from ferray.analysis.image_groups import image_groups
from ferray.analysis.per_image import per_image
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate, student
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import plural, setting, signed
from ferray.config import flatten
from ferray.errors import LedgerError

PAIRED = "crossed random factors, seeds by images, of the difference of differences image by image over the seeds that both studies have"
UNPAIRED = (
    "two independent estimates, each over its own seeds and images: variances added, with Welch's degrees of freedom; where both were "
    "judged on the same images the interval is rather too wide"
)


@dataclass(frozen=True)
class Match:
    """One effect that both studies tell, on the same split and in the same metric."""

    first: Claim
    second: Claim
    difference: Estimate  # first minus second, in the claims' unit
    method: str
    shared: int  # seeds that the difference is paired over; none where it is unpaired

    @property
    def agreement(self) -> str:
        """Whether the verdicts agree, contradict each other (helps against hurts), or merely differ; empty without two of them."""
        verdicts = {self.first.verdict, self.second.verdict}
        if None in verdicts:
            return ""
        if len(verdicts) == 1:
            return "agree"
        return "contradict" if verdicts == {"helps", "hurts"} else "differ"


@dataclass(frozen=True)
class ComparisonInfo:
    """What two studies have in common and what not; ``names`` are theirs, told apart where they are the same."""

    names: tuple[str, str]
    matches: tuple[Match, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]  # effects that one of the studies alone tells
    settings: tuple[tuple[str, str, str], ...]  # what differs: name, value of the first, of the second
    label: str
    margins: tuple[float, float]
    synthetic: bool
    same_data: bool

    @property
    def headline(self) -> tuple[Match, ...]:
        """The matches that verdicts are given for: in accuracy on the split that is told first."""
        return tuple(match for match in self.matches if match.first.metric == VERDICT_METRIC and match.first.split == self.split)

    @property
    def split(self) -> str:
        """The split that is told first."""
        splits = [match.first.split for match in self.matches]
        return "test" if "test" in splits else "validation"


def comparison_info(first: Results, second: Results) -> ComparisonInfo:
    """Matches the effects of two studies by kind, subject, split and metric. Raises LedgerError where their classes are not the same."""
    if first.classes != second.classes:
        raise LedgerError(
            f"{first.name} and {second.name} cannot be compared, as their classes differ: "
            f"{', '.join(first.classes)} and {', '.join(second.classes)}"
        )
    names = (first.name, second.name)
    if first.name == second.name:
        if first.ledger.path.resolve() == second.ledger.path.resolve():
            raise LedgerError(f"{first.name} would be compared with itself; give two studies")
        names = (f"{first.name} in {first.ledger.path}", f"{second.name} in {second.ledger.path}")
    left, right = ({_place(claim): claim for claim in effect_claims(one) if claim.estimates} for one in (first, second))
    same = first.data["fingerprint"] == second.data["fingerprint"]
    matches = [_match(first, second, claim, right[place], same_data=same) for place, claim in left.items() if place in right]
    only = tuple(_alone(one, other) for one, other in ((left, right), (right, left)))
    return ComparisonInfo(
        names=names,
        matches=tuple(matches),
        only=(only[0], only[1]),
        settings=tuple(_settings(first, second)),
        label=first.split_labels[first.headline],
        margins=(first.smallest_effect, second.smallest_effect),
        synthetic=first.synthetic or second.synthetic,
        same_data=same,
    )


def comparison_claims(info: ComparisonInfo) -> list[Claim]:
    """A claim for every effect that both studies tell: how much larger it is in the first."""
    return [_claim(info, match) for match in info.matches]


def match_sentence(info: ComparisonInfo, match: Match) -> str:
    """Both numbers, their difference and what the verdicts say of each other."""
    digits = 3 if match.first.unit == "nats" else 1
    numbers = [
        f"{signed(claim.estimates['both'].mean, digits)} {claim.unit} {brackets(claim.estimates['both'], digits)} in {name}"
        + (f" ({verdict_words(claim)})" if claim.verdict else "")
        for claim, name in zip((match.first, match.second), info.names, strict=True)
    ]
    apart = match.difference
    p = f", p {equal(apart.p)}" if math.isfinite(apart.p) else ""
    how = f"paired over {plural(match.shared, 'seed')}" if match.shared else "unpaired"
    verdicts = f"; the verdicts {match.agreement}" if match.agreement else ""
    told = f"{signed(apart.mean, digits)} {brackets(apart, digits)}{p}, {how}"
    return f"{effect_name(match.first)}: {numbers[0]} and {numbers[1]}; difference {told}{verdicts}."


def _place(claim: Claim) -> tuple[str, str, tuple[str, ...], str, str]:
    return claim.kind, claim.subject, tuple(sorted(claim.details["context"])), claim.split, claim.metric


def _alone(own: Mapping[Any, Claim], other: Mapping[Any, Claim]) -> tuple[str, ...]:
    told = {place[:3] for place in other}
    return tuple(dict.fromkeys(effect_name(claim) for place, claim in own.items() if place[:3] not in told))


def _match(first: Results, second: Results, left: Claim, right: Claim, *, same_data: bool) -> Match:
    shared = _shared(first, second, left, right) if same_data else None
    if shared is None:
        return Match(left, right, welch(left.estimates["both"], right.estimates["both"]), UNPAIRED, 0)
    return Match(left, right, shared, PAIRED, shared.n)


def _shared(first: Results, second: Results, left: Claim, right: Claim) -> Estimate | None:
    """The difference paired by seed and image, where the studies share their images and seeds enough for an interval."""
    tables = [_rows(results, claim) for results, claim in ((first, left), (second, right))]
    seeds = [seed for seed in tables[0] if seed in tables[1]]
    if len(seeds) < FEWEST_SEEDS:
        return None
    values = np.stack([tables[0][seed] - tables[1][seed] for seed in seeds])
    scale = (-1.0 if left.metric == "loss" else 1.0) * (1.0 if left.unit == "nats" else 100.0)
    return crossed(values, image_groups(first, left.split)).scaled(scale).both


def _rows(results: Results, claim: Claim) -> dict[int, Any]:
    """By seed, the difference of the two sides of a claim image by image."""
    rows = {}
    for place, seed in enumerate(claim.details["points"]):
        sides = [per_image(results, key, claim.split, claim.metric) for key in claim.keys[2 * place : 2 * place + 2]]
        if sides[0] is not None and sides[1] is not None:
            rows[int(seed)] = sides[0] - sides[1]
    return rows


def welch(left: Estimate, right: Estimate) -> Estimate:
    """The difference of two independent estimates over seeds and images: variances are added, those of seeds and of images apart.

    Each sum has the degrees of freedom of Welch (1947, Biometrika 34). Speaks about what the two speak about; ``n`` is the smaller one.
    Without both errors, as with fewer than three seeds, there is no interval.
    """
    both = (left, right)
    of_seeds = [((1 - one.image_share) * one.error**2, one.degrees) for one in both]
    of_images = [(one.image_share * one.error**2, one.image_degrees) for one in both]
    total = sum(variance for variance, _ in (*of_seeds, *of_images))
    return student(
        left.mean - right.mean,
        math.sqrt(total),
        _degrees(of_seeds),
        min(left.n, right.n),
        image_share=sum(variance for variance, _ in of_images) / total if total > 0 else 0.0,
        image_degrees=_degrees(of_images),
    )


def _degrees(parts: Sequence[tuple[float, float]]) -> float:
    """Of the sum of variances, given with their own degrees of freedom."""
    rest = sum(variance**2 / degrees for variance, degrees in parts)
    return sum(variance for variance, _ in parts) ** 2 / rest if rest > 0 else min(degrees for _, degrees in parts)


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
        estimates={"both": match.difference},
        methods={"both": match.method},
        keys=(*left.keys, *right.keys),
        sentence=match_sentence(info, match),
        decided_by="both",
        counts={"seeds_first": left.counts["paired"], "seeds_second": right.counts["paired"], "shared": match.shared},
        caveats=tuple(caveats),
        details={
            name: {"study": study, "verdict": claim.verdict, "estimates": {one: _numbers(value) for one, value in claim.estimates.items()}}
            for name, study, claim in zip(("first", "second"), info.names, (left, right), strict=True)
        }
        | {"agreement": match.agreement},
    )


def _numbers(estimate: Estimate) -> dict[str, float]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n, "p": estimate.p}


def _settings(first: Results, second: Results) -> list[tuple[str, str, str]]:
    """What differs between the studies: settings of the baseline, data, seeds, design, margin."""
    told = [_facts(results) for results in (first, second)]
    nothing = "not set"
    names: Sequence[str] = list(dict.fromkeys([*told[0], *told[1]]))
    return [
        (name, told[0].get(name, nothing), told[1].get(name, nothing))
        for name in names
        if told[0].get(name, nothing) != told[1].get(name, nothing)
    ]


def _facts(results: Results) -> dict[str, str]:
    facts = {
        "data": f"{results.data['name']} ({results.data['fingerprint'][:12]})",
        "seeds": ", ".join(str(seed) for seed in sorted({int(seed) for seed in results.trials["seed"]})),
        "baseline": results.baseline,
        "design": str(results.ablation.get("design", "path")) if any(one.removed for one in results.variants.values()) else "none",
        "smallest effect": f"{results.smallest_effect:g} points",
    }
    facts |= {f"{split} images": f"{results.images_in(split):,}" for split in results.splits}
    config = flatten(dict(results.variants[results.baseline].config))
    return facts | {f"base.{name}": setting(value) for name, value in config.items() if name != "seed"}
