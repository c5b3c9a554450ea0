"""The generators of random numbers that a whole process shares, seeded for a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

NUMPY_SEEDS = 2**32


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds Python's, numpy's and torch's global generators, that of the device included, and leaves them in the end as they were.

    A user's own code draws from them (``nn.Dropout``, torchvision's transforms), and so may the process around the training.
    """
    with GlobalGenerators(device).in_place():
        seed_all(seed, device)
        yield


def seed_all(seed: int, device: torch.device) -> None:
    """Seeds the global generators."""
    random.seed(seed)
    np.random.seed(seed % NUMPY_SEEDS)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


class GlobalGenerators:
    """The global generators as one piece of work sees them, however often other work has its turn in between."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._own: tuple[Any, ...] | None = None

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the work's own generators in the place of the process's, as its last turn left them; the first begins with the latter."""
        others = self._taken()
        if self._own is not None:
            self._put(self._own)
        try:
            yield
        finally:
            self._own = self._taken()
            self._put(others)

    def _taken(self) -> tuple[Any, ...]:
        of_gpu = torch.cuda.get_rng_state() if self._device.type == "cuda" else None
        return random.getstate(), np.random.get_state(), torch.default_generator.get_state(), of_gpu  # noqa: NPY002

    def _put(self, states: tuple[Any, ...]) -> None:
        of_python, of_numpy, of_torch, of_gpu = states
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        torch.default_generator.set_state(of_torch)
        if of_gpu is not None:
            torch.cuda.set_rng_state(of_gpu)
