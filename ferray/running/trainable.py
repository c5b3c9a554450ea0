"""The one bridge between training and the ledger: a trial as a visible loop, and as a function that Ray Tune runs."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from ferray import environment
from ferray.errors import LedgerError
from ferray.running.meter import OUT_OF_BUDGET, ActorMeter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ferray.config import Config
    from ferray.data import Dataset
    from ferray.ledger.writer import Begun
    from ferray.running.meter import Purse
    from ferray.training import Epoch
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


class TrainingError(Exception):
    """What the training itself raised, as opposed to the ledger or Tune; its cause tells it."""


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
    if purse is not None and purse.is_empty():
        return OUT_OF_BUDGET
    machine = {**environment.describe(), **_settings(trial.config)}  # before training: the code may be edited meanwhile
    begun = writer.begin(trial.key, trial.identity, trial.rule, machine)
    if begun.outcome != "run":
        return begun.outcome
    try:
        try:
            epoch = _train(trial, data, writer, begun, report, keep_weights=keep_weights, purse=purse)
        except TrainingError as failure:
            summary: dict[str, Any] = {"status": "failed", "selected_epoch": None, "parameters": None, "error": _told(failure)}
            predictions, weights = None, None
        else:
            if epoch is None:
                return OUT_OF_BUDGET
            summary = {
                "status": "diverged" if epoch.diverged else "finished",
                "selected_epoch": epoch.selected_epoch or None,
                "parameters": epoch.parameters,
                "error": None,
                **({} if epoch.pretrained is None else {"pretrained": epoch.pretrained}),
            }
            predictions, weights = _predictions(epoch), _weights(epoch)
        writer.finish(trial.key, begun.attempt, {**summary, "environment": machine}, predictions, weights)
        return str(summary["status"])
    finally:
        writer.release(trial.key, begun.attempt)


def _train(
    trial: Trial,
    data: Dataset,
    writer: Writer,
    begun: Begun,
    report: Callable[[dict[str, Any]], None],
    *,
    keep_weights: bool,
    purse: Purse | None,
) -> Epoch | None:
    """Trains to the last epoch; None where the purse was empty before."""
    from ferray.training.state import dump_state

    saved = time.monotonic()
    cost = 0.0
    for epoch in _epochs(trial, data, begun.checkpoint, keep_weights=keep_weights):
        is_last = epoch.diverged or epoch.row["epoch"] == trial.config.epochs
        is_spent = purse is not None and purse.pay(epoch.row["seconds"]) and not is_last
        checkpoint = None
        began = time.monotonic()
        if is_spent or (not is_last and cost <= CHECKPOINT_SHARE * (began - saved)):
            checkpoint = dump_state(epoch.state())
        writer.append(trial.key, begun.attempt, epoch.row, checkpoint)
        if checkpoint is not None:
            saved = time.monotonic()
            cost = saved - began
        report(epoch.row)
        if is_spent:
            return None
    return epoch


def _epochs(trial: Trial, data: Dataset, checkpoint: bytes | None, *, keep_weights: bool) -> Iterator[Epoch]:
    from ferray.training import fit
    from ferray.training.state import load_state

    try:
        state = None if checkpoint is None else load_state(checkpoint)
        yield from fit(trial.config, data, state, attachments=trial.attachments, keep_weights=keep_weights)
    except Exception as fault:
        raise TrainingError from fault


def _told(failure: TrainingError) -> dict[str, str]:
    fault = failure.__cause__
    return {"type": type(fault).__name__, "message": str(fault), "traceback": "".join(traceback.format_exception(fault))}


def _predictions(epoch: Epoch) -> dict[str, NDArray[np.float32]]:
    selected = {f"{split}_selected": values for split, values in epoch.selected_probabilities.items()}
    return {**selected, **{f"{split}_last": values for split, values in epoch.probabilities.items()}}


def _weights(epoch: Epoch) -> bytes | None:
    """The selected epoch's weights as the content of a safetensors file, where they were kept."""
    if not epoch.selected_weights:
        return None
    from safetensors.torch import save

    return save({name: value.contiguous() for name, value in epoch.selected_weights.items()})


def _settings(config: Config) -> dict[str, Any]:
    """What the machine was asked for; on a GPU also which one it was."""
    import torch

    settings: dict[str, Any] = {"device": config.device, "precision": config.precision, "threads": config.threads}
    if config.device == "cuda":
        settings["visible_gpus"] = os.environ.get("CUDA_VISIBLE_DEVICES")
        settings["cuda"] = torch.version.cuda
        settings["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return settings


@dataclass(frozen=True)
class Shared:
    """What all trials of an experiment have in common."""

    trials: Mapping[str, Trial]
    data: Dataset
    writer: Any
    """A LedgerWriter as a Ray actor."""
    keep_weights: bool
    meter: Any
    """A Meter as a Ray actor, or None without a budget."""


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
        status = run_trial(trial, given.data, ActorWriter(given.writer), report, keep_weights=given.keep_weights, purse=purse)
    except StaleAttemptError:
        raise
    except LedgerError as error:
        # Not raised, since Tune would begin the trial anew, and then all others, on storage that cannot be written.
        tune.report({"status": STORAGE_FAILED, "error": str(error)})
        return
    if not reported or status != "finished":
        tune.report({"status": status})  # Tune wants a last word of every trial
