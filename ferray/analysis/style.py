"""How every figure looks: sizes in inches for a text width of 160 mm, colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ferray.analysis.fonts import BASE, lettered, quiet

WIDTH = 6.3  # inches: the text of an A4 page

BLUE, ORANGE, GREEN, RED = "#0072B2", "#D55E00", "#009E73", "#CC3311"  # the first three of Okabe and Ito (2008)
INK, GREY, PALE = "#222222", "#767676", "#D9D9D9"
SPLIT_COLOURS = {"validation": ORANGE, "test": BLUE}

STYLE: Any = {
    "text.parse_math": False,  # names such as $x_1$ are names
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # text in the PDF stays text
}

SYNTHETIC_NOTE = "synthetic data"


@contextmanager
def styled(fonts: Sequence[str] = (BASE,)) -> Iterator[None]:
    """A context in which figures are drawn and saved with the given fonts, leaving the caller's own settings as they were."""
    with quiet(), rc_context({**STYLE, "font.family": list(fonts)}):
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of the report, without pyplot's global state."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.07))


def panels(figure: Figure, count: int, columns: int, *, label: str = "", sharex: bool = False) -> list[Axes]:
    """So many axes in rows of ``columns``, with one vertical scale, which the first of each row calls ``label``.

    With ``sharex`` they have one horizontal scale too, and the lowest of each column its numbers. Places that are left over stay empty.
    """
    grid = figure.subplots(-(-count // columns), columns, squeeze=False, sharex=sharex, sharey=True).flat
    made = list(grid)
    for axes in made[count:]:
        axes.set_axis_off()
    for axes in made[:count:columns]:
        axes.set_ylabel(label)
    for axes in made[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return made[:count]


def note_synthetic(figure: Figure, synthetic: bool) -> None:
    """Writes ``synthetic data`` above a figure whose data are made up, where no panel can cover it."""
    if synthetic:
        figure.suptitle(SYNTHETIC_NOTE, x=0.995, ha="right", fontsize=7.5, color=RED, style="italic")


def hide_y_marks(axes: Axes) -> None:
    """Leaves the names of a categorical vertical axis without line and ticks."""
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def shortened(name: str, length: int = 28) -> str:
    """A name as the fonts in use have it, a long one on two or more lines, broken at spaces, signs or hyphens where there are any."""
    return broken(lettered(name), length)


def broken(text: str, length: int) -> str:
    """A text on lines of about a length, broken where ``_parts`` allows or else anywhere."""
    lines = [""]
    for part in _parts(text):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > length:
            lines.append("")
        while len(part) > length:
            lines[-1] += part[:length]
            lines.append("")
            part = part[length:]
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines if line)


def _parts(name: str) -> list[str]:
    parts = [""]
    for letter in name:
        parts[-1] += letter
        if letter in " _+-,/:.":
            parts.append("")
    return parts
