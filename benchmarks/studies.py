"""Studies whose trials do next to nothing, so that what is left is what ferray adds."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.contender import Round
    from ferray.study import Study

SMALLEST: dict[str, Any] = {"model": "dnn", "width": 0.03, "dropout": 0.0, "batch_norm": False, "epochs": 1, "batch_size": 128}
"""A network of a few dozen weights; an epoch over 70 images takes milliseconds."""


def study(seeds: list[int], *, epochs: int = 1, **more: Any) -> Study:
    """A study of one variant and these seeds, of synthetic faces."""
    from ferray import Study

    base = {**SMALLEST, "epochs": epochs}
    return Study(name="smallest", data={"source": "synthetic", "images": 70}, base=base, seeds=seeds, keep_weights=False, **more)


def trials(count: int) -> Round:
    """A study of so many new trials on one ledger, in a session of Ray that is warm."""
    import ray

    ray.init(include_dashboard=False, log_to_driver=False)
    storage = Path(tempfile.mkdtemp())
    fresh = itertools.count()

    def one_round() -> float:
        outcome = study(list(itertools.islice(fresh, count))).run(storage, say=lambda line: None)
        if outcome.trained != count:
            raise RuntimeError(f"{outcome.trained} of {count} trials were trained: {outcome.failures}")
        return count

    one_round()
    return one_round
