"""What a search tried and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ferray.analysis.results import Results
from ferray.analysis.selection import chosen_samples, searched_fields
from ferray.analysis.statistics import Estimate, mean_interval
from ferray.analysis.style import GREY, ORANGE, new_figure, note_synthetic, shortened
from ferray.analysis.wording import split_label
from ferray.config import flatten


@dataclass(frozen=True)
class Sample:
    """One draw of the search for one variant; the validation accuracy is in percent, over the finished seeds."""

    variant: str
    sample: int
    values: Mapping[str, Any]
    validation: Estimate
    planned: int
    chosen: bool


@dataclass(frozen=True)
class SearchInfo:
    """What was searched.

    ``points`` has a row per finished trial and numeric field: key, field, value, variant, accuracy (percent), chosen. ``logarithmic`` says
    per field how its axis is drawn.
    """

    fields: tuple[str, ...]
    numeric: tuple[str, ...]
    logarithmic: Mapping[str, bool]
    points: pd.DataFrame
    samples: tuple[Sample, ...]  # best first
    label: str
    synthetic: bool


def search_info(results: Results) -> SearchInfo | None:
    """None where the study has one sample of each variant."""
    fields = searched_fields(results)
    if not fields or results.trials["sample"].nunique() < 2:
        return None
    chosen = chosen_samples(results)
    finished = results.trials[results.trials["status"] == "finished"]
    accuracy = {key: 100 * float(value) for key, value in zip(finished["key"], finished["validation_accuracy"], strict=True)}
    rows: list[dict[str, Any]] = []
    draws: dict[tuple[str, int], list[float]] = {}
    planned: dict[tuple[str, int], int] = {}
    values: dict[tuple[str, int], Mapping[str, Any]] = {}
    for entry in results.plan:
        place = (entry["variant"], entry["sample"])
        planned[place] = planned.get(place, 0) + 1
        values[place] = entry["overrides"]
        own = draws.setdefault(place, [])
        if entry["key"] not in accuracy:
            continue
        own.append(accuracy[entry["key"]])
        row = {"key": entry["key"], "variant": place[0], "sample": place[1], "accuracy": own[-1], "chosen": chosen[place[0]] == place[1]}
        rows.extend({**row, "field": name, "value": entry["overrides"][name]} for name in fields if name in entry["overrides"])
    samples = [
        Sample(place[0], place[1], values[place], mean_interval(own).within(0, 100), planned[place], chosen[place[0]] == place[1])
        for place, own in draws.items()
    ]
    samples.sort(key=lambda one: (-one.validation.mean if one.validation.n else math.inf, one.variant, one.sample))
    points = pd.DataFrame(rows, columns=["key", "field", "value", "variant", "sample", "accuracy", "chosen"])
    drawn = {name: [one[name] for one in values.values() if name in one] for name in fields}  # a variant may fix a searched field
    numeric = tuple(name for name in fields if drawn[name] and all(map(_is_number, drawn[name])))
    return SearchInfo(
        fields=tuple(fields),
        numeric=numeric,
        logarithmic={name: _is_logarithmic(results, name, drawn[name]) for name in numeric},
        points=points[points["field"].isin(numeric)].astype({"value": float, "accuracy": float}),
        samples=tuple(samples),
        label=split_label(str(results.data["name"]), "validation"),
        synthetic=results.synthetic,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_logarithmic(results: Results, name: str, values: list[float]) -> bool:
    """Where the study draws log-uniformly, or the values span two decades; never with a zero among them."""
    if min(values) <= 0:
        return False
    domains = flatten((results.study or {}).get("settings", {}).get("search") or {})
    drawn_so = any(domain.startswith(f"{name}.") and "log" in domain.removeprefix(f"{name}.") for domain in domains)
    return drawn_so or max(values) / min(values) >= 100


def draw_search(info: SearchInfo) -> Figure:
    """A panel per numeric field: a dot per finished trial, those of the chosen samples filled in orange."""
    columns = min(3, max(2, len(info.numeric)))
    rows = math.ceil(len(info.numeric) / columns)
    figure = new_figure(0.35 + 2.0 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(info.numeric):
            axes.set_axis_off()
            continue
        name = info.numeric[place]
        points = info.points[info.points["field"] == name]
        others, chosen = points[~points["chosen"]], points[points["chosen"]]
        axes.grid(axis="y")
        axes.plot(others["value"], others["accuracy"], "o", color=GREY, alpha=0.6, markersize=3.5, mew=0)
        axes.plot(chosen["value"], chosen["accuracy"], "o", color=ORANGE, markersize=4.5, mew=0)
        if info.logarithmic[name]:
            axes.set_xscale("log")
        axes.set_xlabel(shortened(name, 32))
        if place % columns == 0:
            axes.set_ylabel(f"accuracy, {info.label} (%)")
    handles = [grid[0, 0].plot([], [], "o", color=colour, markersize=4, mew=0)[0] for colour in (ORANGE, GREY)]
    figure.legend(handles, ["chosen sample", "other samples"], loc="outside lower center", ncols=2)
    note_synthetic(figure, info.synthetic)
    return figure
