"""``python -m ferray.data``: what a data source holds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from ferray import command
from ferray.data import cache, fer2013, load
from ferray.data.dataset import Dataset
from ferray.data_source import DataSource
from ferray.errors import explain


def describe(
    path: Annotated[
        Path | None,
        typer.Argument(help="fer2013.zip, the folder unzipped from it, or fer2013.csv. Without it: the synthetic faces."),
    ] = None,
    subset: Annotated[int | None, typer.Option(help="Take so many training images, and the same share of the other splits.")] = None,
) -> None:
    """Print a data source's images per split and class, their size, its fingerprint, and where its cache lies."""
    start = time.perf_counter()
    dataset = load(_source(path, subset))
    seconds = time.perf_counter() - start
    place = "none: drawn in memory" if path is None else str(cache.entry_of(fer2013.locate(path)))
    console = Console()
    console.print(_table(dataset))
    channels, height, width = dataset.image_shape
    console.print(f"Image size   {width}x{height} pixels, {channels} channel{'s' if channels > 1 else ''}", highlight=False)
    console.print(f"Fingerprint  {dataset.fingerprint}", highlight=False)
    console.print("Cache        ", place, sep="", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Loaded in    {seconds:.2f} s", highlight=False)


def _source(path: Path | None, subset: int | None) -> DataSource:
    try:
        if path is None:
            return DataSource(source="synthetic", subset=subset)
        return DataSource(source="fer2013", path=str(path), subset=subset)
    except ValidationError as error:
        raise explain(error, where="options", fields=DataSource.model_fields) from None


def _table(dataset: Dataset) -> Table:
    table = Table(title=dataset.name + (" (drawn faces, no photographs)" if dataset.synthetic else ""), title_justify="left")
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
        table.add_row(name, *(f"{number:,}" for number in row), f"{sum(row):,}", f"{sum(row) / total:.1%}", end_section=last)
    table.add_row("All", *(f"{len(split):,}" for split in dataset.splits.values()), f"{total:,}", "100.0%")
    return table


if __name__ == "__main__":
    command.run(describe)
