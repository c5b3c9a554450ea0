"""Peak memory of a process and of the processes that it starts, as Linux counts it, from outside.

What counts is the largest resident size that a process ever had (``VmHWM``), pages that it shares with others among it. Processes of
one kind are not added up: the figure is that of the largest.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

LOOK_SECONDS = 0.5
"""Between two looks; what a process reached before its last look is not missed, since the system keeps the peak."""


class Watch:
    """Looks at a process and its descendants while the context lasts: ``driver`` is the process, ``trials`` the largest that runs trials.

    Both are in bytes; ``trials`` is 0 where there is none. Trials run in Ray's actors, and the ledger's writer and the meter do not count.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self.driver = 0
        self.trials = 0

    def look(self) -> None:
        """Takes note of what there is now."""
        self.driver = max(self.driver, peak(self._pid))
        for pid in descendants(self._pid):
            if _runs_trials(pid):
                self.trials = max(self.trials, peak(pid))

    def _loop(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self.look()


def peak(pid: int) -> int:
    """The largest resident size so far [bytes]; 0 of a process that is no more."""
    return _status(pid, "VmHWM")


def resident(pid: int) -> int:
    """The resident size now [bytes]; 0 of a process that is no more."""
    return _status(pid, "VmRSS")


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that these have."""
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = file.read_text(encoding="ascii").split()
        except OSError:  # the thread has ended
            continue
        for child in children:
            yield int(child)
            yield from descendants(int(child))


def _status(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _runs_trials(pid: int) -> bool:
    """By the name that Ray gives to a process: of its actor's class, and with a point the method that runs."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return False
    kind = command.removeprefix("ray::").partition(".")[0]
    return command.startswith("ray::") and kind not in ("IDLE", "LedgerWriter", "Meter", "DashboardAgent")
