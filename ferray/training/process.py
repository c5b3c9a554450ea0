"""What is global to a process and decides numbers or speed: threads, precision, determinism, generators, and how memory is kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cache

import torch

from ferray.config import OWN_NETWORKS, Config
from ferray.training.generators import GlobalGenerators

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
MALLOPT_LIMIT = 2**30


class Surroundings:
    """What a training finds around it at each of its turns, whatever other trainings of the process leave behind in between.

    That is the process's state, global generators of its own, and on a GPU a stream of its own.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        set_process_state(config)  # also before anything touches a GPU
        is_gpu = config.device == "cuda"
        self.device = torch.device("cuda", torch.cuda.current_device()) if is_gpu else torch.device("cpu")
        self._stream = torch.cuda.Stream(self.device) if is_gpu else None  # type: ignore[no-untyped-call]
        self._generators = GlobalGenerators(self.device)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """For as long as the training works."""
        set_process_state(self._config)
        # Whatever the caller has switched on; and a user's own code may draw from the global generators.
        with (
            torch.autocast(self.device.type, enabled=False),
            torch.cuda.stream(self._stream),
            self._generators.in_place(),
        ):
            yield

    def settle(self) -> None:
        """Waits for what the training has begun on a GPU."""
        if self._stream is not None:
            self._stream.synchronize()


def settled(config: Config) -> Config:
    """Where any device will do: on a GPU, if this process has one."""
    return config.on("cuda" if torch.cuda.is_available() else "cpu")


def set_process_state(config: Config) -> None:
    """Everything global to the process that the numbers depend on, as another training may have left it otherwise."""
    on_gpu = config.device == "cuda"
    _keep_freed_memory()
    torch.set_num_threads(config.threads)
    torch.set_default_dtype(torch.float32)  # which a user's module may set as it is imported
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # All that ferray's own networks use is deterministic on a processor, where the flag would only cost time.
    is_own = config.model in OWN_NETWORKS and config.loss == "cross_entropy" and config.transform is None
    # The same as torch.use_deterministic_algorithms, which loads torch's compiler, in two seconds, to tell it as well.
    torch.set_deterministic_debug_mode("warn" if on_gpu or not is_own else "default")
    os.environ["TORCHINDUCTOR_DETERMINISTIC"] = "1"  # should a user's network load it
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a launch for every new tensor
    if on_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS may sum in another order each time


@cache
def _keep_freed_memory() -> None:
    """Tells glibc, where that is the C library, to reuse large freed blocks at once.

    By default it returns them to the system, and each step then waits for its activations' pages to be mapped and cleared again: about
    a fifth of the CNN's time.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, MALLOPT_LIMIT)
        mallopt(M_TRIM_THRESHOLD, MALLOPT_LIMIT)
