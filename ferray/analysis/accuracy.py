"""The accuracy of every variant, with its intervals, beside numbers from the literature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferray.analysis.divergence import LOST
from ferray.analysis.remarks import subset
from ferray.analysis.results import Results
from ferray.analysis.selection import finished_of, speaking_trials
from ferray.analysis.statistics import Estimate, mean_interval, wilson
from ferray.analysis.style import GREY, INK, SPLIT_COLOURS, hide_y_marks, new_figure, note_synthetic, shortened
from ferray.analysis.wording import network_label


@dataclass(frozen=True)
class ModelSummary:
    """One variant over its seeds. Accuracies and macro-F1 are in percent and by split; ``statuses`` counts its planned trials."""

    variant: str
    network: str
    removed: tuple[str, ...]
    parameters: float  # trainable; NaN while no trial has said
    planned: int
    statuses: Mapping[str, int]
    accuracy: Mapping[str, Estimate]
    image_accuracy: Mapping[str, Estimate]  # Wilson's interval of the mean accuracy, over the split's images
    macro_f1: Mapping[str, Estimate]
    seeds: tuple[int, ...]  # of the finished trials
    values: Mapping[str, tuple[float, ...]]  # the accuracy of each of these seeds
    published: Mapping[str, float | None]
    epochs: int  # of training, as configured
    published_epochs: int | None  # that the published numbers were trained for, where the study says so
    minutes: Estimate  # per trial

    @property
    def finished(self) -> int:
        """How many seeds stand behind the numbers."""
        return self.statuses.get("finished", 0)


@dataclass(frozen=True)
class ModelsInfo:
    """All variants in the study's order, and what the figure says about the data; mappings by split have the splits with figures."""

    models: tuple[ModelSummary, ...]
    labels: Mapping[str, str]
    headline: str  # the split that is told first
    missing: Mapping[str, str]  # why a split has no figures
    samples: int  # of the search, for the variant that has most; one without a search
    is_tuned: bool  # whether samples were chosen on other seeds than those that are told
    images: Mapping[str, int]
    majority: Mapping[str, float]  # accuracy in percent, by split, of always answering the split's largest class
    subset: bool  # whether the study trains on a part of the data set only
    synthetic: bool
    redrawn: bool = False  # whether each seed drew its validation split
    lost: Mapping[str, int] = field(default_factory=dict)  # where every trial has diverged or failed: how many of each

    @property
    def has_published(self) -> bool:
        """Whether any variant has a number from the literature beside it."""
        return any(value is not None for model in self.models for value in model.published.values())

    @property
    def searched(self) -> bool:
        """Whether a variant stands here with the best of several samples."""
        return self.samples > 1

    @property
    def shortened(self) -> tuple[int, int] | None:
        """The epochs of a variant and of its published numbers, where ours are fewer; None where no variant is cut short."""
        lengths = ((model.epochs, model.published_epochs) for model in self.models if model.published_epochs)
        return next(((own, published) for own, published in lengths if own < published), None)

    @property
    def comparable(self) -> bool:
        """Whether the networks were trained for as long and on as many images as published numbers presume."""
        return self.shortened is None and not self.subset


def models_info(results: Results) -> ModelsInfo:
    """Mean accuracy at the selected epoch over the finished seeds of each variant, with t intervals over seeds."""
    trials = speaking_trials(results)
    splits = results.splits
    images = {split: results.images_in(split) for split in splits}
    models = []
    for variant in results.variants.values():
        own = trials[trials["variant"] == variant.name]
        finished = finished_of(trials, variant.name)
        accuracy = {split: _percent(finished[f"{split}_accuracy"]) for split in splits}
        known = own["parameters"].dropna()
        published = {split: results.published(variant.name, split) for split in splits}
        models.append(
            ModelSummary(
                variant=variant.name,
                network=network_label(results.config(own["key"].iloc[0]) if len(own) else variant.config),
                removed=variant.removed,
                parameters=float(known.iloc[0]) if len(known) else math.nan,
                planned=len(own),
                statuses={str(status): int(number) for status, number in own["status"].value_counts().items()},
                accuracy=accuracy,
                image_accuracy={split: _over_images(accuracy[split], images[split]) for split in splits},
                macro_f1={split: _percent(finished[f"{split}_macro_f1"]) for split in splits},
                seeds=tuple(int(seed) for seed in finished.index),
                values={split: tuple(100 * finished[f"{split}_accuracy"].to_numpy(float)) for split in splits},
                published={split: None if value is None else 100 * value for split, value in published.items()},
                epochs=int(variant.config["epochs"]),
                published_epochs=results.published_epochs(variant.name),
                minutes=mean_interval(finished["seconds"].to_numpy(float) / 60),
            )
        )
    return ModelsInfo(
        models=tuple(models),
        labels=results.split_labels,
        headline=results.headline,
        missing=results.missing,
        samples=int(results.trials.groupby("variant")["sample"].nunique().max()) if len(results.trials) else 1,
        is_tuned=bool(results.tuning),
        images=images,
        majority={split: results.majority(split) for split in splits},
        subset=subset(results) is not None,
        synthetic=results.synthetic,
        redrawn=results.redrawn("validation") is not None,
        lost=_lost(results),
    )


def _lost(results: Results) -> dict[str, int]:
    """How many trials have diverged and failed where every one has; of a tuned study those that compare, once they are planned."""
    final = results.trials[results.trials["phase"] == "final"]
    trials = (final if len(final) else results.trials).drop_duplicates("key")
    counts = {status: int((trials["status"] == status).sum()) for status in LOST}
    return {status: number for status, number in counts.items() if number} if sum(counts.values()) == len(trials) else {}


def draw_models(info: ModelsInfo) -> Figure:
    """A dot plot: one panel per split, one line per variant; small dots are seeds, the large one their mean, diamonds are published."""
    names = [shortened(model.variant) for model in info.models]
    lines = 0.07 + sum(0.34 + 0.13 * name.count("\n") for name in names)
    figure = new_figure(1.0 + lines)
    panels = figure.subplots(1, len(info.labels), sharey=True, sharex=True, squeeze=False)[0]
    for split, axes in zip(info.labels, panels, strict=True):
        colour = SPLIT_COLOURS[split]
        axes.set_title(f"{info.labels[split]}, {info.images[split]:,} images")
        axes.grid(axis="x")
        axes.axvline(info.majority[split], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
        where = (info.majority[split], 1.0)
        axes.annotate("largest class", where, (2.5, -1), axes.get_xaxis_transform(), "offset points", color=GREY, fontsize=6.5, va="top")
        for place, model in enumerate(info.models):
            estimate, published = model.accuracy[split], model.published[split]
            if estimate.has_interval:
                values = model.values[split]
                axes.plot(values, [place + 0.22] * len(values), "o", color=colour, alpha=0.45, markersize=3, mew=0, clip_on=False)
                axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.4)
            if estimate.n:
                axes.plot([estimate.mean], [place], "o", color=colour, markersize=5.5, clip_on=False)
            else:
                across = axes.get_yaxis_transform()
                note = axes.text(0.02, place + 0.3, "no finished trial", transform=across, color=GREY, va="center", fontsize=7)
                note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
            if published is not None:
                axes.plot([published], [place], "D", markerfacecolor="none", markeredgecolor=INK, markersize=5, markeredgewidth=0.9)
        told = next(((value, place) for place, model in enumerate(info.models) if (value := model.published[split]) is not None), None)
        if told is not None:
            axes.annotate("published", told, xytext=(0, 4.5), textcoords="offset points", ha="center", fontsize=6.5)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("accuracy (%)")
        hide_y_marks(axes)
    panels[0].set_yticks(range(len(names)), [f"{name} (n={model.finished})" for name, model in zip(names, info.models, strict=True)])
    panels[0].set_ylim(len(names) - 0.4, -1)
    low, high = panels[0].get_xlim()
    panels[0].set_xlim(max(0, low), min(100, high))
    note_synthetic(figure, info.synthetic)
    return figure


def _percent(shares: pd.Series[Any]) -> Estimate:
    return mean_interval(shares.to_numpy(float)).scaled(100).within(0, 100)


def _over_images(accuracy: Estimate, images: int) -> Estimate:
    return wilson(accuracy.mean / 100 * images, images).scaled(100) if accuracy.n else wilson(0, 0)
