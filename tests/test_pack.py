"""Trainings of one process that share a thread: each as it is alone, whatever becomes of the others."""

from __future__ import annotations

import gc
import resource
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
import torch
from toy_data import toy_data

from ferray.attachments import Attachments
from ferray.config import Config
from ferray.errors import ResourceError
from ferray.training import Epoch, fit
from ferray.training import pack as module
from ferray.training.epoch import Pause
from ferray.training.epochs import turns
from ferray.training.pack import Pack, Turns
from ferray.training.state import State, dump_state, load_state

DATA = toy_data()
AUGMENTATION = {"rotation": 20.0, "horizontal_flip": 0.1}
TIMES = ("seconds", "images_per_second")


def config(**settings: Any) -> Config:
    return Config.parse({"batch_size": 16, "epochs": 3, "precision": "fp32", "width": 0.1, **settings})


CONFIGS = [
    config(augmentation=AUGMENTATION, dropout=0.3, seed=1),
    config(augmentation=AUGMENTATION, dropout=0.3, seed=2),
    config(model="dnn", threads=2, optimizer="sgd", schedule="cosine", seed=2),
    config(epochs=1, seed=4),
]


def training(of: Config, steps: int = 1) -> Callable[[State | None], Turns]:
    return lambda state: turns(of, DATA, state, attachments=Attachments(), steps=steps)


def numbers(epoch: Epoch) -> dict[str, Any]:
    row = {name: value for name, value in epoch.row.items() if name not in TIMES}
    return {**row, **{name: values.tolist() for name, values in epoch.probabilities.items()}}


def alone(of: Config) -> list[dict[str, Any]]:
    return [numbers(epoch) for epoch in fit(of, DATA)]


@pytest.fixture
def pack() -> Iterator[Pack]:
    with Pack() as made:
        yield made


def got(future: Future[Any]) -> Any:
    return future.result(timeout=60)


def to_the_end(seats: list[Any]) -> list[list[dict[str, Any]]]:
    """The numbers of all epochs of each, of which all work at the same time."""
    found: list[list[dict[str, Any]]] = [[] for _ in seats]
    waited = {number: seat.epoch() for number, seat in enumerate(seats)}
    while waited:
        for number, future in list(waited.items()):
            epoch = got(future)
            if epoch is None:
                del waited[number]
            else:
                found[number].append(numbers(epoch))
                waited[number] = seats[number].epoch()
    return found


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_packed_trainings_have_the_numbers_that_each_has_alone(pack: Pack, steps: int) -> None:
    seats = [pack.add(training(one, steps=steps)) for one in CONFIGS]
    assert to_the_end(seats) == [alone(one) for one in CONFIGS]


def test_trainings_come_and_go_while_others_are_at_work(pack: Pack) -> None:
    first = pack.add(training(CONFIGS[0]))
    epochs = [numbers(got(first.epoch()))]
    stopped = pack.add(training(CONFIGS[1]))
    got(stopped.epoch())
    left = stopped.epoch()
    epochs.append(numbers(got(first.epoch())))
    got(stopped.close())
    assert left.result(timeout=0) is None or isinstance(left.result(), Epoch)
    assert got(stopped.epoch()) is None
    later = pack.add(training(CONFIGS[3]))
    waited, third = later.epoch(), first.epoch()
    assert [numbers(got(waited))] == alone(CONFIGS[3])
    assert [*epochs, numbers(got(third))] == alone(CONFIGS[0])
    assert got(first.epoch()) is None


def test_a_training_rests_until_it_is_asked_for_its_next_epoch_and_can_tell_its_state(pack: Pack) -> None:
    seat = pack.add(training(CONFIGS[0]))
    first = got(seat.epoch())
    others = [pack.add(training(one)) for one in CONFIGS[1:]]
    to_the_end(others)
    state = dump_state(got(seat.state()))
    further = pack.add(training(CONFIGS[0]), resume=load_state(state))
    assert [numbers(first), *to_the_end([further])[0]] == alone(CONFIGS[0])
    assert to_the_end([seat])[0] == alone(CONFIGS[0])[1:]


@pytest.mark.parametrize("fault", [ValueError("bad luck"), SystemExit(3)])
def test_what_one_raises_ends_it_alone(pack: Pack, fault: BaseException) -> None:
    def unlucky(state: State | None) -> Turns:
        yield Pause.WORKED
        raise fault

    seats = [pack.add(training(CONFIGS[0])), pack.add(training(CONFIGS[1]))]
    failing = pack.add(unlucky)
    waited = failing.epoch()
    assert to_the_end(seats) == [alone(one) for one in CONFIGS[:2]]
    assert waited.exception(timeout=60) is fault
    assert got(failing.epoch()) is None


@pytest.mark.parametrize("how", ["raises", "is closed", "ends"])
def test_a_training_that_has_ended_holds_no_memory(pack: Pack, how: str) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    class Holder:
        """Knows itself, as the parts of a training know each other."""

        def __init__(self) -> None:
            self.myself = self
            self.tensor = torch.zeros(10)
            held.append(weakref.ref(self.tensor))

    has_begun = threading.Event()

    def holding(state: State | None) -> Turns:
        holder = Holder()
        has_begun.set()
        yield Pause.WORKED
        if how == "raises":
            raise ValueError(f"{len(holder.tensor)} numbers are too many")
        while how == "is closed":
            yield Pause.WORKED

    gc.disable()
    try:
        seat = pack.add(holding)
        epoch = seat.epoch()
        if how == "is closed":
            assert has_begun.wait(60)
            got(seat.close())
        error = epoch.exception(timeout=60)
        assert isinstance(error, ValueError) == (how == "raises")
        assert [one() for one in held] == [None]
    finally:
        gc.enable()


def test_turns_go_round_robin(pack: Pack) -> None:
    pack.capacity.footprints[None] = 0
    order: list[int] = []
    everyone_is_there = threading.Event()

    def noting(number: int) -> Turns:
        everyone_is_there.wait()
        for _ in range(4):
            order.append(number)
            yield Pause.WORKED

    epochs = [pack.add(lambda state, number=number: noting(number)).epoch() for number in range(3)]
    everyone_is_there.set()
    assert [got(epoch) for epoch in epochs] == [None] * 3
    assert order in ([0, 1, 2] * 4, [0, *[0, 1, 2] * 3, 1, 2], [0, 1, *[0, 1, 2] * 3, 2]), "as many as were there at first, then all"


def test_a_pack_that_waits_for_a_device_leaves_the_processor_alone(pack: Pack) -> None:
    is_there = threading.Event()

    def waiting(state: State | None) -> Turns:
        while not is_there.is_set():
            yield Pause.WAITS

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    epochs = [pack.add(waiting).epoch() for _ in range(3)]
    before = spent()
    time.sleep(0.5)
    assert spent() - before < 0.35
    is_there.set()
    assert [got(epoch) for epoch in epochs] == [None] * 3


def test_an_epoch_is_asked_for_once_at_a_time(pack: Pack) -> None:
    seat = pack.add(training(CONFIGS[0]))
    first, second = seat.epoch(), seat.epoch()
    assert isinstance(second.exception(timeout=60), RuntimeError)
    assert numbers(got(first)) == alone(CONFIGS[0])[0]


def test_closing_a_pack_ends_what_it_has(pack: Pack) -> None:
    running, resting = pack.add(training(config(epochs=10_000))), pack.add(training(CONFIGS[0]))
    got(resting.epoch())
    epoch = running.epoch()
    pack.close()
    assert epoch.result(timeout=0) is None or isinstance(epoch.result(), Epoch)
    assert resting.epoch().cancelled()


@pytest.mark.parametrize(
    "fault", [torch.OutOfMemoryError("no memory"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_training_without_memory_goes_on_from_its_last_state_once_others_have_ended(pack: Pack, fault: BaseException) -> None:
    others = [pack.add(training(one)) for one in CONFIGS[:2]]
    begun: list[int | None] = []

    def crowded(state: State | None) -> Turns:
        begun.append(state["epoch"] if state else None)
        for epoch in training(CONFIGS[2])(state):
            is_late = isinstance(epoch, Epoch) and epoch.row["epoch"] == 3
            if is_late and any(not other.has_ended for other in others):
                raise fault
            yield epoch

    seat = pack.add(crowded)
    found = [numbers(got(seat.epoch()))]
    got(seat.state())
    first = [numbers(got(other.epoch())) for other in others]
    found.append(numbers(got(seat.epoch())))
    waited = seat.epoch()
    rest = to_the_end(others)
    assert [[one, *further] for one, further in zip(first, rest, strict=True)] == [alone(one) for one in CONFIGS[:2]]
    assert [*found, numbers(got(waited))] == alone(CONFIGS[2])
    assert begun[0] is None
    assert set(begun[1:]) == {1}, "the second epoch, which was handed out, is trained again and not handed out again"
    assert got(seat.epoch()) is None


def test_a_training_that_does_not_fit_alone_fails_with_what_to_do(pack: Pack) -> None:
    def greedy(state: State | None) -> Turns:
        yield Pause.WORKED
        raise torch.OutOfMemoryError("tried to allocate 1 TiB")

    error = pack.add(greedy).epoch().exception(timeout=60)
    assert isinstance(error, ResourceError)
    assert "does not fit into the device's memory, with no other beside it; give it a smaller batch_size" in str(error)


def test_seconds_are_shares_of_the_time_of_the_pack(pack: Pack) -> None:
    def slow(state: State | None) -> Turns:
        epochs = training(config(epochs=1))(state)
        for epoch in epochs:
            time.sleep(0.01)
            yield epoch

    began = time.perf_counter()
    waited = [pack.add(slow, kind=number).epoch() for number in range(3)]
    seconds = [got(one).row["seconds"] for one in waited]
    assert 0 < sum(seconds) <= time.perf_counter() - began


def test_errors_of_freeing_memory_neither_hide_what_was_raised_nor_end_the_others(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("cannot free")

    monkeypatch.setattr(module, "release_memory", fails)

    def begun(state: State | None) -> Turns:
        yield Pause.WORKED
        raise ValueError("of the training")

    failing, other = pack.add(begun), pack.add(training(CONFIGS[3]))
    with pytest.raises(ValueError, match="of the training"):
        got(failing.epoch())
    assert numbers(got(other.epoch())) == alone(CONFIGS[3])[0]


@pytest.mark.parametrize("of", ["a training", "the pack"])
def test_where_the_device_fails_all_are_told_instead_of_waiting_for_ever(monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    error = torch.AcceleratorError("CUDA error: device-side assert triggered")
    told = threading.Event()

    def begun(state: State | None) -> Turns:
        yield Pause.WORKED
        if of == "a training":
            raise error
        while True:
            yield Pause.WORKED

    with Pack(broken=told.set) as pack:
        resting = pack.add(training(CONFIGS[0]))
        got(resting.epoch())
        if of == "the pack":

            def admits(kind: object) -> bool:
                raise error

            monkeypatch.setattr(pack.capacity, "admits", admits)
        failing = pack.add(begun).epoch()
        with pytest.raises(torch.AcceleratorError):
            got(failing)
        assert told.wait(10)
        with pytest.raises(CancelledError):
            got(resting.epoch())
