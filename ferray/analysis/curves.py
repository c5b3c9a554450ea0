"""The training process: accuracy and loss against epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ferray.analysis.results import Results
from ferray.analysis.selection import speaking_trials
from ferray.analysis.style import BLUE, GREY, ORANGE, new_figure, note_synthetic, shortened

Array = NDArray[Any]
CURVE_SPLITS = ("train", "validation")
RISE = 0.05
"""Validation loss counts as risen when it stays, through the last tenth of the epochs, more than this share above its minimum."""
FEWEST = 5
"""With fewer epochs than these nothing is said about a loss that turns up."""


@dataclass(frozen=True)
class Training:
    """How one finished training went.

    ``gaps`` has, by metric and epoch (``selected`` or ``last``), how much better the training images fare than the validation images:
    training minus validation accuracy in points, validation minus training loss in nats.
    """

    seed: int
    key: str
    epochs: int
    selected: int
    lowest: int  # the epoch of lowest validation loss
    rises: bool | None  # whether the validation loss turned up again after it; None after too few epochs to tell
    gaps: Mapping[tuple[str, str], float]

    @property
    def ends_best(self) -> bool | None:
        """Whether the selected epoch is the last, so that more of them might have been better; None of a single epoch, which is both."""
        return self.selected == self.epochs if self.epochs > 1 else None


@dataclass(frozen=True)
class Process:
    """How the trainings of one variant went that have finished."""

    variant: str
    trainings: tuple[Training, ...]  # by seed

    @property
    def rising(self) -> tuple[Training, ...] | None:
        """Those whose validation loss turned up again; None where none has epochs enough to tell."""
        told = [one for one in self.trainings if one.rises is not None]
        return tuple(one for one in told if one.rises) if told else None


@dataclass(frozen=True)
class CurvesInfo:
    """What the curves show.

    ``lines`` has a row per seed, epoch, split and metric (``accuracy`` in percent, ``loss``); ``means`` the mean over seeds with
    ``low`` and ``high`` one standard deviation away, at epochs that every drawn seed reached; ``selected`` the selected epoch of each seed.
    """

    variants: tuple[str, ...]
    seeds: Mapping[str, int]
    lines: pd.DataFrame
    means: pd.DataFrame
    selected: pd.DataFrame
    processes: tuple[Process, ...]
    highest_loss: float  # where the axes of losses end, lest a few exploding epochs hide all others; NaN where nothing is cut off
    labels: Mapping[str, str]
    synthetic: bool

    def split(self, size: int) -> list[CurvesInfo]:
        """The same information, ``size`` variants at a time; none without variants."""
        return [replace(self, variants=self.variants[start : start + size]) for start in range(0, len(self.variants), size)]


def curves_info(results: Results) -> CurvesInfo:
    """The curves of each variant's finished seeds; while none is finished, of whatever its trials have recorded so far."""
    trials = speaking_trials(results)[["variant", "sample", "seed", "phase", "status", "selected_epoch"]]
    begun = trials[trials["status"].isin(["finished", "running", "interrupted", "diverged"])]
    has_finished = begun["variant"].map(begun["status"].eq("finished").groupby(begun["variant"]).any())
    drawn = begun[begun["status"].eq("finished") | ~has_finished.astype(bool)]
    places = ["variant", "sample", "seed", "phase"]
    epochs = results.epochs.merge(drawn[[*places, "selected_epoch"]], on=places)
    columns = {f"{split}_{metric}": (split, metric) for metric in ("accuracy", "loss") for split in CURVE_SPLITS}
    lines = epochs.melt(["variant", "seed", "epoch"], list(columns), var_name="column", value_name="value")
    lines["split"] = lines["column"].map({name: split for name, (split, _) in columns.items()})
    lines["metric"] = lines["column"].map({name: metric for name, (_, metric) in columns.items()})
    lines.loc[lines["metric"] == "accuracy", "value"] *= 100
    lines = lines.drop(columns="column")
    counted = epochs.groupby("variant")["seed"].nunique()
    seeds = {name: int(counted[name]) for name in results.variants if name in counted.index}
    present = tuple(seeds)
    means = lines.groupby(["variant", "metric", "split", "epoch"])["value"].agg(["mean", "std", "count"]).reset_index()
    means = means[means["count"] == means["variant"].map(seeds)]
    means = means.assign(low=means["mean"] - means["std"], high=means["mean"] + means["std"])
    at = epochs[epochs["epoch"] == epochs["selected_epoch"]]
    selected = at[["variant", "seed", "epoch", "validation_accuracy", "validation_loss"]].assign(accuracy=100 * at["validation_accuracy"])
    finished = epochs[epochs["status"] == "finished"]
    of_variant = dict(iter(finished.groupby("variant")))
    processes = tuple(_process(name, of_variant[name]) for name in present if name in of_variant)
    labels = {"train": "training", "validation": results.split_labels["validation"]}
    return CurvesInfo(present, seeds, lines, means, selected, processes, _cut(lines), labels, results.synthetic)


def _process(variant: str, epochs: pd.DataFrame) -> Process:
    ordered = epochs.sort_values(["seed", "epoch"])
    columns = {name: ordered[name].to_numpy() for name in (*_FIGURES, "seed", "key", "epoch", "selected_epoch")}
    bounds = [0, *(np.flatnonzero(np.diff(columns["seed"])) + 1), len(ordered)]
    own = ({name: values[first:last] for name, values in columns.items()} for first, last in pairwise(bounds))
    return Process(variant, tuple(map(_training, own)))


_FIGURES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")


def _training(epochs: Mapping[str, Array]) -> Training:
    """From one seed's columns, by epoch."""
    losses, selected = epochs["validation_loss"], int(epochs["selected_epoch"][-1])
    chosen = np.flatnonzero(epochs["epoch"] == selected)
    gaps = {}
    for which, row in {"last": -1, **({"selected": int(chosen[0])} if len(chosen) else {})}.items():
        gaps["accuracy", which] = 100 * float(epochs["train_accuracy"][row] - epochs["validation_accuracy"][row])
        gaps["loss", which] = float(losses[row] - epochs["train_loss"][row])
    return Training(
        seed=int(epochs["seed"][-1]),
        key=str(epochs["key"][-1]),
        epochs=len(losses),
        selected=selected,
        lowest=int(epochs["epoch"][int(losses.argmin())]),
        rises=_turns_up(losses.tolist()) if len(losses) >= FEWEST else None,
        gaps=gaps,
    )


def _cut(lines: pd.DataFrame) -> float:
    """Losses are cut off above their 98th percentile, with a margin, where the largest lies at more than twice of it."""
    losses = lines.loc[lines["metric"] == "loss", "value"].dropna()
    if losses.empty:
        return math.nan
    usual = float(losses.quantile(0.98))
    return 1.1 * usual if float(losses.max()) > 2 * usual else math.nan


def _turns_up(losses: list[float]) -> bool:
    """Whether a loss ends clearly above its minimum; looking at the last tenth, and two at least, keeps one bad epoch from deciding."""
    tail = losses[-max(2, math.ceil(len(losses) / 10)) :]
    return min(tail) > (1 + RISE) * min(losses)


def draw_curves(info: CurvesInfo, columns: int = 4) -> Figure:
    """Accuracy above loss for each variant: thin lines are seeds, thick ones their mean, the band one standard deviation."""
    variants = info.variants or ("",)
    finished = {one.variant for one in info.processes}
    blocks = math.ceil(len(variants) / columns)
    columns = max(2, math.ceil(len(variants) / blocks))
    figure = new_figure(0.35 + 2.95 * blocks)
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    shared: dict[str, list[Axes]] = {"accuracy": [], "loss": []}
    for place in range(blocks * columns):
        for offset, metric in enumerate(("accuracy", "loss")):
            axes = grid[2 * (place // columns) + offset, place % columns]
            if place >= len(variants) or not variants[place]:
                axes.set_axis_off()
                continue
            _draw_panel(axes, info, variants[place], metric)
            shared[metric].append(axes)
            if offset == 0:
                axes.set_title(f"{shortened(variants[place], 84 // columns)}\n", fontsize=7.5)
                note = f"n = {info.seeds[variants[place]]}{'' if variants[place] in finished else ', none finished'}"
                axes.text(0, 1.03, note, transform=axes.transAxes, fontsize=7, color=GREY)
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("epoch")
            if place % columns == 0:
                axes.set_ylabel("accuracy (%)" if metric == "accuracy" else "cross-entropy")
            else:
                axes.tick_params(labelleft=False)
    for panels in shared.values():
        for axes in panels[1:]:
            axes.sharey(panels[0])
    for axes in [*shared["accuracy"][1:], *shared["loss"]]:
        axes.sharex(shared["accuracy"][0])  # so that a training that ended early is seen to have
    if shared["loss"] and math.isfinite(info.highest_loss):
        lowest = float(info.lines.loc[info.lines["metric"] == "loss", "value"].min())
        shared["loss"][0].set_ylim(lowest - 0.05 * (info.highest_loss - lowest), info.highest_loss)
    if not info.variants:
        grid[0, 0].text(0, 0.5, "no epoch recorded yet", transform=grid[0, 0].transAxes)
    handles = [figure.axes[0].plot([], [], color=_COLOURS[split], linewidth=1.6)[0] for split in CURVE_SPLITS]
    figure.legend(handles, [info.labels[split] for split in CURVE_SPLITS], loc="outside lower center", ncols=2)
    note_synthetic(figure, info.synthetic)
    return figure


_COLOURS = {"train": ORANGE, "validation": BLUE}


def _draw_panel(axes: Axes, info: CurvesInfo, variant: str, metric: str) -> None:
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    lines = info.lines[(info.lines["variant"] == variant) & (info.lines["metric"] == metric)]
    means = info.means[(info.means["variant"] == variant) & (info.means["metric"] == metric)]
    for split in CURVE_SPLITS:
        colour = _COLOURS[split]
        by_seed = lines[lines["split"] == split].pivot_table(index="epoch", columns="seed", values="value")
        curves = [np.column_stack([by_seed.index, values]) for values in by_seed.to_numpy(float).T]
        axes.add_collection(LineCollection(curves, colors=colour, linewidths=0.5, alpha=0.45))
        mean = means[means["split"] == split]
        if info.seeds[variant] > 1:
            axes.fill_between(mean["epoch"], mean["low"], mean["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(mean["epoch"], mean["mean"], color=colour, linewidth=1.6, marker="o" if len(mean) == 1 else "", markersize=3)
    marks = info.selected[info.selected["variant"] == variant]
    column = "accuracy" if metric == "accuracy" else "validation_loss"
    size = 3 if info.seeds[variant] <= 12 else 1.8
    axes.plot(marks["epoch"], marks[column], "o", markersize=size, markerfacecolor="white", markeredgecolor=BLUE, markeredgewidth=0.8)
