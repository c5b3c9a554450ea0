"""A trial's epochs out of a process that trains many: a source that loads no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ferray.errors import LedgerError
from ferray.running.source import TrainingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ferray.running.host import Results, Told
    from ferray.running.source import Result
    from ferray.trial import Trial


class HostDiedError(RuntimeError):
    """The process that trained this trial, and others, has died; the trial goes on in another one."""


class Lease:
    """A seat in a Host, from the first question on until it is closed."""

    def __init__(self, trial: Trial, broker: Any, *, keep_weights: bool) -> None:
        """``broker`` is a Broker as a Ray actor."""
        self._trial, self._broker, self._keep_weights = trial, broker, keep_weights
        self._number: int | None = None
        self.is_alone = False
        """Whether no other trial has a seat in the same process."""
        self._host: Any = None

    @property
    def is_known(self) -> bool:
        """Whether it was leased a seat, and not only asked for one."""
        return self._number is not None

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the seat back, which ends the training; the process that is to run the next trial need not wait for that."""
        if self._number is not None:
            self._broker.end.remote(self._number)

    def environment(self) -> Mapping[str, Any]:
        """The host's."""
        import ray

        try:
            leased = ray.get(self._broker.lease.remote(self._trial.key))
        except ray.exceptions.RayTaskError as error:
            raise LedgerError(str(error.cause)) from None  # no trial is at fault, and none is recorded as failed
        if leased is None:
            raise HostDiedError("this trial has begun elsewhere")
        self._number, self._host, self.is_alone = leased
        told: Mapping[str, Any] = self._call("environment", self._trial.config)
        return told

    def epochs(self, checkpoint: bytes | None) -> Iterator[Result]:
        """What the host trains."""
        self.ask("begin", self._trial, checkpoint, keep_weights=self._keep_weights)
        while (told := self.ask("epoch")) is not None:
            if told.failure is not None:
                raise TrainingError(told.failure)
            yield Leased(self, told)

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What the host says to a question about this lease. Raises HostDiedError."""
        return self._call(method, self._number, *arguments, **options)

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        import ray

        try:
            return ray.get(getattr(self._host, method).remote(*arguments, **options))
        except (ray.exceptions.RayActorError, ray.exceptions.ActorUnschedulableError) as error:  # the latter where its node is gone
            ray.get(self._broker.lost.remote(self._number))
            told = str(error).strip().splitlines()[0]
            raise HostDiedError(f"the process that packs this trial with others has died: {told}") from None


class Leased:
    """An epoch that a host has: what is more than its row is fetched when it is asked for."""

    def __init__(self, lease: Lease, told: Told) -> None:
        self._lease = lease
        self.row = told.row or {}
        self.is_diverged = told.is_diverged

    def checkpoint(self) -> bytes:
        """What the training goes on from."""
        content: bytes = self._lease.ask("checkpoint")
        return content

    def summary(self) -> dict[str, Any]:
        """Of the training up to here."""
        return self._results[0][0]

    def predictions(self) -> dict[str, NDArray[np.float32]]:
        """Class probabilities by split and epoch."""
        return self._results[0][1]

    def weights(self) -> bytes | None:
        """The selected epoch's, where they were kept."""
        return self._results[0][2]

    def seen(self) -> Mapping[str, Any]:
        """The memory that trainings of its kind take, in bytes."""
        return self._results[1]

    @cached_property
    def _results(self) -> tuple[Results, Mapping[str, Any]]:
        found: tuple[Results, Mapping[str, Any]] = self._lease.ask("results")
        return found
