"""Small studies for the tests of the run half."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ferray.ledger import Ledger
from ferray.study import Study

TIMINGS = {"seconds", "images_per_second"}


def tiny(**changes: Any) -> Study:
    """Two variants of a CNN that trains in well under a second."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "data": {"source": "synthetic", "images": 140},
        "base": {
            "width": 0.05, "epochs": 2, "batch_size": 32, "precision": "fp32", "l1": 1e-5,
            "augmentation": {"rotation": 20.0, "horizontal_flip": 0.5},
        },
        "ablate": {"remove": ["augmentation"]},
        "seeds": 2,
    }  # fmt: skip
    return Study(**{**fields, **changes})


@contextmanager
def unlucky(seed: int) -> Iterator[None]:
    """Trainings of a seed in this process fail meanwhile."""
    from ferray import training  # not above: a driver loads no PyTorch

    real = training.fit

    def fails(config: Any, *rest: Any, **options: Any) -> Iterator[Any]:
        if config.seed == seed:
            raise ValueError(f"seed {seed} is unlucky")
        return real(config, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "fit", fails)
        yield


def numbers(ledger: Ledger) -> dict[str, tuple[list[dict[str, Any]], dict[str, bytes]]]:
    """Everything that each trial left, apart from how long it took: its rows, and its probabilities as bytes."""
    found = {}
    for key in ledger.keys():
        rows = [{name: value for name, value in row.items() if name not in TIMINGS} for row in ledger.epochs(key)]
        found[key] = (rows, {name: array.tobytes() for name, array in (ledger.predictions(key) or {}).items()})
    return found
