"""Who may begin on a device, by measured footprints."""

from __future__ import annotations

import mmap

import pytest
import torch

from ferray.training.capacity import Capacity, ProcessMemory, is_broken, no_memory


class Device:
    """Memory of 1,000 bytes."""

    def __init__(self) -> None:
        self.taken = 100

    def used(self) -> int:
        return self.taken

    def free(self) -> int:
        return 1000 - self.taken


def watched(capacity: Capacity, device: Device, *, who: str, kind: str, takes: int) -> None:
    assert capacity.admits(kind)
    capacity.enter(who, kind)
    device.taken += takes
    capacity.settle(who)


def test_as_many_begin_as_fit_beside_the_first_that_was_measured() -> None:
    device = Device()
    capacity = Capacity(None, device)
    capacity.enter(0, "small")
    assert not capacity.admits("small"), "nobody knows yet what one takes"
    device.taken += 200
    capacity.settle(0)
    assert capacity.footprints == {"small": 200}
    for number in range(1, 10):
        if not capacity.admits("small"):
            break
        capacity.enter(number, "small")  # and has taken nothing yet
    assert number == 4, "700 bytes are free, and three of 200 and a margin fit"


def test_memory_that_was_taken_counts_once() -> None:
    device = Device()
    capacity = Capacity(None, device)
    for number in range(4):
        watched(capacity, device, who=str(number), kind="small", takes=200)
    assert not capacity.admits("small")
    device.taken -= 200
    capacity.leave("0")
    assert capacity.admits("small")


def test_another_kind_is_watched_with_room_for_twice_what_is_known() -> None:
    device = Device()
    capacity = Capacity(None, device)
    watched(capacity, device, who="first", kind="small", takes=200)
    assert capacity.admits("large")
    capacity.enter("second", "large")
    assert not capacity.admits("small")
    device.taken += 400
    capacity.settle("second")
    assert capacity.footprints == {"small": 200, "large": 400}
    assert capacity.admits("small")
    assert not capacity.admits("other"), "which might take twice 400"


def test_what_is_measured_while_another_one_ends_is_not_believed() -> None:
    device = Device()
    capacity = Capacity(None, device)
    watched(capacity, device, who="first", kind="small", takes=200)
    capacity.enter("second", "large")
    capacity.leave("first")
    device.taken += 300 - 200
    capacity.settle("second")
    assert capacity.footprints == {"small": 200}


def test_never_more_than_asked_for_and_one_always() -> None:
    device = Device()
    capacity = Capacity(2, device)
    watched(capacity, device, who="first", kind="small", takes=1)
    watched(capacity, device, who="second", kind="small", takes=1)
    assert not capacity.admits("small")
    device.taken = 1000
    assert Capacity(None, device).admits("small")


def test_who_finds_no_memory_may_try_again_with_fewer_beside_it_but_not_alone() -> None:
    device = Device()
    capacity = Capacity(None, device)
    for number in range(3):
        watched(capacity, device, who=str(number), kind="small", takes=10)
    assert capacity.overflow("2")
    assert not capacity.admits("small")
    capacity.leave("0")
    assert capacity.admits("small")
    capacity.leave("1")
    capacity.enter("2", "small")
    assert not capacity.overflow("2")


def test_a_machine_tells_what_this_process_has_and_what_is_left() -> None:
    memory = ProcessMemory()
    before = memory.used()
    assert before > 10 * 2**20
    block = mmap.mmap(-1, 64 * 2**20)  # which no memory that was freed before serves
    block.write(b"x" * len(block))
    assert memory.used() - before > 32 * 2**20
    assert memory.free() > len(block) // 2


def test_who_never_began_leaves_the_one_that_is_watched_alone() -> None:
    device = Device()
    capacity = Capacity(None, device)
    capacity.enter("first", "small")
    capacity.leave("waiting")
    device.taken += 200
    capacity.settle("first")
    assert capacity.footprints == {"small": 200}


def test_where_the_first_was_watched_in_vain_the_next_one_is() -> None:
    device = Device()
    capacity = Capacity(None, device)
    watched(capacity, device, who="first", kind="small", takes=100)
    capacity.footprints.clear()
    assert capacity.admits("small")
    capacity.enter("second", "small")
    assert not capacity.admits("small")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("can't allocate memory: 8 GB"), RuntimeError("CUDA error: out of memory")],
)
def test_a_lack_of_memory_is_seen_behind_other_errors_too(error: BaseException) -> None:
    assert no_memory(error)
    last = RuntimeError("the end of a recording")
    last.__context__ = error
    assert no_memory(last)
    assert not no_memory(RuntimeError("sizes do not fit"))
    assert not is_broken(error)
    assert is_broken(torch.AcceleratorError("CUDA error: device-side assert triggered"))
