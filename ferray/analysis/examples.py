"""Images of the most confused classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ferray.analysis.answers import answers
from ferray.analysis.confusion import PairsInfo
from ferray.analysis.fonts import lettered
from ferray.analysis.results import Results
from ferray.analysis.style import GREY, PALE, broken, new_figure, note_synthetic


@dataclass(frozen=True)
class Example:
    """One image with what the networks made of it; probabilities are means over the seeds."""

    index: int  # in the split
    true: str
    predicted: str
    probability: float  # of the predicted class
    true_probability: float
    image: NDArray[np.uint8]  # [height, width] or [height, width, 3]


@dataclass(frozen=True)
class ExamplesInfo:
    """For each confused pair, the images that were most confidently taken for the wrong class."""

    variant: str
    rows: tuple[tuple[Example, ...], ...]
    columns: int
    seeds: int
    synthetic: bool


def examples_info(results: Results, pairs: PairsInfo, *, rows: int = 4, columns: int = 6) -> ExamplesInfo | None:
    """Images of the first ``rows`` pairs that have any, at most ``columns`` each, by the mean probability of the wrong class.

    None without images.

    An image belongs to a pair when the mean probability over the seeds is highest for the pair's wrong class.
    """
    split = pairs.split
    labels, images = results.labels(split), results.images(split)
    if labels is None or images is None:
        return None
    own = answers(results, pairs.variant, split)
    if own is None:
        return None
    mean = own.probabilities.mean(axis=0)
    predicted = mean.argmax(axis=1)
    grid = []
    for pair in pairs.pairs:
        true, wrong = results.classes.index(pair.true), results.classes.index(pair.predicted)
        members = np.flatnonzero((labels == true) & (predicted == wrong))
        order = members[np.argsort(-mean[members, wrong], kind="stable")][:columns]
        row = tuple(
            Example(int(one), pair.true, pair.predicted, float(mean[one, wrong]), float(mean[one, true]), as_picture(images[one]))
            for one in order
        )
        if row:
            grid.append(row)
        if len(grid) == rows:
            break
    return ExamplesInfo(pairs.variant, tuple(grid), columns, len(own.seeds), results.synthetic) if grid else None


def draw_examples(info: ExamplesInfo) -> Figure:
    """A row of images per pair, with the mean probability of the wrong class and, in brackets, of the true one."""
    figure = new_figure(0.2 + 1.08 * len(info.rows))
    grid = figure.subplots(len(info.rows), info.columns, squeeze=False)
    for row, line in zip(info.rows, grid, strict=True):
        for place, axes in enumerate(line):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if place >= len(row):
                continue
            example = row[place]
            axes.imshow(example.image, cmap="gray", vmin=0, vmax=255)
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color(PALE)
            axes.set_xlabel(f"{example.probability:.2f} ({example.true_probability:.2f})", fontsize=7, color=GREY, labelpad=2)
        pair = f"{_label(row[0].true)}\n\N{RIGHTWARDS ARROW} {_label(row[0].predicted)}"
        line[0].set_ylabel(pair, rotation=0, ha="right", va="center", fontsize=8, labelpad=6)
    note_synthetic(figure, info.synthetic)
    return figure


def _label(name: str) -> str:
    return broken(lettered(name, 30), 16)


def as_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image [channels, height, width] as matplotlib shows it: [height, width], or [height, width, 3] in colour."""
    return image[0] if image.shape[0] == 1 else np.moveaxis(image[:3], 0, -1)
