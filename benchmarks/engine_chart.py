"""The figure of the training engine: images per second of each way to train the reference CNN, below what the machine can do at most."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.engine import GFLOP_PER_IMAGE
from ferray.analysis.style import BLUE, GREY, INK, PALE, new_figure, styled


def rates(figures: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Mapping[str, float]], float]:
    """By way of training, the fastest first, images/s (median, least, most); and those of the machine's matrix product (median)."""
    ways: dict[str, Mapping[str, float]] = {}
    limit = 0.0
    for one in figures:
        if one["key"].startswith("cnn_beside_") and "peer_value" in one and one["unit"] == "images/s":
            ways[one["title"].removeprefix("reference CNN, ")] = one["value"]
            ways[one["peer"]] = one["peer_value"]
        if one["key"] == "cnn_beside_matrix_product":
            limit = one["peer_value"]["median"] / GFLOP_PER_IMAGE
    return dict(sorted(ways.items(), key=lambda way: -way[1]["median"])), limit


def engine_chart(figures: Sequence[Mapping[str, Any]]) -> bytes:
    """A PNG of the part ``engine``: bars are medians, lines reach from the slowest round to the fastest."""
    ways, limit = rates(figures)
    with styled():
        figure = new_figure(0.7 + 0.3 * len(ways))
        axes = figure.subplots()
        medians = [way["median"] for way in ways.values()]
        spread = [[way["median"] - way["least"] for way in ways.values()], [way["most"] - way["median"] for way in ways.values()]]
        colours = [BLUE if name.startswith("ferray") else PALE for name in ways]
        axes.barh(list(ways), medians, xerr=spread, color=colours, error_kw={"ecolor": INK, "elinewidth": 0.8}, height=0.65)
        for place, way in enumerate(ways.values()):
            axes.text(way["most"] + limit / 100, place, f"{way['median']:,.0f}", va="center", fontsize=7.5)
        axes.axvline(limit, color=GREY, linewidth=0.8, linestyle=":")
        axes.text(limit, -0.62, "if all went as fast as a matrix product", ha="right", va="bottom", fontsize=7, color=GREY)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1.05 * limit)
        axes.set_xlabel("images/s of the reference CNN, all cores")
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=150)
        return content.getvalue()
