"""The sections of the report: which sentences, figures and tables answer which question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import yaml

from ferray.analysis import (
    confusion_claims,
    details,
    effect_prose,
    effect_tables,
    figures,
    galleries,
    optimism,
    overfitting,
    prose,
    reliability,
    tables,
)
from ferray.analysis.ablation import ablation_info, draw_ablation, is_headline
from ferray.analysis.accuracy import ModelsInfo, draw_models, models_info
from ferray.analysis.claims import Claim
from ferray.analysis.confusion import ANNOTATED, ConfusionInfo, PairsInfo, confusion_info, draw_confusion, draw_pairs, pairs_info
from ferray.analysis.curves import CurvesInfo, curves_info, draw_curves
from ferray.analysis.devices import device_notes
from ferray.analysis.divergence import divergence_claims
from ferray.analysis.effects import effect_claims
from ferray.analysis.examples import ExamplesInfo, draw_examples, examples_info
from ferray.analysis.factorial_section import interactions
from ferray.analysis.fonts import unprintable
from ferray.analysis.page import Page
from ferray.analysis.remarks import notes, remarks
from ferray.analysis.results import Results
from ferray.analysis.samples import SearchInfo, draw_search, search_info
from ferray.analysis.selection import best_variant
from ferray.analysis.stopped import stopped_info, stopped_sentences
from ferray.analysis.tuned_section import tuning
from ferray.analysis.twins import twins
from ferray.analysis.votes import VotesInfo, draw_votes, votes_info, votes_sentences
from ferray.analysis.wording import listed, moment, plain, plural, sentence, summed

CURVES_PER_FIGURE = 12
"""Variants in one figure of curves; more than these would be too small to read on a page."""


def compose(results: Results) -> tuple[Page, list[Claim], dict[str, Any]]:
    """All sections with their figures and tables, the claims that they are made from, and what the template says around them."""
    page = Page(figures.fonts_for(results))
    effects, divergences = effect_claims(results), divergence_claims(results)
    claims: list[Claim] = [*effects, *divergences]
    models, search = models_info(results), search_info(results)
    headline = [claim for claim in effects if is_headline(results, claim)]
    confusion = confusion_info(results)
    pairs = pairs_info(confusion) if confusion else None
    _models(page, models, [claim for claim in headline if claim.kind == "variant"])
    curves = curves_info(results)
    _process(page, curves)
    claims += overfitting.section(page, results, curves)
    _ablation(page, results, claims, searched=search is not None)
    factorial, tuned = interactions(page, results), tuning(page, results)
    claims += [*factorial, *tuned]
    claims += reliability.section(page, results)
    page.section("confusion", "Which classes are confused")
    if confusion is None or pairs is None:
        page.say([prose.no_confusion(best_variant(results))])
    else:
        _confusion(page, confusion, pairs, examples_info(results, pairs))
        claims += confusion_claims.section(page, results, confusion)
    claims += galleries.section(page, results)
    votes = votes_info(results)
    stopped = stopped_sentences(stopped_info(results))
    if votes is not None:
        _votes(page, votes)
    if search is not None:
        _search(page, search, stopped)
    opened = optimism.opened_info(results)
    _test_set(page, opened)
    claims += optimism.optimism_claims(opened)
    _data(page, results)
    context = {
        "summary": prose.summary(models, [*_foremost(results, headline, factorial, tuned), *divergences], pairs),
        "remarks": remarks(results, divergences),
        "protocol": [*prose.protocol_sentences(models), *stopped],
        "labels": results.split_labels,
    }
    return page, claims, {**context, **_details(page, results)}


def _foremost(results: Results, effects: Sequence[Claim], factorial: Sequence[Claim], tuned: Sequence[Claim]) -> list[Claim]:
    """What the summary tells of the effects: where main effects speak for the factors, these in place of single variants' differences.

    Then interactions that are decided, the other effects, and what tuning changes for certain.
    """
    crossed = [claim for claim in factorial if claim.split == results.headline]
    main = [claim for claim in crossed if claim.kind == "main_effect"]
    decided = [claim for claim in crossed if claim.kind == "interaction" and claim.verdict in ("helps", "hurts")]
    others = [claim for claim in effects if not (main and claim.kind == "difference")]
    changes = [claim for claim in tuned if claim.split == results.headline and claim.details.get("settings") == "change"]
    return [*main, *decided, *others, *(claim for claim in changes if claim.verdict in ("helps", "hurts"))]


def _models(page: Page, models: ModelsInfo, variants: Sequence[Claim]) -> None:
    page.section("models", "Models")
    page.say(prose.model_sentences(models, variants))
    page.tabulate(tables.models_table(models))
    published = ""
    if models.has_published:
        published = ", hollow diamonds are published numbers" + ("" if models.comparable else ", of a longer or fuller training")
    chance = listed([f"{plain(models.majority[split])} % of the {models.labels[split]} set" for split in models.labels])
    page.show(
        "models",
        lambda: draw_models(models),
        "Accuracy of every variant: the large dot is the mean over n seeds, the line its 95 % t interval, small dots are the seeds"
        f"{published}. The dotted line is what always answering the largest class would reach: {chance}.",
    )


def _process(page: Page, curves: CurvesInfo) -> None:
    page.section("process", "Training process")
    page.enumerate(prose.process_sentences(curves))
    for part, chosen in enumerate(curves.split(CURVES_PER_FIGURE)):
        page.show(
            "curves" if part == 0 else f"curves_{part + 1}",
            lambda chosen=chosen: draw_curves(chosen),  # type: ignore[misc]
            f"Accuracy and loss against epoch, training and {curves.labels['validation']} set. Thin lines are seeds, the thick line is "
            "their mean over n seeds, the band reaches one standard deviation over seeds up and down; hollow dots mark the selected "
            "epochs. Training figures are running ones over each epoch's batches, with augmentation and dropout where there are any, and "
            "are therefore pessimistic about the training images."
            + (f" Losses above {curves.highest_loss:.1f} are cut off." if math.isfinite(curves.highest_loss) else ""),
        )


def _ablation(page: Page, results: Results, claims: Sequence[Claim], *, searched: bool) -> None:
    page.section("ablation", "Ablation")
    told = [claim for claim in claims if is_headline(results, claim) and claim.kind != "variant"]
    divergences = [claim for claim in claims if claim.kind == "divergence"]
    page.enumerate([effect_prose.with_caveats(claim) for claim in [*told, *divergences]])
    page.say(effect_prose.reading(results, told, searched=searched))
    info = ablation_info(results, claims)
    if not any(claim.estimates for panel in info.panels for claim in panel.claims):
        return
    for part, shown in enumerate(info.split()):
        page.show(
            "ablation" if part == 0 else f"ablation_{part + 1}",
            lambda shown=shown: draw_ablation(shown),  # type: ignore[misc]
            effect_prose.caption(shown),
        )
    page.tabulate(effect_tables.effects_table(info))
    page.tabulate(effect_tables.metrics_table(results, claims))
    page.say(effect_prose.classes(results, claims))
    page.tabulate(effect_tables.effect_classes_table(results, claims))


def _confusion(page: Page, confusion: ConfusionInfo, pairs: PairsInfo, examples: ExamplesInfo | None) -> None:
    page.say(prose.confusion_sentences(confusion, pairs))
    matrix, classes = confusion.readable(), len(confusion.classes)
    kind = "counts, and percent of each true class. Both are shaded by percent"
    if classes > ANNOTATED:
        kind = "percent of each true class; cells below half a percent are empty"
    if len(matrix.classes) < classes:
        kind += (
            f". Of the {classes} classes it shows the {len(matrix.classes)} most confused by share; answers with other classes are left out"
        )
    page.show(
        "confusion",
        lambda: draw_confusion(matrix),
        f"Confusion matrix of {confusion.variant} on the {confusion.label} set at the selected epoch, "
        f"{summed(len(confusion.seeds))}: {kind}.",
    )
    page.attach(tables.confusion_table(confusion))
    page.tabulate(tables.classes_table(confusion))
    if not pairs.pairs:
        return
    page.show(
        "confused_pairs",
        lambda: draw_pairs(pairs),
        f"The largest confusions of {pairs.variant} by share of the true class: that class, what it is taken for, and n, its images. The "
        "line is the 95 % interval over seeds and images together" + (", small dots are the seeds." if pairs.seeds > 1 else "."),
    )
    page.tabulate(tables.pairs_table(pairs))
    if examples is None:
        page.say(
            ["No image to show: the ledger has none of these pairs, or on the mean of the trainings none is taken for the wrong class."]
        )
        return
    probability = "probability" if examples.seeds == 1 else f"mean probability over {examples.seeds} seeds"
    page.show(
        "examples",
        lambda: draw_examples(examples),
        f"Images that {examples.variant} most confidently takes for the wrong class: true class and answer at the left, below each "
        f"image the {probability} of the wrong class and, in brackets, of the true one.",
    )


def _search(page: Page, search: SearchInfo, stopped: list[str]) -> None:
    page.section("search", "Search")
    page.say([*prose.search_sentences(search), *stopped])
    if len(search.points):
        page.show(
            "search",
            lambda: draw_search(search),
            f"Accuracy on the {search.label} set against each searched setting, n = "
            f"{plural(search.points['key'].nunique(), 'finished trial')}; other settings vary along with it"
            + (", and dots of one word are set side by side only to be seen." if search.categories else "."),
        )
    page.tabulate(tables.search_table(search))


def _votes(page: Page, votes: VotesInfo) -> None:
    page.section("votes", "Label noise, as ten people voted")
    page.say(votes_sentences(votes))
    page.show(
        "votes",
        lambda: draw_votes(votes),
        f"Left: of the n images of each label of the {votes.label} set on which one class won alone, how many it won for the label, with "
        "Wilson's 95 % interval over these images. Right: accuracy against the labels, on images where the vote agrees with the label and "
        "where it does not; means over seeds with their 95 % t interval.",
    )
    page.tabulate(tables.votes_table(votes))


def _test_set(page: Page, info: optimism.OpenedInfo) -> None:
    told = optimism.opened_sentences(info)
    if not told:
        return  # there is no test set
    page.section("test-set", "The test set")
    page.say(told)
    page.enumerate(optimism.optimism_sentences(info))
    if info.gaps:
        page.say([optimism.two_sets(info)])


def _data(page: Page, results: Results) -> None:
    page.section("data", "Data")
    page.enumerate([sentence(note) for note in notes(results)])
    page.tabulate(tables.counts_table(results))
    lacking = unprintable(figures.names_in(results), page.fonts)
    if lacking:
        some = ", ".join(f"U+{ord(letter):04X} for {letter}" for letter in sorted(lacking)[:4])
        page.say(
            [
                f"No font on the machine that drew the figures has {plural(len(lacking), 'letter')} of the names, so that figures write "
                f"their numbers in Unicode instead ({some}).",
                "With a font of that script installed, such as one of the Noto fonts, figures have the letters.",
            ]
        )


def _details(page: Page, results: Results) -> dict[str, Any]:
    """What the template's last section shows. The table of trials has no number, since it stands outside the text."""
    trials = tables.trials_table(results)
    page.attach(trials)
    study = results.study or {}
    lost = details.lost_trials(results)
    told = {one.key for one in lost}
    return {
        "study": study,
        "file": study.get("text") or yaml.safe_dump(study.get("settings", {}), sort_keys=False),
        "title": study.get("title") or results.name,
        "run": moment(str(study.get("created", "unknown"))),
        "data": results.data,
        "synthetic": results.synthetic,
        "counts": details.status_counts(results),
        "planned": len(details.each_once(results)),
        "lost": lost,
        "damaged": [damage for damage in results.damaged if damage.key not in told],
        "environments": details.environments(results),
        "device_notes": device_notes(results),
        "plan": details.plan_parts(results),
        "searches": results.trials["sample"].nunique() > 1,
        "images": [(results.split_labels.get(split, "training"), sum(own.values())) for split, own in results.data["counts"].items()],
        "twins": twins(results),
        "trials": trials,
    }
