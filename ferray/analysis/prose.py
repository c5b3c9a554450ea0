"""The report's sentences, made from its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ferray.analysis.accuracy import ModelsInfo, ModelSummary
from ferray.analysis.claims import Claim
from ferray.analysis.confusion import ConfusionInfo, PairsInfo
from ferray.analysis.confusion_rates import FEWEST_IMAGES, Rate
from ferray.analysis.curves import CurvesInfo
from ferray.analysis.effect_prose import with_caveats
from ferray.analysis.effect_sentences import uncorrected
from ferray.analysis.samples import SearchInfo
from ferray.analysis.wording import image_count, interval, listed, measured, plain, plural, represented, setting, signed, summed

SUMMARIZED = 4
"""Variants, and effects of each kind, that the summary tells; the sections below tell all."""
FEW_NAMED = 6
"""Classes of too few images that a sentence names."""


def summary(models: ModelsInfo, claims: Sequence[Claim], pairs: PairsInfo | None) -> list[str]:
    """What a reader in a hurry should know: the networks' accuracy, the given claims, the pair of classes of the largest share."""
    finished = [model for model in models.models if model.finished]
    if not finished:
        return [_nothing(models)]
    free = [model for model in finished if not model.removed]
    sentences = []
    if not models.comparable:
        sentences.append(f"A short run: the networks were trained {_cut_short(models)}. A full one may give other answers.")
    if models.searched:
        sentences.append(represented(models.samples, models.labels["validation"], is_tuned=models.is_tuned))
    if free:
        told = _foremost(free)
        parts = [f"{model.variant} reaches {measured(model.accuracy[models.headline])}" for model in told]
        rest = f"; {plural(len(free) - len(told), 'further variant')} below" if len(free) > len(told) else ""
        sentences.append(f"On the {models.labels[models.headline]} set, {listed(parts)}{rest}.")
    for kind in dict.fromkeys(claim.kind for claim in claims):
        own = [claim.sentence for claim in claims if claim.kind == kind and claim.estimates]
        more = [f"{len(own) - SUMMARIZED} more of this kind below."] if len(own) > SUMMARIZED else []
        sentences += [" ".join([*own[:SUMMARIZED], *more])] if own else []
    sentences += uncorrected(claims)
    if pairs and pairs.largest:
        seeds = plural(pairs.seeds, "seed")
        named = [
            f"{pair.true} taken for {pair.predicted}, in {plain(pair.share.mean)} % of its images (95 % interval {interval(pair.share)}, "
            f"n = {image_count(pair.images, pair.groups)}, {seeds})"
            for pair in pairs.largest
        ]
        largest = "largest confusion" if len(named) == 1 else "largest confusions, of equal size"
        is_or_are = "is" if len(named) == 1 else "are"
        sentences.append(f"The {largest} of {pairs.variant}, as a share of the true class, {is_or_are} {listed(named)}.")
    return sentences


def _nothing(models: ModelsInfo) -> str:
    """That nothing can be compared: since every trial was lost, or none has finished yet."""
    if models.lost:
        total = sum(models.lost.values())
        trials = "The only trial" if total == 1 else f"All {total:,} trials"
        fates = " or ".join(f"{status} ({number:,})" if len(models.lost) > 1 else status for status, number in models.lost.items())
        return f"{trials} {fates}, so that nothing can be compared."
    awaited = "trial on the seeds of the comparison" if models.is_tuned else "trial"
    return f"No {awaited} has finished yet, so there is nothing to compare."


def _foremost(free: list[ModelSummary]) -> list[ModelSummary]:
    """The first variant, and of many others those of highest validation accuracy, in the study's order."""
    ranked = sorted(free[1:], key=lambda model: -model.accuracy["validation"].mean)[: SUMMARIZED - 1]
    return [free[0], *(model for model in free[1:] if model in ranked)]


def model_sentences(models: ModelsInfo, variants: Sequence[Claim]) -> list[str]:
    """The differences between networks by their claims, what the images alone leave open, and how near published numbers are."""
    by_name = [model for model in models.models if not model.removed and model.finished]
    if not by_name:
        return ["No trial of a complete network has finished."]
    first, split = by_name[0], models.headline
    images = models.images[split]
    foremost = {model.variant for model in _foremost(by_name)}
    sentences = [with_caveats(claim) for claim in variants if claim.subject in foremost]
    redrawn = models.redrawn and split == "validation"
    if first.accuracy[split].has_interval:
        about = ", and about the images, of which each seed draws its own" if redrawn else ""
        sentences.append(f"Intervals over seeds speak about the training{about}.")
    if any(model.accuracy[split].is_point for model in by_name):
        sentences.append(
            "Where all seeds have the same accuracy, their interval is a point. That does not mean that another seed could give no other: "
            f"accuracy on {images:,} images moves in steps of {100 / max(1, images):.2g} points, and few seeds may agree by chance."
        )
    if not redrawn:
        sentences.append(
            f"The {images:,} images of the {models.labels[split]} set leave an uncertainty of their own: for {first.variant}, "
            f"Wilson's 95 % interval over images is {interval(first.image_accuracy[split])} %."
        )
    return [*sentences, *_published(models)]


def _published(models: ModelsInfo) -> list[str]:
    """Where published numbers lie; without any reading of them where the training here was shortened."""
    told = [model for model in models.models if model.published[models.headline] is not None and model.finished]
    if not told:
        return []
    if not models.comparable:
        return [
            f"Published numbers stand beside ours for orientation only: the networks were trained here {_cut_short(models)}, so nothing "
            "follows about whether the published accuracies can be reproduced."
        ]
    sentences = []
    for model in told:
        published, own = model.published[models.headline] or 0.0, model.accuracy[models.headline]
        lies = "" if not own.has_interval else f", which lies {_place(published, own.low, own.high)} our interval over seeds"
        gap = signed(own.mean - published)
        n = "" if own.has_interval else " (one seed, so no interval)"
        sentences.append(f"The published accuracy of {model.variant} is {plain(published)} %{lies}; ours differs by {gap} points{n}.")
    return sentences


def _cut_short(models: ModelsInfo) -> str:
    """In what the training falls short of the published ones or of what the data set offers."""
    reasons = ["on a part of the images"] if models.subset else []
    if models.shortened is not None:
        own, published = models.shortened
        reasons.append(f"for {plural(own, 'epoch')} where the published ones had {published}")
    return listed(reasons)


def _place(value: float, low: float, high: float) -> str:
    return "below" if value < low else "above" if value > high else "inside"


def process_sentences(curves: CurvesInfo) -> list[str]:
    """Whose curves are of trainings that have not finished, or that there are no curves yet."""
    if not curves.variants:
        return ["No epoch has been recorded yet."]
    unfinished = [name for name in curves.variants if name not in {one.variant for one in curves.processes}]
    whose = "its" if len(unfinished) == 1 else "their"
    return [f"No trial of {listed(unfinished)} has finished; {whose} curves show what was recorded so far."] if unfinished else []


def no_confusion(best: str | None) -> str:
    """Why there is no confusion matrix."""
    if best is None:
        return "No trial has finished, so there is no confusion matrix."
    return f"The ledger has no predictions, or no labels, for {best}, the best variant on validation: no confusion matrix."


def confusion_sentences(confusion: ConfusionInfo, pairs: PairsInfo, top: int = 5) -> list[str]:
    """Which network the matrix is of and why, the pairs in words, and the class that is least often given by mistake."""
    whose = f"{confusion.variant}, the variant of highest validation accuracy (of those with the most finished seeds)"
    sentences = [f"What follows is told of {whose}, on the {confusion.label} set, {summed(len(confusion.seeds))}."]
    if not pairs.pairs:
        return [*sentences, f"It confused no image of the {confusion.label} set."]
    if confusion.fixed:
        warning = "Their answers show nothing of how classes look to a network, so that no confusion is singled out here"
        return [*sentences, f"{confusion.fixed}. {warning}; the figures and tables have all trainings."]
    named = [
        f"{pair.true} for {pair.predicted} ({plain(pair.share.mean)} %, {interval(pair.share)}, "
        f"n = {image_count(pair.images, pair.groups)})"
        for pair in pairs.pairs[:top]
        if pair.has_images
    ]
    if named:
        sentences.append(
            "As shares of the true class, with 95 % intervals over seeds and over its n images together, it most often takes "
            f"{listed(named)}."
        )
    told = [one for one in confusion.recalls if one.has_images]
    if len(told) > 1:
        best, worst = (_recognized(told, extreme(one.share.mean for one in told)) for extreme in (max, min))
        sentences.append(f"It recognizes best {best}, and worst {worst}.")
    few = [f"{one.true} ({image_count(one.images, one.groups)})" for one in confusion.recalls if not one.has_images]
    if few:
        some = [*few[:FEW_NAMED], *([f"{len(few) - FEW_NAMED} more classes"] if len(few) > FEW_NAMED else [])]
        sentences.append(f"There are too few images, fewer than {FEWEST_IMAGES}, to say anything of {listed(some)}.")
    return sentences


def _recognized(recalls: Sequence[Rate], share: float) -> str:
    """The classes of which this share is recognized, all that are equal."""
    alike = [one for one in recalls if math.isclose(one.share.mean, share)]
    return listed([f"{one.true} ({plain(share)} % of n = {image_count(one.images, one.groups)})" for one in alike])


def search_sentences(search: SearchInfo) -> list[str]:
    """How much was tried, and what was chosen by what."""
    chosen = [one for one in search.samples if one.chosen and one.validation.n]
    variants = len({one.variant for one in search.samples})
    done = sum(one.validation.n > 0 for one in search.samples)
    samples = plural(done, "sample") if done == len(search.samples) else f"{done} of {plural(len(search.samples), 'planned sample')}"
    numbers = [f"{number} of {name}" for name, number in search.tried.items()]
    different = "" if not numbers else f", with this many different values: {listed(numbers)}"
    tried = f"The search tried {samples} of {plural(variants, 'variant')}{different}."
    speaks = (
        f"For each variant, the sample of highest mean accuracy on the {search.label} set, among those with the most finished seeds, "
        "speaks for it in the other sections."
    )
    sentences = [tried, speaks]
    if chosen:
        best = chosen[0]
        values = listed([f"{name} = {setting(value)}" for name, value in best.values.items()])
        reached = f"{measured(best.validation)} on the {search.label} set"
        sentences.append(f"The best is sample {best.sample} of {best.variant}{f' with {values}' if values else ''}: {reached}.")
    return sentences


def protocol_sentences(models: ModelsInfo) -> list[str]:
    """What was selected on what, and what the numbers therefore mean."""
    labels = models.labels
    validation = labels["validation"]
    rule = f"of highest mean accuracy on the {validation} set, among those with the most finished seeds"
    fresh = " in the tuning; it was then trained again on other seeds, which alone are told" if models.is_tuned else ""
    sample = f" The sample of each variant is the one {rule}{fresh}." if models.searched else ""
    unseen = "There are no figures on a test set, so none here is of images that selected nothing."
    if "test" in labels:
        unseen = f"The {labels['test']} set, recorded after every epoch, is used by nothing that selects an epoch, a setting or a variant."
    return [
        f"The epoch of each trial is the one of highest accuracy on the {validation} set, the first among equals.{sample} Accuracies on "
        f"the {validation} set are therefore optimistic: a maximum over noisy epochs is biased upward.",
        unseen,
        "Every variant was trained with the same seeds, so that differences are paired by seed.",
        "Failed and diverged trials are missing data with a cause: they enter no mean, and are listed below.",
    ]
