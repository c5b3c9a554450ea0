"""A data set where its training happens: in the processor's memory as it is, or copied to a GPU once for all who train there."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from ferray.data import Dataset


class Resident:
    """The splits' images, uint8 [n, c, h, w], and labels, int64 [n], by their names, on one device."""

    def __init__(self, data: Dataset, device: torch.device) -> None:
        self.data = data
        self.images = {name: _tensor(split.images).to(device) for name, split in data.splits.items()}
        self.labels = {name: _tensor(split.labels).to(device) for name, split in data.splits.items()}
        if device.type == "cuda":
            torch.cuda.current_stream().synchronize()  # others read them on streams of their own


def of_seed(data: Dataset, seed: int) -> Dataset:
    """``data.for_seed(seed)``, the same one for all trainings of the process that have it at the same time."""
    if not data.splits_by_seed:
        return data
    known = _by_seed.get(id(data))
    if known is None or known[0]() is not data:  # another one, which lies where one was that is gone
        known = _by_seed[id(data)] = weakref.ref(data), WeakValueDictionary()
    found = known[1].get(seed)
    if found is None:
        found = known[1][seed] = data.for_seed(seed)
    return found


def resident(data: Dataset, device: torch.device) -> Resident:
    """The data set on a device: the same tensors for all trainings that hold them, which only read."""
    if device.type != "cuda":
        return Resident(data, device)  # nothing is copied
    place = (id(data), device.index or 0)
    found = _on_gpus.get(place)
    if found is None:
        found = _on_gpus[place] = Resident(data, device)
    return found


_by_seed: dict[int, tuple[weakref.ref[Dataset], WeakValueDictionary[int, Dataset]]] = {}
"""By the identity of the data set that they are drawn from."""
_on_gpus: WeakValueDictionary[tuple[int, int], Resident] = WeakValueDictionary()
"""By the identity of the data set, which lives as long as what is made of it."""


def _tensor(array: NDArray[Any]) -> Tensor:
    """The array's memory as a tensor, which is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
