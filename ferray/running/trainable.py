"""The one bridge between training and the ledger: a trial as a visible loop, and as a function that Ray Tune runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from ferray.errors import LedgerError
from ferray.running.lease import HostDiedError, Lease
from ferray.running.meter import OUT_OF_BUDGET, ActorMeter
from ferray.running.source import Here, TrainingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ferray.data import Dataset
    from ferray.ledger.writer import Begun
    from ferray.running.meter import Purse
    from ferray.running.source import Result, Source
    from ferray.trial import Trial

STORAGE_FAILED = "storage failed"
"""The last word of a trial whose record could not be written, which says nothing about the trial."""
CHECKPOINT_SHARE = 0.05
"""Of a trial's time, at most this much goes into checkpoints; slow epochs therefore each leave one."""


class Writer(Protocol):
    """What a trial asks of the ledger; see ferray.ledger.writer.LedgerWriter."""

    def begin(
        self, key: str, identity: Mapping[str, Any], rule: Mapping[str, Any] | None = None, environment: Mapping[str, Any] | None = None
    ) -> Begun:
        """Asks for the right to write."""

    def append(self, key: str, attempt: int, row: Mapping[str, Any], checkpoint: bytes | None = None) -> None:
        """Adds an epoch."""

    def finish(
        self,
        key: str,
        attempt: int,
        summary: Mapping[str, Any],
        predictions: Mapping[str, NDArray[np.float32]] | None = None,
        weights: bytes | None = None,
    ) -> None:
        """Closes the trial."""

    def stop(self, key: str, stopped: Mapping[str, Any]) -> None:
        """Closes a trial that a scheduler has stopped."""

    def release(self, key: str, attempt: int) -> None:
        """Leaves the trial as it is."""


class ActorWriter:
    """A Writer whose work is done by a LedgerWriter in a Ray actor, on the machine that drives."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def begin(
        self, key: str, identity: Mapping[str, Any], rule: Mapping[str, Any] | None = None, environment: Mapping[str, Any] | None = None
    ) -> Begun:
        """Asks for the right to write."""
        begun: Begun = self._call("begin", key, identity, rule, environment)
        return begun

    def append(self, key: str, attempt: int, row: Mapping[str, Any], checkpoint: bytes | None = None) -> None:
        """Adds an epoch; returns once it is on disk."""
        self._call("append", key, attempt, row, checkpoint)

    def finish(
        self,
        key: str,
        attempt: int,
        summary: Mapping[str, Any],
        predictions: Mapping[str, NDArray[np.float32]] | None = None,
        weights: bytes | None = None,
    ) -> None:
        """Closes the trial; returns once its record is on disk."""
        self._call("finish", key, attempt, summary, predictions, weights)

    def stop(self, key: str, stopped: Mapping[str, Any]) -> None:
        """Records that a scheduler has stopped the trial; returns once its record is on disk."""
        self._call("stop", key, stopped)

    def release(self, key: str, attempt: int) -> None:
        """Leaves the trial as it is."""
        self._call("release", key, attempt)

    def _call(self, method: str, *arguments: Any) -> Any:
        import ray

        try:
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, LedgerError) else error) from None
        except ray.exceptions.RayActorError as error:
            raise LedgerError(f"the ledger's writer has died: {error}") from None


def run_trial(
    trial: Trial,
    data: Dataset,
    writer: Writer,
    report: Callable[[dict[str, Any]], None],
    *,
    keep_weights: bool = False,
    purse: Purse | None = None,
) -> str:
    """Trains one trial into the ledger, from where it was left; returns its status, or ``busy`` where another driver runs it.

    ``report`` is called with each epoch's row. ``keep_weights`` hands those of the selected epoch to the ledger. ``purse`` pays for each
    epoch; once it is empty the trial does not begin, or leaves a checkpoint at the end of its epoch, and is OUT_OF_BUDGET. What the
    training raises is recorded as a failure; what the ledger or ``report`` raises is not, since it says nothing about the trial.
    """
    return run_from(Here(trial, data, keep_weights=keep_weights), trial, writer, report, purse=purse)


def run_from(source: Source, trial: Trial, writer: Writer, report: Callable[[dict[str, Any]], None], *, purse: Purse | None = None) -> str:
    """The same, wherever the trial's epochs come from."""
    if purse is not None and purse.is_empty():
        return OUT_OF_BUDGET
    machine = source.environment()  # before training: the code may be edited meanwhile
    begun = writer.begin(trial.key, trial.identity, trial.rule, machine)
    if begun.outcome != "run":
        return begun.outcome
    try:
        try:
            last = _train(source, trial, writer, begun, report, purse)
            if last is None:
                return OUT_OF_BUDGET
        except TrainingError as failure:
            summary: dict[str, Any] = {"status": "failed", "selected_epoch": None, "parameters": None, "error": failure.told}
            predictions, weights = None, None
        else:
            summary = {"status": "diverged" if last.is_diverged else "finished", **last.summary(), "error": None}
            predictions, weights, machine = last.predictions(), last.weights(), {**machine, **last.seen()}
        writer.finish(trial.key, begun.attempt, {**summary, "environment": machine}, predictions, weights)
        return str(summary["status"])
    finally:
        writer.release(trial.key, begun.attempt)


def _train(
    source: Source, trial: Trial, writer: Writer, begun: Begun, report: Callable[[dict[str, Any]], None], purse: Purse | None
) -> Result | None:
    """Trains to the last epoch; None where the purse was empty before."""
    saved = time.monotonic()
    cost = 0.0
    for epoch in source.epochs(begun.checkpoint):
        is_last = epoch.is_diverged or epoch.row["epoch"] == trial.config.epochs
        is_spent = purse is not None and purse.pay(epoch.row["seconds"]) and not is_last
        checkpoint = None
        began = time.monotonic()
        if is_spent or (not is_last and cost <= CHECKPOINT_SHARE * (began - saved)):
            checkpoint = epoch.checkpoint()
        writer.append(trial.key, begun.attempt, epoch.row, checkpoint)
        if checkpoint is not None:
            saved = time.monotonic()
            cost = saved - began
        report(epoch.row)
        if is_spent:
            return None
    return epoch


@dataclass(frozen=True)
class Shared:
    """What all trials of an experiment have in common."""

    trials: Mapping[str, Trial]
    data: Dataset | None
    """None where others train."""
    writer: Any
    """A LedgerWriter as a Ray actor."""
    keep_weights: bool
    meter: Any
    """A Meter as a Ray actor, or None without a budget."""
    broker: Any = None
    """A Broker as a Ray actor, or None where each trial trains by itself."""


@lru_cache(maxsize=1)
def _fetched(shared: Any) -> Shared:
    """Once in each process, and not for each trial: of a thousand trials, one that does nothing would mostly unpack the others."""
    import ray

    fetched: Shared = ray.get(shared)
    return fetched


def tune_trial(parameters: dict[str, Any], shared: Sequence[Any]) -> None:
    """A trial as a function for ray.tune: ``parameters["trial"]["key"]`` says which one.

    ``shared`` holds the reference to a Shared, inside a list, since Tune would fetch it otherwise.
    """
    from ray import tune

    from ferray.ledger.writer import StaleAttemptError

    given = _fetched(shared[0])
    trial = given.trials[parameters["trial"]["key"]]
    reported = False

    def report(row: dict[str, Any]) -> None:
        nonlocal reported
        reported = True
        tune.report({**row, "status": "running"})

    try:
        purse = None if given.meter is None else ActorMeter(given.meter)
        writer = ActorWriter(given.writer)
        if given.data is not None:
            status = run_trial(trial, given.data, writer, report, keep_weights=given.keep_weights, purse=purse)
        else:
            status = _run_leased(trial, given, writer, report, purse)
    except StaleAttemptError:
        raise
    except LedgerError as error:
        # Not raised, since Tune would begin the trial anew, and then all others, on storage that cannot be written.
        tune.report({"status": STORAGE_FAILED, "error": str(error)})
        return
    if not reported or status != "finished":
        tune.report({"status": status})  # Tune wants a last word of every trial


def _run_leased(trial: Trial, given: Shared, writer: Writer, report: Callable[[dict[str, Any]], None], purse: Purse | None) -> str:
    """Runs a trial on a leased seat, and on another one where the process dies that it shares with others.

    Such a death says nothing about this trial. The broker leases a seat to itself to a trial that has met it too often, and only then
    Tune counts it.
    """
    lost: dict[str, str] = {}

    def tell(row: dict[str, Any]) -> None:
        report({**row, **lost})
        lost.clear()

    while True:
        with Lease(trial, given.broker, keep_weights=given.keep_weights) as lease:
            try:
                return run_from(lease, trial, writer, tell, purse=purse)
            except HostDiedError as error:
                if lease.is_alone or not lease.is_known:
                    raise
                lost["lost"] = str(error)
