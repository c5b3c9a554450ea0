"""The half that reads: the report of many trials, and the list of very many, as whole commands."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import records
from benchmarks.commands import Command, run
from benchmarks.figures import Figure, Spread

IMAGES = 300
"""Of the validation and of the test split, each."""


def figures(rounds: int, reported: int, listed: int, epochs: int) -> list[Figure]:
    """A report of ``reported`` trials of so many epochs, and a list of ``listed`` trials."""
    return [_report(rounds, reported, epochs), _list(rounds, listed)]


def _report(rounds: int, trials: int, epochs: int) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        name = records.make(Path(folder), trials, epochs=epochs, images=IMAGES)
        done = [run(["-m", "ferray.report", name, "--storage", folder]) for _ in range(rounds)]
    return _figure("report", f"report of {trials:,} trials of {epochs} epochs, {IMAGES} images on test", done, 20.0)


def _list(rounds: int, trials: int) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        records.make(Path(folder), trials, epochs=3, images=IMAGES, predictions=False)
        done = [run(["-m", "ferray.ledger", "list", "--storage", folder]) for _ in range(rounds)]
    return _figure("list", f"list of a ledger of {trials:,} records", done, 5.0)


def _figure(key: str, title: str, done: list[Command], target: float) -> Figure:
    seconds = Spread.of([one.seconds for one in done])
    return Figure(key, title, "s", seconds, target=target, better="less", memory=max(one.memory for one in done))
