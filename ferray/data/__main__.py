"""``python -m ferray.data``: what a data source holds; ``python -m ferray.data fetch fer2013``: FER2013 from Kaggle."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ferray import command
from ferray.data import entry_of, kaggle, load, located
from ferray.data.dataset import Dataset
from ferray.data_source import DataSource
from ferray.errors import DataError, explain, nearest


def describe(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="FER2013 in any form, a folder of images, a table of paths and labels, or a zip of any of these. Without it: the "
            "synthetic faces. `fetch fer2013 [--to DIR]` downloads FER2013."
        ),
    ] = None,
    subset: Annotated[int | None, typer.Option(help="Take so many training images, and the same share of the other splits.")] = None,
    votes: Annotated[Path | None, typer.Option(help="FER+ votes (fer2013new.csv) for FER2013 in a CSV form.")] = None,
) -> None:
    """Print a data source's images per split and class, what was done to them, their fingerprint, and where their cache lies."""
    start = time.perf_counter()
    source = _source(path, subset, votes)
    dataset = load(source)
    seconds = time.perf_counter() - start
    place = "none: drawn in memory" if path is None else str(entry_of(source, located(source)))
    console = Console()
    console.print(_table(dataset))
    channels, height, width = dataset.image_shape

    def line(name: str, text: str) -> None:
        console.print(f"{name:13}{text}", highlight=False, markup=False, soft_wrap=True)

    line("Image size", f"{width}x{height} pixels, {channels} channel{'s' if channels > 1 else ''}")
    for note in dataset.notes:
        line("Note", note)
    for split, reason in dataset.missing.items():
        line("Missing", f"figures on {split}: {reason}")
    if dataset.train.votes is not None:
        voted = sum(int(split.votes.any(1).sum()) for split in dataset.splits.values() if split.votes is not None)
        line("Votes", f"for a class of {voted:,} images")
    line("Fingerprint", dataset.fingerprint)
    line("Cache", place)
    line("Loaded in", f"{seconds:.2f} s")


def fetch(
    name: Annotated[str, typer.Argument(help="fer2013")],
    to: Annotated[Path | None, typer.Option(help="The folder to put it in; left out, kagglehub's cache.")] = None,
) -> None:
    """Download FER2013 from Kaggle, and print what it holds."""
    if name != "fer2013":
        raise DataError(f"fetch {name}: no such data set{nearest(name, ['fer2013'])}; there is fer2013")
    path = kaggle.fetch(to)
    print(f"FER2013 lies in {path}: use it with --data {path}")
    describe(path)


def _source(path: Path | None, subset: int | None, votes: Path | None) -> DataSource:
    try:
        given = DataSource(source="synthetic" if path is None else "auto", subset=subset, votes=None if votes is None else str(votes))
        return given.located(path)
    except ValidationError as error:
        raise explain(error, where="options", fields=DataSource.model_fields) from None


def _table(dataset: Dataset) -> Table:
    table = Table(title=Text(dataset.name + (" (drawn faces, no photographs)" if dataset.synthetic else "")), title_justify="left")
    table.add_column("Class")
    for name in dataset.splits:
        table.add_column(name.capitalize(), justify="right")
    table.add_column("All", justify="right")
    table.add_column("Share", justify="right")
    counts = dataset.counts
    total = sum(len(split) for split in dataset.splits.values())
    for label, name in enumerate(dataset.classes):
        row = [counts[split][name] for split in counts]
        last = label == len(dataset.classes) - 1
        table.add_row(Text(name), *(f"{number:,}" for number in row), f"{sum(row):,}", f"{sum(row) / total:.1%}", end_section=last)
    if len(dataset.test) and not dataset.test.labelled:
        unknown = len(dataset.test)
        table.add_row("(not known)", "", "", f"{unknown:,}", f"{unknown:,}", f"{unknown / total:.1%}", end_section=True)
    table.add_row("All", *(f"{len(split):,}" for split in dataset.splits.values()), f"{total:,}", "100.0%")
    return table


if __name__ == "__main__":
    if sys.argv[1:2] == ["fetch"]:  # a path that is called so is written ./fetch
        del sys.argv[1]
        command.run(fetch)
    else:
        command.run(describe)
