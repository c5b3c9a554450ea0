"""Results on their way from a device to the processor, and how long the device took for them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

Results = Mapping[str, Mapping[str, Tensor]]


class Fetch:
    """Copies of tensors on the processor, which a GPU writes once it has come so far; nobody needs to wait meanwhile."""

    def __init__(self, results: Results, device: torch.device) -> None:
        self._results = {group: {name: _copy(value) for name, value in one.items()} for group, one in results.items()}
        self._written = torch.cuda.current_stream().record_event() if device.type == "cuda" else None

    def is_there(self) -> bool:
        """Whether all is written."""
        return self._written is None or self._written.query()

    def results(self) -> dict[str, dict[str, Tensor]]:
        """The copies; waits for them."""
        if self._written is not None:
            self._written.synchronize()
        return self._results


def _copy(value: Tensor) -> Tensor:
    if value.device.type != "cuda":
        return value
    # Into memory that cannot be swapped out: into any other the copy would be one that waits.
    return torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)


class Stopwatch:
    """Measures from its making to its stop() the time of the device's work, which on a GPU goes on behind the processor's back."""

    def __init__(self, device: torch.device) -> None:
        self._is_gpu = device.type == "cuda"
        self._marks = [self._mark()]

    def stop(self) -> None:
        """Here ends what is measured."""
        self._marks.append(self._mark())

    def seconds(self) -> float:
        """Once the device has come to the stop."""
        start, stop = self._marks
        if isinstance(start, float) or isinstance(stop, float):
            return float(stop) - float(start)  # type: ignore[arg-type]
        return float(start.elapsed_time(stop)) / 1000

    def _mark(self) -> float | torch.cuda.Event:
        if not self._is_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event
