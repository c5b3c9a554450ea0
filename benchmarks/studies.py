"""Studies whose trials do next to nothing, or sleep, so that what is left is what ferray adds."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contender import Clocked

if TYPE_CHECKING:
    from benchmarks.contender import Round
    from ferray.study import Study

SMALLEST: dict[str, Any] = {"model": "dnn", "width": 0.03, "dropout": 0.0, "batch_norm": False, "epochs": 1, "batch_size": 128}
"""A network of a few dozen weights; an epoch over IMAGES images, which is one step, takes milliseconds."""
IMAGES = 70


def study(seeds: list[int], base: dict[str, Any] = SMALLEST) -> Study:
    """A study of one variant and these seeds, of synthetic faces."""
    from ferray import Study

    return Study(name="smallest", data={"source": "synthetic", "images": IMAGES}, base=base, seeds=seeds, keep_weights=False)


def sleeping(seeds: list[int], seconds: float, log: Path) -> Study:
    """A study of trials that sleep so long each, in a single step; see benchmarks.sleeper."""
    arguments = {"seconds": seconds, "images": IMAGES, "log": str(log)}
    base = {"model": "./sleeper.py:Sleeper", "model_arguments": arguments, "epochs": 1, "batch_size": 128}
    return study(seeds, base).beside(Path(__file__).parent)


def warm(ends: Sequence[float]) -> Clocked:
    """What trials did, by the moments at which they ended: those of the first tenth, in which processes start, do not count."""
    first = max(2, len(ends) // 10)
    return Clocked(len(ends) - first, ends[-1] - ends[first - 1])


def trials(count: int) -> Round:
    """A study of so many new trials on one ledger, in a session of Ray that is warm."""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    storage = Path(tempfile.mkdtemp())
    fresh = itertools.count()

    def one_round() -> Clocked:
        ends: list[float] = []

        def say(line: str) -> None:
            if line.startswith("["):
                ends.append(time.perf_counter())

        outcome = study(list(itertools.islice(fresh, count))).run(storage, say=say)
        if outcome.trained != count:
            raise RuntimeError(f"{outcome.trained} of {count} trials were trained: {outcome.failures}")
        return warm(ends)

    return one_round


def paced(count: int, seconds: float, log: str) -> Round:
    """A study of so many trials that sleep, in a session of Ray that is warm; what is done is the seconds that they slept."""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    fresh = itertools.count()
    storage = Path(tempfile.mkdtemp())
    study([0]).run(storage, say=lambda line: None)

    def one_round() -> float:
        outcome = sleeping(list(itertools.islice(fresh, count)), seconds, Path(log)).run(storage, say=lambda line: None)
        if outcome.trained != count:
            raise RuntimeError(f"{outcome.trained} of {count} trials were trained: {outcome.failures}")
        return count * seconds

    return one_round
