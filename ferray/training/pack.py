"""Many trainings in one process that have their turns one after the other, so that together they keep a device at work."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import Future
from typing import TypeVar

import torch

from ferray.errors import ResourceError
from ferray.training.capacity import Capacity, is_broken, memory, no_memory
from ferray.training.epoch import Epoch, Pause
from ferray.training.state import State

Turns = Generator[Epoch | Pause]
"""A training that gives way: see ferray.training.epochs.turns."""
Value = TypeVar("Value")
REST = 2e-4
"""Seconds between two looks at a GPU that has been given all there is to do: far less than an epoch, and enough to leave a core alone."""


class Pack:
    """Gives turns to its trainings, round robin, in a thread of its own; a training works when it is asked for an epoch.

        with Pack() as pack:
            begins = [lambda state, one=one: turns(one, data, state, attachments=Attachments(), steps=4) for one in configs]
            seats = [pack.add(begin, kind="cnn") for begin in begins]
            epochs = [seat.epoch() for seat in seats]  # futures; all of them train now, as far as there is memory
            rows = [epoch.result().row for epoch in epochs]
            checkpoint = dump_state(seats[0].state().result())
            seats[0].close().result()                  # stopped early; its memory is free

    All methods may be called from any thread at any time, and return at once. All that touches a training happens in the pack's thread,
    so that it is at rest meanwhile. What a training raises ends that training alone. The numbers of each are those that it has alone,
    but for ``seconds``, which are its share of the pack's time.

    A training begins when the ``capacity`` admits it, in the order in which first epochs were asked for. One that finds no memory is
    begun anew from its last known state once others have ended; that it does not fit alone is a ResourceError.
    """

    def __init__(self, capacity: Capacity | None = None, broken: Callable[[], None] | None = None) -> None:
        """``broken`` is called in the pack's thread where the GPU, or the pack itself, has failed, and no training can go on here.

        Without it, or where it returns, all of them end with that error.
        """
        self.capacity = capacity or Capacity(None, memory(of_gpu=torch.cuda.is_available()))
        self._broken = broken
        self._changed = threading.Condition()
        self._calls: deque[Callable[[], None]] = deque()
        self._seats: list[Seat] = []  # the pack's thread alone changes it
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="pack", daemon=True)
        self._thread.start()

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(self, begin: Callable[[State | None], Turns], *, kind: Hashable = None, resume: State | None = None) -> Seat:
        """Takes in a training, which ``begin`` makes from a state, or from the beginning, in the pack's thread.

        ``kind`` is common to trainings that take the same memory. The first state is ``resume``.
        """
        seat = Seat(self, begin, kind, resume)
        self.do(lambda: self._seats.append(seat))
        return seat

    def do(self, function: Callable[[], Value]) -> Future[Value]:
        """Calls a function in the pack's thread between two rounds of turns. The future of a pack that is closed is cancelled."""
        future: Future[Value] = Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 - who waits for it is told
                    future.set_exception(_bare(error))

        with self._changed:
            if self._is_closing:
                future.cancel()
            else:
                self._calls.append(call)
                self._changed.notify()
        return future

    def close(self) -> None:
        """Ends all trainings, and returns once they have ended; epochs that were asked for are None then."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._give_turns()
        except BaseException as error:  # noqa: BLE001 - whoever waits for an epoch would wait for ever
            self.give_up(error)
        for seat in self._seats:
            seat.end()
        self._seats = []

    def give_up(self, error: BaseException) -> None:
        """Nothing works any more, in the pack's thread."""
        if self._broken is not None:
            self._broken()
        with self._changed:
            self._is_closing = True
            calls, self._calls = self._calls, deque()
        for call in calls:
            call()
        for seat in self._seats:
            seat.end(error)

    def _give_turns(self) -> None:
        is_idle = True  # as long as nobody has asked for an epoch
        while True:
            with self._changed:
                while is_idle and not (self._calls or self._is_closing):
                    self._changed.wait()
                calls, self._calls = self._calls, deque()
                is_closing = self._is_closing
            for call in calls:
                call()
            if is_closing:
                break
            began = time.perf_counter()
            asked = [seat for seat in self._seats if seat.is_asked]
            running = [seat for seat in asked if seat.is_admitted or self._admitted(seat, asked)]
            works = [seat.turn() for seat in running]
            self._seats = [seat for seat in self._seats if not seat.has_ended]
            is_idle = not running  # who is not admitted waits for others, of whom something will be heard first
            if running and not any(works):
                with self._changed:
                    if not self._calls:
                        self._changed.wait(REST)
            for seat in running:
                seat.seconds += (time.perf_counter() - began) / len(running)
                seat.hand_out()

    def _admitted(self, seat: Seat, asked: list[Seat]) -> bool:
        """Whether a training may begin now, which it then does; none before those that asked earlier."""
        first = next(one for one in asked if not one.is_admitted)
        if first is not seat or not self.capacity.admits(seat.kind):
            return False
        self.capacity.enter(seat, seat.kind)
        seat.is_admitted = True
        return True


class Seat:
    """One training of a pack."""

    def __init__(self, pack: Pack, begin: Callable[[State | None], Turns], kind: Hashable, resume: State | None) -> None:
        self.kind = kind
        self.seconds = 0.0  # of the pack's time, since the last epoch
        self.is_admitted = False
        self.has_ended = False
        self._pack = pack
        self._begin = begin
        self._turns: Turns | None = None
        self._state = resume
        self._epochs = 0  # the last that was handed out
        self._last: Epoch | None = None
        self._is_new = False  # and not handed out yet
        self._asked: Future[Epoch | None] | None = None

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for an epoch; the pack's thread alone reads it."""
        return self._asked is not None

    def epoch(self) -> Future[Epoch | None]:
        """Asks for the next epoch: None where the training has ended or was closed, or what it raises, which ends it.

        To be called again once the epoch before is there; until then the training rests, and keeps its memory.
        """
        future: Future[Epoch | None] = Future()

        def ask() -> None:
            if self._asked is not None:
                raise RuntimeError("the epoch before has not ended yet")
            future.set_running_or_notify_cancel()
            if self.has_ended:
                future.set_result(None)
            else:
                self._asked = future

        def answer(asked: Future[None]) -> None:
            if asked.cancelled():
                future.cancel()
            elif (error := asked.exception()) is not None:
                future.set_exception(error)

        self._pack.do(ask).add_done_callback(answer)
        return future

    def do(self, function: Callable[[Epoch], Value]) -> Future[Value]:
        """Calls a function with the last epoch, in the pack's thread."""

        def call() -> Value:
            if self._last is None:
                raise RuntimeError("the training has no epoch yet, or has ended")
            return function(self._last)

        return self._pack.do(call)

    def state(self) -> Future[State]:
        """What the training goes on from after its last epoch: also here, where it should find no memory."""

        def take(epoch: Epoch) -> State:
            self._state = epoch.state()
            return self._state

        return self.do(take)

    def close(self) -> Future[None]:
        """Ends the training, in the middle of an epoch too, and frees what it holds. An epoch that was asked for is None then."""

        def close() -> None:
            if self.has_ended:
                release_memory()  # of one that ended by itself, its last epoch may have been kept until now
            self.end()

        return self._pack.do(close)

    def turn(self) -> bool:
        """Lets the training work, in the pack's thread; whether it did, and not only wait for a GPU."""
        try:
            if self._turns is None:
                self._turns = self._begin(self._state)
            self._last = None  # whose state would not be its own any more
            told = next(self._turns, None)
        except BaseException as error:  # noqa: BLE001 - a training that fails in any way leaves the others alone
            self._fail(_bare(error))
            return True
        if isinstance(told, Pause):
            return told is Pause.WORKED
        if told is None:
            self.end()
            return True
        self._pack.capacity.settle(self)
        self._last = told
        if told.row["epoch"] > self._epochs:  # those before were handed out already
            self._epochs = int(told.row["epoch"])
            self._is_new = True
        return True

    def hand_out(self) -> None:
        """Gives an epoch that has just ended to who asked for it, in the pack's thread."""
        if self._is_new and self._last is not None:
            self._last.row["seconds"], self.seconds = self.seconds, 0.0
            self._answer(self._last)
        self._is_new = False

    def end(self, error: BaseException | None = None) -> None:
        """Ends the training, in the pack's thread."""
        if not self.has_ended:
            self.has_ended = True
            self._answer(None, error)
            self._leave()
            self._pack.capacity.leave(self)

    def _fail(self, error: BaseException) -> None:
        """Ends the training with an error, or lets it wait for more memory."""
        if is_broken(error):
            self._pack.give_up(error)
            return
        if not no_memory(error):
            self.end(error)
            return
        self._leave()
        if self._pack.capacity.overflow(self):
            self.is_admitted = False
            return
        told = "the training does not fit into the device's memory, with no other beside it"
        refused = ResourceError(f"{told}; give it a smaller batch_size or network ({error})")
        refused.__cause__ = error
        self.end(refused)

    def _leave(self) -> None:
        """Frees what the training holds."""
        turns, self._turns, self._last = self._turns, None, None
        if turns is not None:
            with contextlib.suppress(Exception):  # a GPU that has failed says so again
                turns.close()
            del turns
            with contextlib.suppress(Exception):
                release_memory()

    def _answer(self, epoch: Epoch | None, error: BaseException | None = None) -> None:
        asked, self._asked = self._asked, None
        if asked is None:
            return
        if error is None:
            asked.set_result(epoch)
        else:
            asked.set_exception(error)


def release_memory() -> None:
    """Gives back what trainings that have ended had; their parts know each other, so that counting references does not free them."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()  # recorded graphs had memory of their own, which no others could take


def _bare(error: BaseException) -> BaseException:
    """The error without what its frames hold, such as all tensors of a training that found no memory; where it was stays."""
    one: BaseException | None = error
    while one is not None:
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__
    return error
