"""A contender: one way of doing a job, in processes of its own, which do one round of it each time they are told to.

Of its own, so that threads, allocators and frameworks do not meet, and so that a process's memory is that of the way. The processes of
one contender work at the same time, and its figure is what they do together, since that is what a study of many trials gets.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.memory import Watch

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Clocked:
    """What was done in the part of a round that the way itself has timed, as where its beginning does not count."""

    done: float
    seconds: float


Round = Callable[[], "float | Clocked"]
"""Does the job once and returns how much was done, such as images."""


@dataclass(frozen=True)
class Contender:
    """``way`` is ``module:function`` of this package; the function takes ``settings`` and returns a Round, after whatever warms it up."""

    name: str
    way: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1


@dataclass(frozen=True)
class Sample:
    """One round: what was done per second, by all processes together, and the largest memory [bytes] that one had so far.

    ``trial_memory`` is that of the largest of Ray's processes that run trials, where there are any.
    """

    rate: float
    seconds: float
    memory: int
    trial_memory: int = 0


class ContenderError(Exception):
    """A contender's process ended; what it wrote tells why."""


class Running:
    """A contender whose processes wait for the next round; a context manager, which ends them."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        command = [sys.executable, "-m", "benchmarks.contender", contender.way, json.dumps(dict(contender.settings))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            for _ in range(contender.processes)
        ]
        for process in self._processes:
            self._answer(process)

    def round(self) -> Sample:
        """Lets all processes do one round, at the same time."""
        started = time.perf_counter()
        for process in self._processes:
            _pipe(process.stdin).write("go\n")
            _pipe(process.stdin).flush()
        with ExitStack() as stack:
            watches = [stack.enter_context(Watch(process.pid)) for process in self._processes]
            answers = [self._answer(process) for process in self._processes]
            seconds = time.perf_counter() - started
        rate = sum(answer["done"] / (answer["seconds"] or seconds) for answer in answers)
        return Sample(rate, seconds, max(answer["memory"] for answer in answers), max(watch.trials for watch in watches))

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        for line in _pipe(process.stdout):
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        raise ContenderError(f"{self.contender.name}: its process ended with {process.wait()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            _pipe(process.stdin).close()
        for process in self._processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


MARK = "benchmark: "
"""Before an answer, as frameworks print too."""


def in_turns(contenders: list[Contender], rounds: int) -> dict[str, list[Sample]]:
    """So many rounds of each contender by name, one of each after the other, and in the opposite order every other time.

    What the machine does beside thus meets all alike, and the ratios of samples of one round are the honest ones.
    """
    samples: dict[str, list[Sample]] = {one.name: [] for one in contenders}
    with ExitStack() as stack:
        running = [stack.enter_context(Running(one)) for one in contenders]
        for number in range(rounds):
            for one in running[:: 1 if number % 2 == 0 else -1]:
                samples[one.contender.name].append(one.round())
    return samples


def _pipe(given: IO[str] | None) -> IO[str]:
    if given is None:
        raise RuntimeError("the process was started without this pipe")
    return given


def _serve(way: str, settings: Mapping[str, Any]) -> None:
    """The child's side: says that it is ready, and answers each line with a round."""
    module, _, function = way.partition(":")
    round_ = getattr(importlib.import_module(f"benchmarks.{module}"), function)(**settings)
    print(f"{MARK}{{}}", flush=True)
    for _ in sys.stdin:
        found = round_()
        clocked = found if isinstance(found, Clocked) else Clocked(found, 0.0)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(f"{MARK}{json.dumps({**asdict(clocked), 'memory': memory})}", flush=True)


if __name__ == "__main__":
    from benchmarks.contender import _serve  # as others import it, for its classes to be the same

    _serve(sys.argv[1], json.loads(sys.argv[2]))
