"""The generators of random numbers that a whole process shares, seeded for a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

NUMPY_SEEDS = 2**32


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds Python's, numpy's and torch's global generators, that of the device included, and leaves them in the end as they were.

    A user's own code draws from them (``nn.Dropout``, torchvision's transforms), and so may the process around the training.
    """
    is_gpu = device.type == "cuda"
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if is_gpu else []):
        random.seed(seed)
        np.random.seed(seed % NUMPY_SEEDS)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)
        if is_gpu:
            torch.cuda.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)  # noqa: NPY002
