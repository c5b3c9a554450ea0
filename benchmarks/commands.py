"""A whole command as users give it: how long it takes, the start of Python included, and its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contender import ROOT


@dataclass(frozen=True)
class Command:
    """Seconds from start to end, and the largest resident size [bytes] of its process, or of one that it waited for."""

    seconds: float
    memory: int


class CommandError(Exception):
    """A command ended with another status than 0; what it wrote tells why."""


def run(arguments: Sequence[str]) -> Command:
    """Runs ``python ARGUMENTS`` in ferray's checkout. Raises CommandError."""
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=told, cwd=ROOT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)  # not process.wait(), which forgets the memory
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise CommandError(f"python {' '.join(arguments)}: status {process.returncode}: {told.read()[-2000:]}")
    return Command(seconds, usage.ru_maxrss * 1024)
