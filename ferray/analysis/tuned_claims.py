"""What a tuned ablation says, as claims: every difference frozen and re-tuned, what tuning changes, and whose best draw is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ferray.analysis.claims import Claim, Verdict
from ferray.analysis.crossed import METHODS, Crossed
from ferray.analysis.effect_sentences import amount, equal, needs, number
from ferray.analysis.effects import with_needs
from ferray.analysis.results import Results
from ferray.analysis.statistics import hedges_g
from ferray.analysis.tuned import Retuned, TunedInfo, tuned_info
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import factor_label, listed, plural

WHAT: Mapping[str, str] = {
    "frozen": "at the baseline's settings",
    "final": "at its own best settings",
    "change": "re-tuned minus frozen",
}
"""The three differences of a variant, as sentences have them."""
FAMILIES: Mapping[str, str] = {"frozen": "frozen differences", "final": "re-tuned differences", "change": "changes by tuning"}

VERDICTS: Mapping[Verdict, str] = {
    "helps": "helps",
    "hurts": "hurts",
    "no effect": "no effect larger than {margin} points",
    "inconclusive": "inconclusive",
}
CHANGES: Mapping[Verdict, str] = {
    "helps": "more once re-tuned",
    "hurts": "less once re-tuned",
    "no effect": "no change larger than {margin} points",
    "inconclusive": "inconclusive",
}
"""How the verdicts read of a change by tuning."""


def tuned_claims(results: Results) -> list[Claim]:
    """Three claims for each variant and split in accuracy (frozen, re-tuned, and one minus the other), with verdicts on the headline."""
    claims = []
    for split in dict.fromkeys((results.headline, *results.splits)):
        info = tuned_info(results, split)
        if info is None:
            continue
        for one in info.retuned:
            for what in WHAT:
                found = getattr(one, what)
                if found is not None:
                    claims.append(_claim(info, one, what, found, judged=split == results.headline))
    return claims


def _claim(info: TunedInfo, one: Retuned, what: str, found: Crossed, *, judged: bool) -> Claim:
    decision = one.decisions[what] if one.decisions is not None else None
    enough = len(one.seeds) >= FEWEST_SEEDS and not found.both.is_point
    decided: dict[str, Any] = {}
    if decision is not None and enough:
        decided = {"decided_by": "both", "p_adjusted": decision.p}
        if judged:
            decided |= {"verdict": decision.verdict, "p_equivalence": decision.p_equivalence, "margin": info.smallest_effect}
    statuses = [status for _, _, status in one.lost]
    diverged, failed = statuses.count("diverged"), statuses.count("failed")
    with_it = (info.baseline, one.variant) if one.is_removal else (one.variant, info.baseline)
    claim = Claim(
        name=f"tuned/{what}/{one.variant}/{info.split}/accuracy",
        kind="tuned",
        subject=one.subject,
        split=info.split,
        metric="accuracy",
        unit="points",
        estimates={"seeds": found.seeds, "images": found.images, "both": found.both},
        methods=METHODS,
        keys=one.keys,
        sentence="",
        compared=None if what == "change" else with_it,
        family=f"{FAMILIES[what]}, accuracy, {info.split}",
        counts={
            "planned": one.planned,
            "paired": len(one.seeds),
            "diverged": diverged,
            "failed": failed,
            "missing": len(statuses) - diverged - failed,
            "images": found.n_images,
            "image_groups": one.image_groups,
        },
        effect_size=hedges_g(np.array(found.points)),
        caveats=tuple(_caveats(one)),
        details={
            "points": dict(zip(one.seeds, found.points, strict=True)),
            "settings": what,
            "sample": one.chosen,
            "same_settings": one.same,
            "verdicts_differ": one.verdicts_differ,
            "is_changed": one.is_changed,
        },
        **decided,
    )
    if claim.verdict == "inconclusive":
        claim = with_needs(claim, found, len(info.retuned))
    return replace(claim, sentence=_sentence(info, one, what, claim))


def subject(one: Retuned) -> str:
    """The subject of a sentence: factors with a capital, or a variant by its name."""
    if not one.is_removal:
        return one.subject
    factors = listed([factor_label(factor) for factor in one.subject.split("+")])
    return f"{factors[:1].upper()}{factors[1:]}"


def verdict_words(verdict: Verdict | None, margin: float) -> str:
    """How a verdict reads."""
    return VERDICTS[verdict].format(margin=f"{margin:g}") if verdict is not None else "no verdict"


def _sentence(info: TunedInfo, one: Retuned, what: str, claim: Claim) -> str:
    verdict = claim.verdict
    p = claim.p_equivalence if verdict == "no effect" else claim.p_adjusted
    tested = f", p {equal(p)} (Holm)" if verdict is not None else ""
    words = CHANGES if what == "change" else VERDICTS
    told = f": {words[verdict].format(margin=f'{info.smallest_effect:g}')}" if verdict is not None else ""
    need = f"; {needs(claim)}" if verdict == "inconclusive" else ""
    same = " Its own best settings are the baseline's." if one.same and what != "frozen" else ""
    return f"{subject(one)}, {WHAT[what]}{told}, {number(claim)} of accuracy on the {info.label} set{tested}, {amount(claim)}{need}.{same}"


def _caveats(one: Retuned) -> list[str]:
    told = []
    if one.lost:
        names = {"baseline": "baseline", "frozen": f"{one.variant} frozen", "final": f"{one.variant} re-tuned"}
        some = [f"seed {seed} ({names[side]} {status})" for side, seed, status in one.lost[:4]]
        more = f" and {len(one.lost) - len(some)} more" if len(one.lost) > len(some) else ""
        told.append(f"{plural(one.planned - len(one.seeds), 'seed')} of {one.planned} left out: {', '.join(some)}{more}.")
    if len(one.seeds) < FEWEST_SEEDS:
        told.append(f"Fewer than {FEWEST_SEEDS} seeds finished on all sides, which is too few for a verdict.")
    return told
