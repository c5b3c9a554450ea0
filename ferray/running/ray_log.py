"""The file that takes what Ray, and the processes it runs, have to say."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast

from ferray.errors import LedgerError

LOOK_SECONDS = 0.5
MOST_LOOKS = 10
"""At a file that might still grow."""


@contextmanager
def diverted(file: Path, *, whole_terminal: bool) -> Iterator[TextIO]:
    """Sends to a file, which is added to, all that Ray would write to the terminal while the context lasts.

    That is Ray's log, Python's warnings, and what Ray's threads print of the worker processes: a user's own prints, crashes of
    workers, the autoscaler. The file is given, for what this thread makes Ray print. ``whole_terminal`` also takes what Ray's C++
    parts write to the standard error past Python. Raises LedgerError where the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("a", encoding="utf-8", errors="replace", buffering=1)
    except OSError as error:
        raise LedgerError(f"cannot write {file}: {error.strerror or error}") from error
    with ExitStack() as stack:
        stack.enter_context(stream)
        stack.enter_context(_logged(stream))
        stack.enter_context(redirect_stdout(cast("TextIO", _OtherThreads(sys.stdout, stream))))
        stack.enter_context(redirect_stderr(cast("TextIO", _OtherThreads(sys.stderr, stream))))
        if whole_terminal:
            stack.enter_context(_descriptor(2, stream))
        yield stream


def settle(stream: TextIO) -> None:
    """Waits until nothing more comes from processes that have just ended, whose last lines take a moment through Ray."""
    looks = [os.fstat(stream.fileno()).st_size]
    for _ in range(MOST_LOOKS):
        time.sleep(LOOK_SECONDS)
        looks.append(os.fstat(stream.fileno()).st_size)
        if len(looks) > 2 and len(set(looks[-3:])) == 1:
            return


class _OtherThreads:
    """A stream that leaves what this thread writes where it goes, and sends what others write to a file."""

    def __init__(self, here: TextIO, elsewhere: TextIO) -> None:
        self._thread = threading.current_thread()
        self._here = here
        self._elsewhere = elsewhere

    def write(self, text: str) -> int:
        return self._stream().write(text)

    def flush(self) -> None:
        self._stream().flush()

    def _stream(self) -> TextIO:
        is_here = threading.current_thread() is self._thread or self._elsewhere.closed
        return self._here if is_here else self._elsewhere

    def __getattr__(self, name: str) -> Any:
        return getattr(self._here, name)


@contextmanager
def _logged(stream: TextIO) -> Iterator[None]:
    """Ray's log and Python's warnings go to the stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("ray", "py.warnings")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


@contextmanager
def _descriptor(number: int, stream: TextIO) -> Iterator[None]:
    kept = os.dup(number)
    os.dup2(stream.fileno(), number)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
