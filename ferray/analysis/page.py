"""A page of numbered sections, figures and tables, before it is HTML."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from ferray.analysis.figures import Drawing, render
from ferray.analysis.fonts import BASE
from ferray.analysis.tables import Table


@dataclass(frozen=True)
class Block:
    """A paragraph, a list, a figure or a table of the page, in its place."""

    text: str = ""
    items: tuple[str, ...] = ()
    table: Table | None = None
    drawing: Drawing | None = None
    caption: str = ""
    number: int = 0

    @property
    def source(self) -> str:
        """The figure's picture as an address that holds it."""
        return "" if self.drawing is None else f"data:image/png;base64,{base64.b64encode(self.drawing.png).decode()}"


@dataclass
class Section:
    """A numbered section that collects its blocks while the page is made."""

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)


class Page:
    """Collects sections and numbers figures and tables through the whole page."""

    def __init__(self, fonts: Sequence[str] = (BASE,)) -> None:
        self.fonts = tuple(fonts)  # of the figures
        self.sections: list[Section] = []
        self.drawings: list[Drawing] = []
        self.tables: list[Table] = []

    def section(self, anchor: str, title: str) -> None:
        """Begins a section; what follows belongs to it."""
        self.sections.append(Section(anchor, title))

    def say(self, sentences: Sequence[str]) -> None:
        """Adds a paragraph, or nothing without any sentence."""
        if sentences:
            self.sections[-1].blocks.append(Block(text=" ".join(sentences)))

    def enumerate(self, sentences: Sequence[str]) -> None:
        """Adds a list with an item for each sentence, or nothing without any."""
        if sentences:
            self.sections[-1].blocks.append(Block(items=tuple(sentences)))

    def show(self, name: str, draw: Callable[[], Figure], caption: str) -> None:
        """Draws and adds a figure."""
        self.drawings.append(render(name, draw, self.fonts))
        self.sections[-1].blocks.append(Block(drawing=self.drawings[-1], caption=caption, number=len(self.drawings)))

    def attach(self, table: Table) -> None:
        """Keeps a table as files only."""
        self.tables.append(table)

    def tabulate(self, table: Table) -> None:
        """Adds a table."""
        self.attach(table)
        number = 1 + sum(block.table is not None for section in self.sections for block in section.blocks)
        self.sections[-1].blocks.append(Block(table=table, caption=table.caption, number=number))
