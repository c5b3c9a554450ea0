"""The picture of a running study, kept up to date in a terminal or under a notebook's cell."""

from __future__ import annotations

import contextvars
import html
import io
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ferray.running.display import failure
from ferray.running.estimate import duration

if TYPE_CHECKING:
    from ferray.running.progress import Progress, Running
    from ferray.trial import Trial

REFRESHES_PER_SECOND = 2.0
NOTEBOOK_WIDTH = 100
NOTEBOOK_HEIGHT = 40
NARROW = 64
"""Below so many columns the tables leave out what matters least."""
MOST_VARIANTS = 12
"""Variants whose best is shown; there may be more."""


def picture(progress: Progress, width: int, height: int) -> RenderableType:
    """The run in at most ``height`` lines of ``width`` columns: counts, a bar, the running trials, the best of each variant."""
    with progress.lock:
        return _picture(progress, width, height)


def _picture(progress: Progress, width: int, height: int) -> RenderableType:
    best = progress.best()
    running = list(progress.running.values())
    room = height - 6 - (width < NARROW)  # the head's lines, one for each heading, and the one below
    for_best = min(len(best), MOST_VARIANTS, max(1, room // 2))
    for_running = max(1, room - for_best - bool(best))
    parts: list[RenderableType] = [_head(progress, width), _bar(progress, width), _pace(progress)]
    if running:
        parts.append(_running(running, width, for_running))
    if best:
        parts.append(_best(progress, width, for_best))
    return Group(*parts)


def _head(progress: Progress, width: int) -> Text:
    """The counts; where there is little room, without those that are zero, and on two lines if need be."""
    is_narrow = width < NARROW
    counts = progress.counts
    text = Text(no_wrap=not is_narrow, overflow="ellipsis")
    text.append(progress.study, style="bold")
    for name, style in (("done", "green"), ("running", "cyan"), ("waiting", ""), ("failed", "bold red" if counts["failed"] else "dim")):
        if counts[name] or not is_narrow:
            text.append("  ").append(f"{counts[name]:,} {name}", style=style)
    if progress.stopped:
        text.append("  ").append(f"{progress.stopped:,} stopped early", style="yellow")
    return text


def _bar(progress: Progress, width: int) -> RenderableType:
    done, planned = progress.epochs_done
    told = f"{done:,}/{planned:,} epochs"
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=max(1, planned), completed=done, width=max(5, min(60, width - len(told) - 2))), Text(told))
    return row


def _pace(progress: Progress) -> Text:
    left = progress.seconds_left
    parts = [f"{duration(progress.elapsed)} so far"]
    if progress.doing:
        parts.append(progress.doing)
    elif progress.todo:
        parts.append("time left not known yet" if left is None else f"about {duration(left)} left")
    if progress.images_per_second:
        parts.append(f"{progress.images_per_second:,.0f} images/s")
    return Text(", ".join(parts), no_wrap=True, overflow="ellipsis")


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)


def _running(running: list[Running], width: int, rows: int) -> Table:
    is_narrow = width < NARROW
    table = _table()
    table.add_column("running", no_wrap=True, overflow="ellipsis")
    table.add_column("epoch", justify="right", no_wrap=True)
    if not is_narrow:
        table.add_column("loss", justify="right", no_wrap=True)
    table.add_column("val. acc." if is_narrow else "validation accuracy", justify="right", no_wrap=True)
    if not is_narrow:
        table.add_column("images/s", justify="right", no_wrap=True)
    shown = running if len(running) <= rows else running[: rows - 1]
    for one in shown:
        row = one.row
        wide = [] if is_narrow else [f"{row['train_loss']:.3f}" if row else ""]
        cells = [
            one.trial.label,
            f"{one.epoch}/{one.trial.config.epochs}",
            *wide,
            _percent(row["validation_accuracy"]) if row else "",
        ]
        table.add_row(*cells, *([] if is_narrow else [f"{row['images_per_second']:,.0f}" if row else ""]))
    if len(shown) < len(running):
        table.add_row(Text(f"{len(running) - len(shown)} more", style="dim"))
    return table


def _best(progress: Progress, width: int, rows: int) -> Table:
    best = progress.best()
    table = _table()
    table.add_column("best so far", no_wrap=True, overflow="ellipsis")
    table.add_column("val. acc." if width < NARROW else "validation accuracy, mean", justify="right", no_wrap=True)
    table.add_column("seeds", justify="right", no_wrap=True)
    shown = best if len(best) <= rows else best[: rows - 1]
    for one in shown:
        table.add_row(one.variant, _percent(one.accuracy), str(one.seeds))
    if len(shown) < len(best):
        table.add_row(Text(f"{len(best) - len(shown)} more", style="dim"))
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


class Terminal:
    """Redraws the lowest lines of a terminal; what is said, and what the program prints, scrolls by above them."""

    is_live = True

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stdout, highlight=False)

    def say(self, line: str) -> None:
        """A line above the picture."""
        self._console.print(Text(line), soft_wrap=True)  # whole, so that a command in it can be copied

    @contextmanager
    def watch(self, progress: Progress) -> Iterator[None]:
        """Draws while the context lasts, and leaves the last picture."""

        def current() -> RenderableType:
            return picture(progress, self._console.width, self._console.height)

        with Live(console=self._console, get_renderable=current, refresh_per_second=REFRESHES_PER_SECOND):
            yield

    def epoch(self, progress: Progress, trial: Trial, row: Mapping[str, Any]) -> None:
        """The picture shows it."""

    def end(self, progress: Progress, trial: Trial, status: str, told: str | None) -> None:
        """Failures are said, so that they stay; the picture shows the rest."""
        if told:
            self._console.print(Text(failure(progress, trial, told), style="red"), soft_wrap=True)
        elif status == "diverged":
            self._console.print(Text(f"{trial.label} diverged: its loss or a weight was not finite any more", style="yellow"))


class Notebook:
    """The picture under a notebook's cell, without any widgets; what is said is printed there."""

    is_live = True

    def say(self, line: str) -> None:
        """A line of the cell's output."""
        print(line, flush=True)

    @contextmanager
    def watch(self, progress: Progress) -> Iterator[None]:
        """Draws while the context lasts, and leaves the last picture."""
        from IPython.display import HTML, display

        def drawn() -> Any:
            return HTML(_as_html(picture(progress, NOTEBOOK_WIDTH, NOTEBOOK_HEIGHT)))  # type: ignore[no-untyped-call]

        handle: Any = display(drawn(), display_id=True)  # type: ignore[no-untyped-call]
        try:
            with _repeated(lambda: handle.update(drawn())):
                yield
        finally:
            handle.update(drawn())

    def epoch(self, progress: Progress, trial: Trial, row: Mapping[str, Any]) -> None:
        """The picture shows it."""

    def end(self, progress: Progress, trial: Trial, status: str, told: str | None) -> None:
        """Failures are said, so that they stay; the picture shows the rest."""
        if told:
            print(failure(progress, trial, told), flush=True)
        elif status == "diverged":
            print(f"{trial.label} diverged: its loss or a weight was not finite any more", flush=True)


def _as_html(drawing: RenderableType) -> str:
    console = Console(file=io.StringIO(), record=True, width=NOTEBOOK_WIDTH, force_jupyter=False, highlight=False)
    console.print(drawing)
    return f'<pre style="line-height: 1.3; margin: 0">{html.escape(console.export_text().rstrip())}</pre>'


@contextmanager
def _repeated(draw: Callable[[], None]) -> Iterator[None]:
    """Calls a function once a second in a thread of its own, which belongs to the cell that began it."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(1.0):
            draw()

    thread = threading.Thread(target=contextvars.copy_context().run, args=(loop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
