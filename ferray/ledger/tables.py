"""What the ledger's command line prints: rows as a table in a terminal, as aligned text where it goes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from ferray.ledger.catalog import Entry
from ferray.ledger.devices import joined

MOST_IN_A_TERMINAL = 1000
"""Rows that rich lays out in about a second; more are printed as aligned text."""

RIGHT = {"seed", "sample", "epochs", "selected", "val. accuracy", "seconds", "size", "planned", "bytes"}
"""Columns of numbers."""

COLORS = {"finished": "green", "diverged": "yellow", "stopped": "yellow", "failed": "red", "damaged": "red", "running": "cyan"}


def show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under their columns."""
    if sys.stdout.isatty() and len(rows) <= MOST_IN_A_TERMINAL:
        if "sample" in columns and {row[columns.index("sample")] for row in rows} <= {"0", "-"}:  # room for what tells them apart
            place = columns.index("sample")
            columns, rows = _without(columns, place), [_without(row, place) for row in rows]
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in columns:
            is_whole = name in ("key", "status", "when", *RIGHT)
            table.add_column(name, justify="right" if name in RIGHT else "left", overflow="fold", no_wrap=is_whole)
        for row in rows:
            table.add_row(*(f"[{COLORS[cell]}]{cell}[/]" if cell in COLORS else _plain(cell) for cell in row))
        Console(highlight=False).print(table)
    else:
        print("\n".join(aligned(columns, rows)))


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for the columns and one for each row, the cells one under another."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    placed = [str.rjust if name in RIGHT else str.ljust for name in columns]
    return [
        "  ".join(place(cell, width) for place, cell, width in zip(placed, row, widths, strict=True)).rstrip() for row in (columns, *rows)
    ]


TRIAL_COLUMNS = ("key", "study", "variant", "sample", "seed", "status", "epochs", "selected", "val. accuracy", "seconds", "device", "when")


def trial_row(entry: Entry, digits: int) -> tuple[str, ...]:
    """The cells of a trial under TRIAL_COLUMNS."""
    studies = dict.fromkeys(place.study for place in entry.places)
    variants = dict.fromkeys(place.variant for place in entry.places)
    samples = dict.fromkeys(str(place.sample) for place in entry.places)
    return (
        entry.key[:digits],
        ", ".join(studies) or "-",
        " / ".join(variants) or "-",
        ", ".join(samples) or "-",
        _number(entry.seed),
        entry.status,
        f"{entry.epochs}/{entry.config.get('epochs', '?')}",
        _number(entry.selected_epoch),
        "-" if entry.accuracy is None else f"{entry.accuracy:.4f}",
        "-" if entry.seconds is None else f"{entry.seconds:.1f}",
        joined(entry.devices),
        moment(entry.when),
    )


def moment(when: datetime | None) -> str:
    """A time in this machine's zone, to the minute."""
    return "-" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M")


def amount(size: int) -> str:
    """Bytes for people."""
    number = float(size)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _without(cells: Sequence[str], place: int) -> Sequence[str]:
    return [*cells[:place], *cells[place + 1 :]]


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _plain(cell: str) -> str:
    return cell.replace("[", "\\[")
