"""What the page says around the effects: their sentences with caveats, how to read a verdict, captions, and the classes."""

from __future__ import annotations

from collections.abc import Sequence

from ferray.analysis.ablation import AblationInfo, effect_name
from ferray.analysis.claims import Claim
from ferray.analysis.comparisons import WHOLE
from ferray.analysis.crossed import REDRAWN, SPEAKS_ABOUT, SPEAKS_ABOUT_REDRAWN
from ferray.analysis.effect_sentences import ORDER, brackets, uncorrected
from ferray.analysis.per_image import CLASS
from ferray.analysis.results import Results
from ferray.analysis.verdicts import ALPHA, FEWEST_SEEDS
from ferray.analysis.wording import listed, points, signed

SHOWN_CLASSES = 4
"""Classes of one effect that a sentence names in either direction."""


def with_caveats(claim: Claim) -> str:
    """The claim's sentence and its caveats; those of all steps of a path, or of a whole split, are said once by ``reading``."""
    return " ".join([claim.sentence, *(one for one in claim.caveats if one not in (ORDER, REDRAWN))])


def reading(results: Results, claims: Sequence[Claim], *, searched: bool = False) -> list[str]:
    """How to read the verdicts of these claims, or that the study removes nothing; ``searched`` where each variant has its own sample."""
    if not claims:
        return ["The study removes nothing, so there is no ablation."]
    sentences = []
    if any(claim.verdict for claim in claims):
        sentences += [
            f"A verdict rests on the interval that speaks of {SPEAKS_ABOUT['both']}, not on those that hold the seeds or the images "
            "fixed. It is the widest in truth; estimated from few seeds it may come out narrower than another.",
            "Holm's correction over all effects of a kind keeps the share of studies with any false 'helps' or 'hurts' at "
            f"{100 * ALPHA:g} %.",
            *(uncorrected(claims) or ["Intervals are not corrected: they are of 95 % each."]),
            f"An effect counts as none where it is shown to be smaller than {points(results.smallest_effect)} (smallest_effect), even if "
            "it is not zero; 'inconclusive' is not 'no effect'. Seeds needed to decide are those of which four in five such studies would "
            "decide, if the effect and its spread are as they were found here; images that seem to add no spread are taken to add what "
            "they may.",
        ]
    else:
        sentences += uncorrected(claims)
    if results.redrawn(results.headline) is not None:
        sentences.append(REDRAWN)
    if results.ablation.get("design") in WHOLE:
        sentences.append(
            "In this design the main effects, told with the interactions, speak for the factors; single variants have differences without "
            "verdicts."
        )
    if any(claim.kind == "step" for claim in claims):
        sentences.append(
            "The removals form a path: each variant takes away one thing more than the one before it. What a single step costs therefore "
            "depends on the order of the path, and factors may interact; another order can give other steps, while the ends of the path "
            "stay the same."
        )
    if searched:
        sentences.append(
            "Each variant stands here with the sample that the search chose for it, so a difference is that of two tuned variants, whose "
            "other settings may differ too. "
            + (
                "The samples were chosen on other seeds than those told here."
                if results.tuning
                else "The samples were chosen by the very trainings told here, whose luck with the seeds is therefore part of the numbers."
            )
        )
    return sentences


def caption(info: AblationInfo) -> str:
    """What each mark of the figure means, and what each interval speaks about."""
    about = SPEAKS_ABOUT_REDRAWN if any(REDRAWN in claim.caveats for panel in info.panels for claim in panel.claims) else SPEAKS_ABOUT
    return (
        f"Effects in accuracy points on the {info.label} set; right of zero is better. The thick line is the 95 % interval that the "
        f"verdict rests on: {about['both']}; it takes {FEWEST_SEEDS} seeds. The thin solid line below it speaks of {about['seeds']}, "
        f"with a dot for each of the n paired seeds; the dashed one of {about['images']}. "
        f"Effects inside the grey band, of at most {points(info.margin)}, "
        "are too small to count."
    )


def classes(results: Results, claims: Sequence[Claim]) -> list[str]:
    """Which classes each effect helps or hurts beyond chance, or that none is."""
    own = [claim for claim in claims if claim.metric.startswith(CLASS) and claim.split == results.headline]
    sentences = []
    for effect in dict.fromkeys((claim.kind, claim.subject) for claim in own):
        clear = [one for one in own if (one.kind, one.subject) == effect and one.p_adjusted < ALPHA]
        clear.sort(key=lambda claim: -claim.estimates["both"].mean)
        better = [_class(one) for one in clear if one.estimates["both"].mean > 0]
        worse = [_class(one) for one in reversed(clear) if one.estimates["both"].mean < 0]
        parts = [f"{word} for {listed(_few(names))}" for word, names in (("better", better), ("worse", worse)) if names]
        if parts:
            sentences.append(f"{effect_name(clear[0])}: {', '.join(parts)}.")
    of = f"Of the classes of the {results.split_labels[results.headline]} set"
    if not sentences:
        return [f"{of} none is recognized better or worse beyond chance by any effect (Holm over all classes and effects of a kind)."]
    return [f"{of} these are recognized better or worse beyond chance (Holm over all classes and effects of a kind).", *sentences]


def _class(claim: Claim) -> str:
    both = claim.estimates["both"]
    return f"{claim.metric.removeprefix(CLASS)} {signed(both.mean)} {brackets(both)}"


def _few(names: Sequence[str]) -> list[str]:
    return [*names[:SHOWN_CLASSES], f"{len(names) - SHOWN_CLASSES} more"] if len(names) > SHOWN_CLASSES else list(names)
