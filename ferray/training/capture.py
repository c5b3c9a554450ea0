"""A piece of work on a GPU that is launched as one: recorded as a CUDA graph, and replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

WARM = 3
"""So often the work is done as it is before it is recorded: libraries choose and allocate at first, which no graph may hold."""


class Captured:
    """A function of tensors at fixed places, without arguments and results, that is called again and again.

    On a GPU it is recorded after its first calls (which are real ones) and from then on replayed, which costs one launch instead of
    hundreds. Elsewhere it is only called.
    """

    def __init__(
        self, function: Callable[[], None], device: torch.device, generators: Sequence[torch.Generator] = (), pool: Any = None
    ) -> None:
        """``generators`` are those of the device that the function draws from, apart from the device's default one.

        ``pool`` is the memory that functions share which are never at work at the same time, and leave nothing in it for one another.
        """
        self._function = function
        self._is_recorded_here = device.type == "cuda"
        self._generators = generators
        self._pool = pool
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Does the work on the current stream, which must be the same each time and, on a GPU, none that others use."""
        if self._graph is not None:
            self._graph.replay()
            return
        self._calls += 1
        if not self._is_recorded_here or self._calls <= WARM:
            self._function()
            return
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        # Only this thread's calls are held to the rules of recording: the process may have others.
        with torch.cuda.graph(graph, pool=self._pool, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
            self._function()
        self._graph = graph
        graph.replay()


def new_pool(device: torch.device) -> Any:
    """Memory for functions to share, as torch names it; nothing but on a GPU."""
    return torch.cuda.graph_pool_handle() if device.type == "cuda" else None
