"""A process that trains many trials on one device, for leases that tell it when to go on."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ferray.running.estimate import cost
from ferray.running.source import Finished, surroundings, told

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ferray.config import Config
    from ferray.data import Dataset
    from ferray.training.pack import Seat, Turns
    from ferray.training.state import State
    from ferray.trial import Trial

STEPS = 8
"""So many steps a training takes at each of its turns."""
MEMORY = ("optimizer", "loss", "transform", "soft_labels")
"""What decides on a training's memory beside what decides on its pace."""


Results = tuple[dict[str, Any], "dict[str, NDArray[np.float32]]", bytes | None]
"""Summary, predictions and weights."""


class UnknownLeaseError(RuntimeError):
    """A lease of another life of this process, or one that has ended."""


@dataclass(frozen=True)
class Told:
    """What a lease hears of an epoch: the row, or ``failure`` with what the training raised."""

    row: dict[str, float | int] | None = None
    is_diverged: bool = False
    failure: dict[str, str] | None = None


class Host:
    """A Pack as an asynchronous Ray actor, which holds the data once; a training is known by the number of its lease."""

    def __init__(self, data: Sequence[Any], most: int | None, *, on_gpu: bool) -> None:
        """``data`` holds the reference to the data set, inside a list, so that the process can fetch it again where it begins anew.

        ``most`` is how many trainings at most there may be at the same time; as many as fit where it is None. Those that go on any device
        go on the GPU where there is one and it is ``on_gpu``, and else on processors.
        A process that can no longer use its GPU ends itself, so that another one can begin in its place.
        """
        import ray
        import torch

        from ferray.training.capacity import Capacity, memory
        from ferray.training.pack import Pack

        has_gpu = on_gpu and torch.cuda.is_available()
        self._device: Literal["cpu", "cuda"] = "cuda" if has_gpu else "cpu"
        self._data: Dataset = ray.get(data[0])
        self._pack = Pack(Capacity(most, memory(of_gpu=has_gpu)), broken=lambda: os._exit(1))
        self._seats: dict[int, Seat] = {}
        self._lengths: dict[int, int] = {}
        self._results: dict[int, Results] = {}
        gc.collect()
        gc.freeze()  # what is loaded by now stays, and need not be looked at whenever a training has ended

    async def process(self) -> int:
        """The number of this process, once it is ready."""
        return os.getpid()

    async def environment(self, config: Config) -> dict[str, Any]:
        """What a training runs on here."""
        return await asyncio.to_thread(surroundings, config.on(self._device))

    async def begin(self, lease: int, trial: Trial, checkpoint: bytes | None, *, keep_weights: bool) -> None:
        """Takes in a trial; it trains once its epochs are asked for."""
        from ferray.training.epochs import turns
        from ferray.training.state import load_state

        config, code = trial.config.on(self._device), trial.attachments.digests

        def begun(state: State | None) -> Turns:
            return turns(config, self._data, state, attachments=trial.attachments, keep_weights=keep_weights, steps=STEPS)

        kind = (cost(config, self._data.image_shape, code.get("model")), *(str(getattr(config, name)) for name in MEMORY))
        resume = None if checkpoint is None else load_state(checkpoint)
        self._lengths[lease] = config.epochs
        self._seats[lease] = self._pack.add(begun, kind=kind, resume=resume)

    async def epoch(self, lease: int) -> Told | None:
        """The next epoch of a lease; None after its last one, or where the lease has been ended."""
        try:
            epoch = await asyncio.wrap_future(self._seat(lease).epoch())
        except UnknownLeaseError:
            raise
        except BaseException as fault:
            if isinstance(fault, asyncio.CancelledError):
                raise
            return Told(failure=told(fault))
        if epoch is None:
            return None
        if epoch.diverged or epoch.row["epoch"] == self._lengths[lease]:
            # Taken at once: kept for later, the epoch would keep all that the training has on the GPU.
            done = Finished(epoch)
            self._results[lease] = done.summary(), done.predictions(), await asyncio.to_thread(done.weights)
        return Told(epoch.row, epoch.diverged)

    async def checkpoint(self, lease: int) -> bytes:
        """What the training goes on from after its last epoch."""
        from ferray.training.state import dump_state

        state = await asyncio.wrap_future(self._seat(lease).state())
        return await asyncio.to_thread(dump_state, state)

    async def results(self, lease: int) -> tuple[Results, Mapping[str, Any]]:
        """Of a training that has come to its end: its results, and what was measured."""
        footprint = self._pack.capacity.footprints.get(self._seat(lease).kind)
        return self._results[lease], {} if footprint is None else {"footprint": footprint}

    async def end(self, lease: int) -> None:
        """Ends a training, and frees what it holds; returns once that is done. Nothing happens where the lease is unknown."""
        self._results.pop(lease, None)
        self._lengths.pop(lease, None)
        seat = self._seats.pop(lease, None)
        if seat is not None:
            await asyncio.wrap_future(seat.close())

    def _seat(self, lease: int) -> Seat:
        if lease not in self._seats:
            raise UnknownLeaseError(f"the process that packs trials has no lease {lease}: it was ended, or the process began anew")
        return self._seats[lease]
