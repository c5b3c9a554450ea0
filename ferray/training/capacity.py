"""How many trainings a device has room for, by what the first of each kind was seen to take."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Protocol

import torch

MARGIN = 0.1
"""Of a footprint, kept free beyond it."""
NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "ALLOC_FAILED")
GUESS = 2.0
"""Times the largest footprint that is known, a kind that is not known must find free."""


class Memory(Protocol):
    """What a device's memory tells, in bytes."""

    def used(self) -> int:
        """What is taken, by whomever."""

    def free(self) -> int:
        """What may still be taken."""


class GpuMemory:
    """That of the current GPU, with graphs, libraries and what others have on it."""

    def used(self) -> int:
        """What is taken on the whole GPU."""
        free, total = torch.cuda.mem_get_info()
        return int(total - free)

    def free(self) -> int:
        """What no process has."""
        return int(torch.cuda.mem_get_info()[0])


class ProcessMemory:
    """That of a machine running Linux: what this process has of it, and what is left."""

    def used(self) -> int:
        """Resident memory of this process."""
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def free(self) -> int:
        """What the system would give without swapping."""
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def memory(*, of_gpu: bool) -> Memory:
    """That of the current GPU, or that of this process and its machine."""
    return GpuMemory() if of_gpu else ProcessMemory()


class Capacity:
    """Who may begin, and who must wait until others have ended.

    The first training of a kind is watched through its first epoch, during which nobody else begins: what memory is taken meanwhile is
    the footprint of its kind. Those after it begin as far as so much, and a margin, is free. Where nothing is at work, one always may.
    """

    def __init__(self, most: int | None, of: Memory) -> None:
        """``most`` is how many trainings at the same time there may be at most; as many as fit where it is None."""
        self.most = most or math.inf
        self.footprints: dict[Hashable, int] = {}
        """Bytes by kind."""
        self._memory = of
        self._present: dict[object, Hashable] = {}
        self._young: set[object] = set()  # that have not ended their first epoch, and will take more
        self._watched: tuple[object, int] | None = None

    def admits(self, kind: Hashable) -> bool:
        """Whether a training of a kind may begin now."""
        if not self._present:
            return True
        if len(self._present) >= self.most or self._watched is not None:
            return False
        known = self.footprints.get(kind)
        if known is None and self._young:
            return False
        expected = known if known is not None else GUESS * max(self.footprints.values(), default=0)
        to_come = sum(self.footprints.get(self._present[one], 0) for one in self._young)
        return to_come + expected * (1 + MARGIN) <= self._memory.free()

    def enter(self, who: object, kind: Hashable) -> None:
        """A training begins."""
        if kind not in self.footprints and not self._young:
            self._watched = (who, self._memory.used())
        self._present[who] = kind
        self._young.add(who)

    def settle(self, who: object) -> None:
        """A training has ended an epoch, and has all the memory that it will take."""
        self._young.discard(who)
        if self._watched is not None and self._watched[0] is who:
            self.footprints[self._present[who]] = max(0, self._memory.used() - self._watched[1])
            self._watched = None

    def leave(self, who: object) -> None:
        """A training has ended, and its memory is free. Nothing happens where it is not at work."""
        if who not in self._present:
            return
        del self._present[who]
        self._young.discard(who)
        self._watched = None  # who is watched still, is watched in vain, since memory has become free meanwhile

    def overflow(self, who: object) -> bool:
        """A training found no memory and has ended: whether it may try again, once others have ended; there are never so many again."""
        self.leave(who)
        if not self._present:
            return False
        self.most = len(self._present)
        return True


def no_memory(error: BaseException) -> bool:
    """Whether an error means that the device or the processor has no memory left.

    What failed first counts too: the end of a recording that found no memory raises an error of its own. And what libraries and the driver
    take, beside torch's own allocator, has other words for it.
    """
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, (MemoryError, torch.OutOfMemoryError)) or any(words in str(one) for words in NO_MEMORY):
            return True
        one = one.__cause__ or one.__context__
    return False


def is_broken(error: BaseException) -> bool:
    """Whether an error means that the process can no longer use its GPU, and everything else on it would fail as well."""
    return isinstance(error, torch.AcceleratorError) and not no_memory(error)
