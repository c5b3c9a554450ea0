"""What a tuned ablation says, as claims: every difference frozen and re-tuned, what tuning changes, and whose best draw is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ferray.analysis.best_of import ORDER_LEVEL, Order
from ferray.analysis.claims import Claim, Verdict, block_counts
from ferray.analysis.crossed import REDRAWN, Crossed
from ferray.analysis.effect_sentences import amount, equal, needs, number
from ferray.analysis.effects import with_needs
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate, hedges_g
from ferray.analysis.tuned import Retuned, Search, TunedInfo, tuned_info
from ferray.analysis.verdicts import FEWEST_SEEDS, Decision, undecided
from ferray.analysis.wording import capital, factor_label, listed, plural, points, signed

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
    "no effect": "no effect larger than {margin}",
    "inconclusive": "inconclusive",
}
COMPARED: Mapping[Verdict, str] = {
    **VERDICTS,
    "helps": "better",
    "hurts": "worse",
    "no effect": "no difference larger than {margin}",
}
"""How the verdicts read of a free variant against the baseline."""
CHANGES: Mapping[Verdict, str] = {
    "helps": "more once re-tuned",
    "hurts": "less once re-tuned",
    "no effect": "no change larger than {margin}",
    "inconclusive": "inconclusive",
}
"""How the verdicts read of a change by tuning."""


def tuned_claims(results: Results) -> list[Claim]:
    """Three claims for each variant and split in accuracy (frozen, re-tuned, and one minus the other), with verdicts on the headline.

    And one for each search of which it is asked whether its best draw is better than the baseline's.
    """
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
        if split == results.headline:
            claims += [_order_claim(results, info, one, one.order) for one in info.searches if one.order is not None]
    return claims


def _order_claim(results: Results, info: TunedInfo, one: Search, found: Order) -> Claim:
    tuning = results.trials[results.trials["phase"] == "tuning"]
    keys = tuning.loc[tuning["variant"].isin([info.baseline, one.variant]), "key"]
    best = len(found.mean)
    return Claim(
        name=f"tuned/order/{one.variant}/validation/accuracy",
        kind="search order",
        subject=one.variant,
        split="validation",
        metric=f"accuracy of the best of {best} draws",
        unit="points",
        estimates={"draws": Estimate(-float(found.mean[-1]), -float(found.high[-1]), -float(found.low[-1]), found.draws)},
        methods={"draws": f"jackknife over draws, paired by draw, with an interval of {100 * ORDER_LEVEL:g} %"},
        keys=tuple(dict.fromkeys(map(str, keys))),
        sentence=order_sentence(info, one),
        compared=(one.variant, info.baseline),
        counts={"draws": found.draws},
        details={"clear_from": found.clear_from, "level": ORDER_LEVEL},
    )


def order_sentence(info: TunedInfo, one: Search) -> str:
    """From which budget on it is clear whose best draw is better."""
    found = one.order
    if found is None:
        return f"{one.variant}: too few draws that {info.baseline} has as well to say whose best is better."
    last = len(found.mean)
    sure = f"{100 * ORDER_LEVEL:g} % interval {signed(-found.high[-1])} to {signed(-found.low[-1])}"
    ends = f"best of {last} compared with that of {info.baseline}: {signed(-found.mean[-1])} points ({sure}), {found.draws} draws in common"
    if found.clear_from is None:
        return f"{one.variant}, {ends}: up to n = {last} it is not clear which is ahead."
    return f"{one.variant}, {ends}: {info.baseline if found.leads else one.variant} is clearly ahead from n = {found.clear_from} on."


def _claim(info: TunedInfo, one: Retuned, what: str, found: Crossed, *, judged: bool) -> Claim:
    verdict = one.verdict(what)
    decided: dict[str, Any] = {}
    if one.decisions is not None and verdict is not None:
        decided = {"decided_by": "both", "p_adjusted": one.decisions[what].p}
        if judged:
            decided |= {"verdict": verdict, "p_equivalence": one.decisions[what].p_equivalence, "margin": info.smallest_effect}
    with_it = (info.baseline, one.variant) if one.is_removal else (one.variant, info.baseline)
    claim = Claim(
        name=f"tuned/{what}/{one.variant}/{info.split}/accuracy",
        kind="tuned",
        subject=one.subject,
        split=info.split,
        metric="accuracy",
        unit="points",
        estimates={"seeds": found.seeds, "images": found.images, "both": found.both},
        methods=found.methods,
        keys=one.keys,
        sentence="",
        compared=None if what == "change" else with_it,
        family=f"{FAMILIES[what]} of {'factors' if one.is_removal else 'variants'}, accuracy, {info.split}",
        counts=block_counts(one.planned, len(one.seeds), (status for *_, status in one.lost), found.n_images, one.image_groups),
        effect_size=hedges_g(np.array(found.points)),
        caveats=(*_caveats(one, what), *([REDRAWN] if found.is_redrawn else ())),
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
        claim = with_needs(claim, found, undecided(_family(info, one, what)))
    return replace(claim, sentence=_sentence(info, one, what, claim))


def subject(one: Retuned) -> str:
    """The subject of a sentence: factors with a capital, or a variant by its name."""
    if not one.is_removal:
        return one.subject
    return capital(listed([factor_label(factor) for factor in one.subject.split("+")]))


def verdict_words(one: Retuned, what: str, margin: float) -> str:
    """How a verdict reads, of a free variant as better or worse."""
    verdict = one.verdict(what)
    if verdict is None:
        return "no verdict"
    words = CHANGES if what == "change" else VERDICTS if one.is_removal else COMPARED
    return words[verdict].format(margin=points(margin))


def _family(info: TunedInfo, one: Retuned, what: str) -> Iterator[Decision]:
    """The decisions that were made together with this one."""
    for other in info.retuned:
        is_member = other.final is not None and other.is_removal == one.is_removal and not (what == "change" and other.same)
        if is_member and other.decisions is not None:
            yield other.decisions[what]


def _sentence(info: TunedInfo, one: Retuned, what: str, claim: Claim) -> str:
    verdict = claim.verdict
    p = claim.p_equivalence if verdict == "no effect" else claim.p_adjusted
    tested = f", p {equal(p)} (Holm)" if verdict is not None else ""
    told = f": {verdict_words(one, what, info.smallest_effect)}" if verdict is not None else ""
    need = f"; {needs(claim)}" if verdict == "inconclusive" else ""
    same = " Its own best settings are the baseline's." if one.same and what != "frozen" else ""
    return f"{subject(one)}, {WHAT[what]}{told}, {number(claim)} of accuracy on the {info.label} set{tested}, {amount(claim)}{need}.{same}"


def _caveats(one: Retuned, what: str) -> list[str]:
    told = []
    if one.lost:
        names = {"baseline": "baseline", "frozen": f"{one.variant} frozen", "final": f"{one.variant} re-tuned"}
        some = [f"seed {seed} ({names[side]} {status})" for side, seed, status in one.lost[:4]]
        more = f" and {len(one.lost) - len(some)} more" if len(one.lost) > len(some) else ""
        told.append(f"{plural(one.planned - len(one.seeds), 'seed')} of {one.planned} left out: {', '.join(some)}{more}.")
    if len(one.seeds) < FEWEST_SEEDS:
        told.append(
            f"Fewer than {FEWEST_SEEDS} seeds finished on all sides: too few for a verdict and for an interval over seeds and images."
        )
    elif one.same and what == "change":
        told.append("Both are the same trials, so that nothing can change, and there is no verdict.")
    elif one.verdict(what) is None:
        told.append(f"All {len(one.seeds)} seeds and all images show the same, so that there is no spread to judge it by, and no verdict.")
    return told
