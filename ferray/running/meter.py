"""What a study has spent of its budget, counted while it runs, and when that is all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ferray.errors import LedgerError
from ferray.ledger import Ledger

if TYPE_CHECKING:
    from ferray.study import Study

OUT_OF_BUDGET = "out of budget"
"""The last word of a trial that the budget stopped, or kept from beginning; the ledger has it as interrupted."""


class Purse(Protocol):
    """What a trial asks of a meter."""

    def is_empty(self) -> bool:
        """Whether the budget is spent, so that nothing more may begin."""

    def pay(self, seconds: float) -> bool:
        """Counts an epoch; whether the budget is spent now."""


class Meter:
    """Seconds spent of a cap: those of a clock, or what epochs take times what each trial occupies (``rate``)."""

    def __init__(self, cap: float, *, rate: float | None, spent: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """``cap`` and ``spent`` are in seconds of one GPU, processor or clock; a ``rate`` of None goes by the clock."""
        self.cap = cap
        self.rate = rate
        self._paid = spent
        self._clock = clock
        self._began = clock()

    @classmethod
    def of(cls, study: Study, ledger: Ledger, keys: Iterable[str]) -> Meter | None:
        """The meter of a study with what its trials have spent so far; None without a budget."""
        if study.budget is None:
            return None
        rate = rate_of(study)
        spent = 0.0 if rate is None else rate * recorded_seconds(ledger, keys)
        return cls(3600 * study.budget.amount, rate=rate, spent=spent)

    @property
    def spent(self) -> float:
        """Seconds spent so far."""
        return self._paid + (self._clock() - self._began if self.rate is None else 0.0)

    def is_empty(self) -> bool:
        """Whether the budget is spent, so that nothing more may begin."""
        return self.spent >= self.cap

    def paid_so_far(self) -> float:
        """Seconds that epochs have cost, those before among them."""
        return self._paid

    def paid(self, seconds: float) -> None:
        """Takes over what another meter of the same budget has counted."""
        self._paid = seconds

    def pay(self, seconds: float) -> bool:
        """Counts an epoch that took so many seconds; whether the budget is spent now."""
        self._paid += seconds * (self.rate or 0.0)
        return self.is_empty()


class ActorMeter:
    """A purse that is a Meter in a Ray actor, which all trials pay into."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def is_empty(self) -> bool:
        """Whether the budget is spent."""
        return self._call("is_empty")

    def pay(self, seconds: float) -> bool:
        """Counts an epoch; whether the budget is spent now."""
        return self._call("pay", seconds)

    def _call(self, method: str, *arguments: Any) -> bool:
        import ray

        return bool(ray.get(getattr(self._actor, method).remote(*arguments)))


def rate_of(study: Study) -> float | None:
    """GPUs or processors that each trial's process occupies, whichever the budget counts; None where it goes by the clock."""
    unit = study.budget.unit if study.budget else None
    return {"gpu_hours": study.packing.gpus, "processor_hours": study.processors}.get(unit or "")


def recorded_seconds(ledger: Ledger, keys: Iterable[str]) -> float:
    """What the epochs of these trials took that are in the ledger; a trial whose epochs cannot be read counts nothing."""
    total = 0.0
    for key in keys:
        try:
            total += sum(float(row["seconds"]) for row in ledger.epochs(key))
        except (LedgerError, KeyError, TypeError):
            continue
    return total
