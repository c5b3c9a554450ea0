"""What a search tried and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from ferray.analysis.results import Results
from ferray.analysis.selection import chosen_samples, searched_fields, searching_trials
from ferray.analysis.statistics import Estimate, mean_interval
from ferray.analysis.style import GREY, ORANGE, new_figure, note_synthetic, panels, shortened
from ferray.analysis.wording import setting
from ferray.config import flatten

FEW = 8
"""Values of a listed setting up to which each has a tick."""


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

    ``points`` has a row per finished trial and field that it draws: key, field, value, variant, accuracy (percent), chosen. Fields are
    ``numeric``, or have ``categories`` in the order of their drawing; ``logarithmic`` says how a numeric field's axis is drawn. ``listed``
    has the values, ascending, of numeric fields for which the study lists a few; ``tried`` says how many values finished trials have.
    """

    fields: tuple[str, ...]
    numeric: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    logarithmic: Mapping[str, bool]
    listed: Mapping[str, tuple[float, ...]]
    tried: Mapping[str, int]
    points: pd.DataFrame
    samples: tuple[Sample, ...]  # best first
    label: str
    synthetic: bool


def search_info(results: Results) -> SearchInfo | None:
    """None where the study has one sample of each variant."""
    fields = searched_fields(results)
    trials = searching_trials(results)
    if not fields or trials["sample"].nunique() < 2:
        return None
    chosen = chosen_samples(results)
    finished = trials[trials["status"] == "finished"]
    accuracy = {key: 100 * float(value) for key, value in zip(finished["key"], finished["validation_accuracy"], strict=True)}
    rows: list[dict[str, Any]] = []
    draws: dict[tuple[str, int], list[float]] = {}
    planned: dict[tuple[str, int], int] = {}
    values: dict[tuple[str, int], Mapping[str, Any]] = {}
    searching = set(trials["phase"])
    for entry in results.plan:
        if entry.get("phase", "final") not in searching:
            continue
        place = (entry["variant"], entry["sample"])
        planned[place] = planned.get(place, 0) + 1
        values[place] = entry["overrides"]
        own = draws.setdefault(place, [])
        if entry["key"] not in accuracy:
            continue
        own.append(accuracy[entry["key"]])
        values_of = entry["overrides"]
        is_chosen = chosen.get(place[0]) == place[1]
        row = {"key": entry["key"], "variant": place[0], "sample": place[1], "accuracy": own[-1], "chosen": is_chosen}
        rows.extend({**row, "field": name, "value": values_of[name]} for name in fields if name in values_of)
    samples = [
        Sample(place[0], place[1], values[place], mean_interval(own).within(0, 100), planned[place], chosen.get(place[0]) == place[1])
        for place, own in draws.items()
    ]
    samples.sort(key=lambda one: (-one.validation.mean if one.validation.n else math.inf, one.variant, one.sample))
    points = pd.DataFrame(rows, columns=["key", "field", "value", "variant", "sample", "accuracy", "chosen"])
    # A variant may fix a searched field, and a condition may leave it out.
    drawn = {name: [one[name] for one in values.values() if name in one] for name in fields}
    numeric = tuple(name for name in fields if drawn[name] and all(map(_is_number, drawn[name])))
    return SearchInfo(
        fields=tuple(fields),
        numeric=numeric,
        categories={name: _categories(drawn[name]) for name in fields if name not in numeric},
        logarithmic={name: _is_logarithmic(results, name, drawn[name]) for name in numeric},
        listed={name: found for name in numeric if (found := _listed(results, name, drawn[name]))},
        tried={str(name): len({repr(value) for value in own["value"]}) for name, own in points.groupby("field", sort=False)},
        points=points.astype({"value": object, "accuracy": float}),
        samples=tuple(samples),
        label=results.split_labels["validation"],
        synthetic=results.synthetic,
    )


def _categories(values: list[Any]) -> tuple[str, ...]:
    """Each value as it is written, in the order in which the plan has them, false before true."""
    return tuple(dict.fromkeys(setting(value) for value in (sorted(values) if all(isinstance(one, bool) for one in values) else values)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_logarithmic(results: Results, name: str, values: list[float]) -> bool:
    """Where the study draws log-uniformly, or the values span two decades; never with a zero among them."""
    if min(values) <= 0:
        return False
    domains = flatten((results.study or {}).get("settings", {}).get("search") or {})
    drawn_so = any(domain.startswith(f"{name}.") and "log" in domain.removeprefix(f"{name}.") for domain in domains)
    return drawn_so or max(values) / min(values) >= 100


def _listed(results: Results, name: str, values: list[float]) -> tuple[float, ...]:
    """The values met where the study lists a field's values and they are few, else none."""
    domains = flatten((results.study or {}).get("settings", {}).get("search") or {})
    met = sorted(set(values))
    return tuple(met) if len(met) <= FEW and any(f"{name}.{function}" in domains for function in ("choice", "grid_search")) else ()


def draw_search(info: SearchInfo) -> Figure:
    """A panel per field, numeric ones first: a dot per finished trial, those of the chosen samples in orange."""
    fields = [*info.numeric, *info.categories]
    columns = min(3, max(2, len(fields)))
    rows = math.ceil(len(fields) / columns)
    labels = {name: [shortened(one, 14) for one in info.categories.get(name, ())] for name in fields}
    tallest = max((label.count("\n") for own in labels.values() for label in own), default=0)
    figure = new_figure(0.35 + (2.0 + 0.12 * tallest) * rows)
    made = panels(figure, len(fields), columns, label=f"accuracy, {info.label} (%)")
    for axes, name in zip(made, fields, strict=True):
        points = info.points[info.points["field"] == name]
        _draw_field(axes, info, name, points)
        if name in info.categories:
            upright = max((len(line) for label in labels[name] for line in label.split("\n")), default=0) * len(labels[name]) < 36
            turned: dict[str, Any] = {} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            axes.set_xticks(range(len(labels[name])), labels[name], **turned)
            axes.set_xlim(-0.6, max(1, len(labels[name])) - 0.4)
        elif info.logarithmic[name]:
            axes.set_xscale("log")
            axes.set_xticks(logarithmic_ticks(*axes.get_xlim()))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        if name in info.listed:
            values = info.listed[name]
            axes.set_xticks(values, _apart(values, logarithmic=info.logarithmic[name]))
            axes.minorticks_off()
        lacking = info.points["key"].nunique() - points["key"].nunique()
        axes.set_xlabel(shortened(name, 32) + (f"\n(in {points['key'].nunique()} trials)" if lacking else ""))
    handles = [made[0].plot([], [], "o", color=colour, markersize=4, mew=0)[0] for colour in (ORANGE, GREY)]
    figure.legend(handles, ["chosen sample", "other samples"], loc="outside lower center", ncols=2)
    note_synthetic(figure, info.synthetic)
    return figure


def _apart(values: Sequence[float], *, logarithmic: bool) -> list[str]:
    """What ticks at ascending values are called; nothing where the name would run into the one before."""
    places = [math.log(value) if logarithmic else value for value in values]
    names: list[str] = []
    end = -math.inf  # of the last name, where the axis is 1 wide and 28 letters fit in it
    for value, place in zip(values, places, strict=True):
        where, half = (place - places[0]) / (places[-1] - places[0] or 1), len(setting(value)) / 56
        names.append(setting(value) if where - half > end else "")
        end = where + half + 1 / 28 if names[-1] else end
    return names


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers in a range of positive ones: powers of ten where two lie in it, else finer steps."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5), range(1, 10)):
        inside = [tick for decade in decades for step in steps if low <= (tick := float(f"{step}e{decade}")) <= high]
        if len(inside) > 1:
            return inside[:: math.ceil(len(inside) / 5)]
    return [float(tick) for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]


def _draw_field(axes: Axes, info: SearchInfo, name: str, points: pd.DataFrame) -> None:
    axes.grid(axis="y")
    for is_chosen, colour, size, alpha in ((False, GREY, 3.5, 0.6), (True, ORANGE, 4.5, 1.0)):
        own = points[points["chosen"] == is_chosen]
        values = own["value"].to_list()
        if name in info.categories:
            order = {written: number for number, written in enumerate(info.categories[name])}
            # Dots of one category are set side by side in the order of their keys, which is as good as chance and always the same.
            aside = own["key"].rank(method="first", pct=True).to_numpy(float) - 0.5
            values = [order[setting(value)] + 0.5 * shift for value, shift in zip(values, aside, strict=True)]
        axes.plot(values, own["accuracy"], "o", color=colour, alpha=alpha, markersize=size, mew=0)
