"""What a factorial design says, as claims: main effects, interactions and Shapley effects, with intervals and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ferray.analysis.claims import Claim, Verdict, block_counts
from ferray.analysis.crossed import REDRAWN, Crossed
from ferray.analysis.effect_sentences import amount, brackets, equal, needs
from ferray.analysis.effects import with_needs
from ferray.analysis.factorial import Contrast, FactorialInfo, effect_label, factorial_info
from ferray.analysis.results import Results
from ferray.analysis.statistics import hedges_g
from ferray.analysis.verdicts import FEWEST_SEEDS, undecided
from ferray.analysis.wording import capital, factor_label, listed, plural, points, signed

Kind = Literal["main_effect", "interaction", "shapley", "together"]

FAMILIES: Mapping[Kind, str] = {
    "main_effect": "main effects",
    "interaction": "interactions",
    "shapley": "Shapley effects",
    "together": "all factors together",
}
"""Effects of one kind on one split are a family, whose errors are held down together; Shapley effects and their sum are not tested."""

VERDICTS: Mapping[Verdict, tuple[str, str, str]] = {
    "helps": ("helps", "help", "help one another"),
    "hurts": ("hurts", "hurt", "get in each other's way"),
    "no effect": (
        "has no main effect larger than {margin}",
        "have no main effect larger than {margin}",
        "have no interaction larger than {margin}",
    ),
    "inconclusive": ("inconclusive main effect", "inconclusive main effect", "inconclusive interaction"),
}
"""How a verdict reads of the main effect of a factor, of a group of factors, and of an interaction of two."""

SHOWN_ALIASES = 6
"""Aliases in a sentence or a cell at most."""
NAMED = 4
"""Kinds of lost trials that a caveat names."""


def factorial_claims(results: Results) -> list[Claim]:
    """The claims of every effect on every split in accuracy; verdicts on the split that is told first, adjusted p-values on the others."""
    claims = []
    for split in dict.fromkeys((results.headline, *results.splits)):
        info = factorial_info(results, split)
        if info is None:
            continue
        kinds: Sequence[tuple[Kind, tuple[Contrast, ...]]] = (
            ("main_effect", info.main),
            ("interaction", info.interactions),
            ("shapley", info.shapley),
            ("together", () if info.total is None else (Contrast(info.factors, info.total),)),
        )
        claims += [_claim(info, kind, one, contrasts, judged=split == results.headline) for kind, contrasts in kinds for one in contrasts]
    return claims


def _claim(info: FactorialInfo, kind: Kind, contrast: Contrast, family: Sequence[Contrast], *, judged: bool) -> Claim:
    found, decision = contrast.crossed, contrast.decision
    enough = len(info.seeds) >= FEWEST_SEEDS and not found.both.is_point
    verdict = decision.verdict if decision is not None and judged and enough else None
    decided: dict[str, Any] = {"decided_by": "both", "p_adjusted": decision.p} if decision is not None and enough else {}
    if decision is not None and verdict is not None:
        decided |= {"verdict": verdict, "p_equivalence": decision.p_equivalence, "margin": info.smallest_effect}
    claim = Claim(
        name=f"{kind}/{contrast.name}/{info.split}/accuracy",
        kind=kind,
        subject=contrast.name,
        split=info.split,
        metric="accuracy",
        unit="points",
        estimates={"seeds": found.seeds, "images": found.images, "both": found.both},
        methods=found.methods,
        keys=info.keys,
        sentence="",
        family=f"{FAMILIES[kind]}, accuracy, {info.split}",
        counts=block_counts(info.planned, len(info.seeds), (status for *_, status in info.lost), found.n_images, info.image_groups),
        effect_size=hedges_g(np.array(found.points)),
        caveats=tuple(_caveats(info, contrast)),
        details={
            "points": dict(zip(info.seeds, found.points, strict=True)),
            "variants": len(info.variants),
            "design": info.design,
            "aliases": contrast.aliases,
            "family_size": len(family),
        },
        **decided,
    )
    if verdict == "inconclusive":
        claim = with_needs(claim, found, undecided(one.decision for one in family if one.decision is not None))
    return replace(claim, sentence=_sentence(info, kind, contrast, claim))


def _caveats(info: FactorialInfo, contrast: Contrast) -> list[str]:
    told = []
    if info.lost:
        told.append(lost_seeds(info))
    if len(info.seeds) < FEWEST_SEEDS:
        told.append(
            f"Fewer than {FEWEST_SEEDS} seeds finished all variants: too few for a verdict and for an interval over seeds and images."
        )
    if contrast.aliases:
        told.append(f"The design cannot tell this effect from {aliased(contrast.aliases)}: the number is their sum.")
    if contrast.crossed.is_redrawn:
        told.append(REDRAWN)
    return told


def lost_seeds(info: FactorialInfo) -> str:
    """Which trials keep seeds out, with what became of them."""
    fates: dict[tuple[str, str], list[int]] = {}
    for variant, seed, status in info.lost:
        fates.setdefault((variant, status), []).append(seed)
    some = [
        f"{variant} {'seed' if len(seeds) == 1 else 'seeds'} {listed([str(seed) for seed in seeds])} ({status})"
        for (variant, status), seeds in list(fates.items())[:NAMED]
    ]
    rest = len(fates) - len(some)
    also = f", and trials of {plural(rest, 'other kind')}" if rest else ""
    left = info.planned - len(info.seeds)
    return f"{plural(left, 'seed')} of {info.planned} {'is' if left == 1 else 'are'} left out, since not all variants finished on it: " + (
        f"{', '.join(some)}{also}."
    )


def _sentence(info: FactorialInfo, kind: Kind, contrast: Contrast, claim: Claim) -> str:
    """A claim in words: the verdict or the bare number, the interval over seeds and images, p, and how much stands behind it."""
    p = claim.p_equivalence if claim.verdict == "no effect" else claim.p_adjusted
    tested = f", p {equal(p)} (Holm)" if claim.verdict is not None else ""
    told = f"{number(contrast.crossed)} of accuracy on the {info.label} set{tested}, {amount(claim)}"
    subject = capital(listed([factor_label(factor) for factor in contrast.factors]))
    if claim.verdict is None:
        told = f"{subject}, {FAMILIES[kind].removesuffix('s')}: {told}"
    else:
        words = VERDICTS[claim.verdict][2 if kind == "interaction" else "+" in contrast.name].format(margin=points(info.smallest_effect))
        told = f"{subject}{', ' if claim.verdict == 'inconclusive' else ' '}{words}: {told}"
    if claim.verdict == "inconclusive":
        told += f"; {needs(claim)}"
    alike = f" It cannot be told from {aliased(contrast.aliases)}." if contrast.aliases else ""
    return f"{told}.{alike}"


def number(found: Crossed) -> str:
    """``+1.2 points [+0.3, +2.1]``; of too few seeds, with the interval over images, saying so."""
    told = f"{signed(found.both.mean)} points"
    return f"{told} {brackets(found.both)}" if found.both.has_interval else f"{told} {brackets(found.images)} (over images)"


def aliased(aliases: Sequence[str]) -> str:
    """The effects that one cannot be told from, the first of them by name."""
    shown = [effect_label(alias) for alias in aliases[:SHOWN_ALIASES]]
    if len(aliases) > len(shown):
        shown.append(f"{len(aliases) - len(shown)} more")
    return listed(shown, "or")
