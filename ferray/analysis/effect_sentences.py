"""The sentences of effects and verdicts, made from their claims."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ferray.analysis.claims import Claim
from ferray.analysis.comparisons import Comparison, Pairs
from ferray.analysis.crossed import REDRAWN
from ferray.analysis.needs import MOST_IMAGES
from ferray.analysis.per_image import CLASS
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS
from ferray.analysis.wording import capital, factor_label, listed, plural, points, probability, signed
from ferray.power import MOST_SEEDS

FATES = {"missing": "has not run", "running": "is still running", "interrupted": "was interrupted", "damaged": "cannot be read"}
"""What became of a trial, in a sentence; other states are said as they are called."""
ORDER = "A step of a path depends on the order of the removals."
"""The caveat of every step."""
UNCORRECTED = (
    f"An interval in brackets may exclude zero where p is not below {ALPHA:g} and nothing is decided: each interval is of 95 % by itself, "
    "while p and verdicts are corrected for the number of effects (Holm)."
)
NAMED = 6
"""Seeds that a caveat names."""


def sentence(results: Results, claim: Claim, comparison: Comparison) -> str:
    """The claim in words: the verdict or the bare number, the interval over seeds and images, p, and how much stands behind it."""
    who = subject(comparison)
    if not claim.estimates and claim.keys:
        return f"{who}: the ledger holds no predictions, or no labels, for {plural(len(claim.keys) // 2, 'seed')} finished on both sides."
    if not claim.estimates:
        return f"{who}: no seed was finished on both sides ({listed(claim.compared or ())}), so nothing is known of it."
    where = results.split_labels[claim.split]
    told = f"{number(claim)} {_measure(claim)} on the {where} set{_p(claim)}, {amount(claim)}"
    match claim.verdict:
        case "helps" | "hurts":
            return f"{_decided(comparison, good=claim.verdict == 'helps')}: {told}."
        case "no effect":
            return f"{_equal(comparison, points(claim.margin))}: {told}."
        case "inconclusive":
            return f"{who}: inconclusive, {told}; {needs(claim)}."
    return f"{who}: {told}; {_no_verdict(results, claim)}."


def subject(comparison: Comparison) -> str:
    """The subject of a sentence, with its capital where it is a factor."""
    if comparison.kind in ("variant", "difference"):
        return f"{comparison.subject} against {comparison.worse}"
    told = capital(factors_label(comparison.subject))
    if comparison.added:
        return f"{told} (added to the network without any factor)"
    if comparison.kind == "step":
        return f"{told} (once {listed([factor_label(one) for one in comparison.context])} {_is(comparison.context)} gone)"
    return f"{told} together" if "+" in comparison.subject else told


def factors_label(subject: str) -> str:
    """Factors as a sentence lists them."""
    return listed([factor_label(one) for one in subject.split("+")])


def number(claim: Claim) -> str:
    """The number with its interval over seeds and images: ``+6.5 points [+2.2, +10.8]``; of too few seeds, with that over images."""
    digits = 3 if claim.unit == "nats" else 1
    estimate = claim.estimates["both"]
    told = f"{signed(estimate.mean, digits)} {claim.unit}"
    if estimate.has_interval:
        return f"{told} {brackets(estimate, digits)}"
    images = claim.estimates["images"]
    return f"{told} {brackets(images, digits)} (over images)" if images.has_interval else told


def brackets(estimate: Estimate, digits: int = 1) -> str:
    """An interval as ``[+2.2, +10.8]``, or that there is none."""
    return f"[{signed(estimate.low, digits)}, {signed(estimate.high, digits)}]" if estimate.has_interval else "no interval"


def amount(claim: Claim) -> str:
    """How much stands behind a claim: ``4 seeds x 600 images``."""
    images, groups = claim.counts["images"], claim.counts["image_groups"]
    alike = "" if groups > 0.95 * images else f" (in {groups:,} groups of near-identical ones)"
    return f"{plural(claim.counts['paired'], 'seed')} x {images:,} images{alike}"


def needs(claim: Claim) -> str:
    """What it would take to decide an inconclusive claim."""
    if claim.seeds_needed is not None:
        return f"{claim.seeds_needed:,} seeds needed to decide"
    images, seeds = claim.details.get("images_needed"), claim.details.get("seeds_needed_on_them")
    if "redrawn" in claim.details:
        return "no number of seeds can decide on so few images to draw from; more images may"
    if images is None:
        near = "the estimate lies so near to zero, or to the margin, beside its spread"
        return f"{near} that neither {MOST_SEEDS:,} seeds nor {MOST_IMAGES:,} times the images would decide"
    return f"no number of seeds can decide on so few test images; {seeds:,} seeds on about {images:,} images can"


def uncorrected(claims: Iterable[Claim]) -> list[str]:
    """Why an interval of one of these excludes zero although its p decides nothing; nothing where none does."""
    odd = any(claim.p_adjusted >= ALPHA and claim.estimates["both"].excludes_zero for claim in claims if claim.estimates)
    return [UNCORRECTED] if odd else []


def caveats(results: Results, claim: Claim, found: Pairs) -> Iterable[str]:
    """What a reader must know before believing the number: lost seeds, too few of them, no spread, images that also selected epochs."""
    planned, paired = claim.counts["planned"], claim.counts["paired"]
    if paired < planned:
        named = [f"seed {seed} ({variant} {FATES.get(fate, fate)})" for seed, (fate, variant) in found.lost.items()]
        unpredicted = planned - paired - len(found.lost)
        named += [f"{plural(unpredicted, 'seed')} without predictions in the ledger"] if unpredicted else []
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        averaged, speaks = (", not averaged away", " It speaks of the seeds that both sides finished.") if paired else ("", "")
        missing = f"{plural(planned - paired, 'seed')} of {planned} {_verb(planned - paired)} missing from it{averaged}"
        yield f"{missing}: {', '.join(named[:NAMED])}{more}.{speaks}"
    both = claim.estimates.get("both")
    if paired < FEWEST_SEEDS:
        few = (
            f"a verdict and an interval over seeds and images take {FEWEST_SEEDS}, as fewer say next to nothing of how far another may lie"
        )
        yield f"{plural(paired, 'paired seed')}: {few}."
    elif both is not None and both.is_point:
        yield f"All {paired} seeds and all images show the same difference, so that there is no spread to judge it by, and no verdict."
    if claim.split == "validation" and results.headline == "validation":
        searched = len({entry.get("sample", 0) for entry in results.plan}) > 1
        yield f"Epochs{' and samples' if searched else ''} were selected on these very images."
    if results.redrawn(claim.split) is not None:
        yield REDRAWN
    if claim.kind == "step":
        yield ORDER


def _p(claim: Claim) -> str:
    p, what = (claim.p_equivalence, " for as much as that") if claim.verdict == "no effect" else (claim.p_adjusted, "")
    return f", p {equal(p)}{what} (Holm)" if math.isfinite(p) else ""


def equal(p: float) -> str:
    """A p-value with its sign: ``= 0.012``, ``< 0.001``."""
    told = probability(p)
    return told if told.startswith("<") else f"= {told}"


def _measure(claim: Claim) -> str:
    if claim.metric.startswith(CLASS):
        return f"in the share of '{claim.metric.removeprefix(CLASS)}' that is recognized"
    return {"accuracy": "of accuracy", "macro_f1": "of macro-F1"}.get(claim.metric, "in loss (its sign turned: positive is better)")


def _decided(comparison: Comparison, *, good: bool) -> str:
    if comparison.kind == "variant":
        return f"{comparison.subject} is {'better' if good else 'worse'} than {comparison.worse}"
    verb = "help" if good else "hurt"
    return f"{subject(comparison)} {verb if '+' in comparison.subject else verb + 's'}"


def _equal(comparison: Comparison, margin: str) -> str:
    if comparison.kind == "variant":
        return f"{comparison.subject} and {comparison.worse} differ by no more than {margin}"
    return f"{subject(comparison)} {'have' if '+' in comparison.subject else 'has'} no effect larger than {margin}"


def _no_verdict(results: Results, claim: Claim) -> str:
    if claim.kind == "difference":
        return "no verdict, as the main effects speak for the factors"
    if claim.metric != "accuracy" or claim.split != results.headline:
        return f"verdicts are given in accuracy on the {results.split_labels[results.headline]} set"
    if claim.counts["paired"] < FEWEST_SEEDS:
        return f"no verdict from fewer than {FEWEST_SEEDS} paired seeds"
    return "no verdict, as the differences have no spread"


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def verdict_words(claim: Claim) -> str:
    """The verdict as a table or a figure has it; a free variant is better or worse."""
    if claim.verdict is None:
        return "no verdict"
    if claim.verdict == "no effect":
        return f"no effect > {claim.margin:g}"
    if claim.kind == "variant":
        return {"helps": "better", "hurts": "worse"}.get(claim.verdict, claim.verdict)
    return claim.verdict
