"""What a run shows while it goes on: plain lines, or a live picture where there is a terminal or a notebook."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ferray.ledger import DEFAULT_STORAGE
from ferray.running.estimate import duration

if TYPE_CHECKING:
    from ferray.running.progress import Progress
    from ferray.trial import Trial


MOST_CHARACTERS = 200
"""Of a note on the data."""


class Display(Protocol):
    """Where a run tells what happens; all methods but ``watch`` return at once."""

    is_live: bool
    """Whether it redraws a part of the terminal, which nobody else may then write to."""

    def say(self, line: str) -> None:
        """A line that stays."""

    def watch(self, progress: Progress) -> AbstractContextManager[None]:
        """Shows the run while the context lasts."""

    def epoch(self, progress: Progress, trial: Trial, row: Mapping[str, Any]) -> None:
        """A trial has ended an epoch."""

    def end(self, progress: Progress, trial: Trial, status: str, told: str | None) -> None:
        """A trial has ended."""


class Lines:
    """A line for every epoch and every end, through a function that takes lines."""

    is_live = False

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.say = say

    @contextmanager
    def watch(self, progress: Progress) -> Iterator[None]:
        """Lines need no preparation."""
        yield

    def epoch(self, progress: Progress, trial: Trial, row: Mapping[str, Any]) -> None:
        """Says the epoch's figures."""
        self.say(
            f"{trial.label}: epoch {row['epoch']}/{trial.config.epochs}, loss {row['train_loss']:.3f}, "
            f"validation accuracy {row['validation_accuracy']:.3f}, {row['images_per_second']:.0f} images/s"
        )

    def end(self, progress: Progress, trial: Trial, status: str, told: str | None) -> None:
        """Says how it ended and what is left."""
        number, planned = progress.ended
        left = progress.seconds_left
        rest = "" if left is None or number == planned else f", about {duration(left)} left"
        self.say(f"[{number}/{planned}] {trial.label}: {status} ({duration(progress.elapsed)} so far{rest})")
        if told:
            self.say(failure(progress, trial, told))


def note(text: str) -> str:
    """What was done to the data, in a line; the report has the whole of what is too long for one."""
    line = " ".join(text.split())
    return f"note: {line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 3].rstrip() + '...'}"


def failure(progress: Progress, trial: Trial, told: str) -> str:
    """A failed trial in a line, with where its traceback is."""
    where = "" if progress.storage == DEFAULT_STORAGE else f" --storage {shlex.quote(progress.storage)}"
    return f"{trial.label} failed: {told} (traceback: python -m ferray.ledger show {trial.key}{where})"


def fitting(say: Callable[[str], None] | None = None) -> Display:
    """The display that fits where this program runs: a terminal, a notebook, or neither; ``say`` takes the lines of the last."""
    if _in_notebook():
        from ferray.running.live import Notebook

        return Notebook()
    if sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb"):
        from ferray.running.live import Terminal

        return Terminal()
    return Lines(say or print)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None
