"""Rows of images with words below each, and which answer to an image is the most frequent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ferray.analysis.answers import Answers
from ferray.analysis.fonts import lettered
from ferray.analysis.style import GREY, PALE, broken, new_figure, note_synthetic

COLUMNS = 7
"""Images in a row."""


@dataclass(frozen=True)
class Picture:
    """One image with what the trainings answered, in words, and the mean probabilities of its true class that it is chosen by."""

    index: int  # in the split
    true: str
    lines: tuple[str, ...]
    image: NDArray[np.uint8]  # [height, width] or [height, width, 3]


@dataclass(frozen=True)
class Row:
    """The first of ``n`` images of one kind."""

    title: str
    n: int
    pictures: tuple[Picture, ...]


def most_frequent(own: Answers, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The most frequent answer to each image, of equals the one of higher mean probability, and how many trainings give it."""
    votes = np.stack([(own.predicted == place).sum(axis=0) for place in range(classes)], axis=1)
    modal = (votes + 0.5 * own.probabilities.mean(axis=0)).argmax(axis=1)
    return modal, votes[np.arange(len(modal)), modal]


def draw_gallery(rows: tuple[Row, ...] | list[Row], synthetic: bool) -> Figure:
    """Rows of images with words below each, the row's title and number of images at the left."""
    lines = max(len(picture.lines) for row in rows for picture in row.pictures)
    titled = any(row.title for row in rows)
    figure = new_figure(0.15 + (0.82 + 0.13 * lines) * len(rows))
    grid = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for row, line in zip(rows, grid, strict=True):
        for place, axes in enumerate(line):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if place < len(row.pictures):
                picture = row.pictures[place]
                axes.imshow(picture.image, cmap="gray", vmin=0, vmax=255)
                axes.spines[:].set_visible(True)
                axes.spines[:].set_color(PALE)
                axes.set_xlabel("\n".join(lettered(text, 24) for text in picture.lines), fontsize=6, color=GREY, labelpad=2)
        if titled:
            name = f"{broken(lettered(row.title, 60), 14)}\nn = {row.n}"
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7.5, labelpad=6)
    note_synthetic(figure, synthetic)
    return figure
