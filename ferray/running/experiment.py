"""Trials as experiments of Ray Tune: on this machine or on a cluster, with the ledger's writer on the machine that drives."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray import tune
from ray.tune import Callback
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ferray import environment
from ferray.errors import LedgerError, ResourceError
from ferray.ledger import Ledger
from ferray.ledger.writer import LedgerWriter
from ferray.running.interruption import handlers_kept, terminated_as_interrupted, undisturbed
from ferray.running.machine import Machine, cluster_address
from ferray.running.ray_log import diverted, settle
from ferray.running.scheduling import WithinVariants
from ferray.running.trainable import STORAGE_FAILED, ActorWriter, tune_trial

if TYPE_CHECKING:
    from ferray.data import Dataset, Split
    from ferray.running.progress import Progress
    from ferray.running.trainable import Writer
    from ferray.study import Study
    from ferray.trial import Trial

WORKER_DEATHS = 3
"""So often a trial goes on elsewhere after the process that ran it died."""
CONNECT_SECONDS = 5.0
"""Within so long a cluster must answer."""
STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EFBIG}
"""What the file system says where it cannot be written."""


@contextmanager
def experiments(
    study: Study, plan: list[Trial], data: Dataset, ledger: Ledger, progress: Progress, *, address: str | None, retry_failed: bool
) -> Iterator[Callable[[list[Trial]], bool]]:
    """Connects to Ray and gives the function that runs trials on it; in the end disconnects, and stops what was started here.

    ``plan`` holds all trials of the study, of which those of tuning may have to be compared with the ones that run.
    Raises ResourceError where no cluster answers, or this machine lacks what each trial asks for.
    """
    log = ledger.tune_folder / f"{study.name}.log"
    progress.display.say(f"what Ray and the trials print goes to {log}")
    with diverted(log, whole_terminal=progress.display.is_live) as stream, handlers_kept():
        is_ours = not ray.is_initialized()
        progress.doing = "connecting to Ray" if address or not is_ours else "starting Ray"
        try:
            with redirect_stdout(stream), redirect_stderr(stream):
                connect(address)
            with terminated_as_interrupted():  # again, since ray.init has put a handler of its own in the place of ours
                if is_ours and not cluster_address(address):  # a cluster may still grow
                    there().check(study)
                actor = _writer_actor(ledger.path, retry_failed)
                yield lambda trials: _run(study, plan, trials, data, actor, ledger, progress)
        finally:
            if is_ours:
                with undisturbed():
                    if ray.is_initialized():
                        settle(stream)
                    ray.shutdown()  # also of what an interruption left half started


def connect(address: str | None) -> bool:
    """Connects to Ray; True where that was done here, so that it is to be undone in the end."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # else Tune prints tables even when it is told to be silent
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # what workers print goes to a file
    if ray.is_initialized():
        return False
    address = cluster_address(address)
    if address:
        _check_address(address)
    options: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
    handlers = list(logging.getLogger("ray").handlers)
    try:
        ray.init(**options, log_to_driver=True, configure_logging=False)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        if not address:
            raise
        raise ResourceError(f"no Ray cluster answers at {address!r}: {error}") from None
    finally:
        logging.getLogger("ray").handlers = handlers  # ray.init takes them away
    return True


def check_resources(study: Study, address: str | None) -> None:
    """Raises ResourceError where too little or no cluster would be found, as far as that is known without starting Ray."""
    if ray.is_initialized():
        return
    address = cluster_address(address)
    if address:
        _check_address(address)
    else:
        Machine.here(gpus=study.gpus > 0).check(study)


def there() -> Machine:
    """What Ray has, on all of its nodes."""
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    name = "this machine" if len(ray.nodes()) == 1 else "the cluster"  # type: ignore[no-untyped-call]
    return Machine(resources.get("CPU", 0), resources.get("GPU", 0), name)


def _check_address(address: str) -> None:
    """Raises ResourceError at once for an address where nothing listens; Ray would try for minutes."""
    if address.startswith("ray://"):
        raise ResourceError(
            f"{address}: Ray's client is not supported, since records are kept where the driver runs; "
            "run the command on the cluster's head, or submit it with `ray job submit`"
        )
    host, colon, port = address.rpartition(":")
    if not colon:
        return  # "auto" and the like
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ResourceError(f"no Ray cluster answers at {address!r}: {error}") from None


def _writer_actor(storage: Path, retry_failed: bool) -> Any:
    """The ledger's writer on this machine, whichever node a trial runs on."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(LedgerWriter).options(num_cpus=0, scheduling_strategy=here).remote(str(storage), retry_failed=retry_failed)
    ray.get(actor.__ray_ready__.remote())
    return actor


def _in_memory(data: Dataset) -> Dataset:
    """The data set with plain arrays, which the object store keeps once per node and every trial maps."""

    def plain(split: Split) -> Split:
        return replace(split, images=np.asarray(split.images), labels=np.asarray(split.labels))

    return replace(data, train=plain(data.train), validation=plain(data.validation), test=plain(data.test))


def _run(study: Study, plan: list[Trial], todo: list[Trial], data: Dataset, actor: Any, ledger: Ledger, progress: Progress) -> bool:
    """One Tune experiment over the given trials; True where the user interrupted it.

    The configs are resolved before, so that their keys are known and the ledger can be asked; to Tune they are a grid.
    """
    trials = {trial.key: trial for trial in todo}
    points = [{"key": trial.key, "variant": trial.variant, "seed": trial.config.seed, **trial.overrides} for trial in todo]
    relay = _Relay(trials, ledger, progress, ActorWriter(actor))
    may_stop = any(trial.stopping for trial in todo)
    resources = {"cpu": study.processors, "gpu": study.gpus}
    given = {"trials": trials, "data": _in_memory(data), "actor": actor, "keep_weights": study.keep_weights}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(tune_trial, **given), resources),
        param_space={"trial": tune.grid_search(points)},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            scheduler=WithinVariants(plan, trials, ledger.epochs, relay.stop) if may_stop else None,
            trial_name_creator=lambda one: trials[one.config["trial"]["key"]].label.replace(" ", "-"),
            trial_dirname_creator=lambda one: str(one.config["trial"]["key"]),
        ),
        run_config=tune.RunConfig(
            name=f"{study.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}",
            storage_path=str(ledger.tune_folder),
            failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
            callbacks=[relay],
            progress_reporter=tune.CLIReporter(),  # silent at this verbosity; the one that Tune has for notebooks clears the cell
            verbose=0,
        ),
    )
    try:
        with handlers_kept():
            results = tuner.fit()
    except Exception as error:
        fault = _storage_fault(error, ledger.tune_folder)
        if fault is None:
            raise
        raise fault from error
    for result in (results[index] for index in range(len(results))):
        if result.error is not None:
            if isinstance(result.error, LedgerError):
                raise result.error
            trial = trials[(result.config or {})["trial"]["key"]]
            text = str(result.error)
            told = {"type": type(result.error).__name__, "message": _last_line(text), "traceback": text}
            ray.get(actor.abandon.remote(trial.key, trial.identity, told, environment.describe()))
    return len(relay.ended) < len(trials)


def _storage_fault(error: BaseException, folder: Path) -> LedgerError | None:
    """What the user can mend of an exception from Tune: storage that cannot be written, by Tune itself or by a trial."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LedgerError):
            return cause
        if isinstance(cause, OSError) and (cause.errno in STORAGE_ERRNOS or os.strerror(errno.ENOSPC) in str(cause)):
            return LedgerError(f"cannot write {folder}: {os.strerror(cause.errno or errno.ENOSPC)}")
        cause = cause.__cause__ or cause.__context__
    return None


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


class _Relay(Callback):
    """Tells the progress what Tune reports, the ledger what the scheduler stops, and remembers which trials ended."""

    def __init__(self, trials: dict[str, Trial], ledger: Ledger, progress: Progress, writer: Writer) -> None:
        self._trials = trials
        self._ledger = ledger
        self._progress = progress
        self._writer = writer
        self._interrupted: threading.Event | None = None
        self._stopped: set[str] = set()
        self.ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its callbacks down, for a way of going on that the ledger has better

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Puts itself before Tune's handler of Ctrl-C, which ends the experiment but tells only Ray's log so."""
        if self._interrupted is not None:
            return
        self._interrupted = threading.Event()
        ends = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(ends):

            def interrupt(number: int, frame: Any) -> None:
                self._interrupted.set()  # type: ignore[union-attr]
                ends(number, frame)

            signal.signal(signal.SIGINT, interrupt)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Not in the handler, which may have come in the middle of a print."""
        if self._interrupted is not None and self._interrupted.is_set():
            self._interrupted.clear()
            self._progress.display.say("interrupted: stopping the running trials; this takes a few seconds")

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial has its resources."""
        self._progress.doing = ""
        self._progress.start(self._trials[_key(trial)])

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Called by Tune with each report of a trial."""
        if "epoch" in result:
            self._progress.epoch(self._trials[_key(trial)], result)
        if result.get("status") == STORAGE_FAILED:
            raise LedgerError(result["error"])

    def stop(self, trial: Trial, stopped: Mapping[str, Any]) -> None:
        """Called by the scheduler with what it stops and why, while the trial waits for its answer: its record is written at once."""
        self._writer.stop(trial.key, stopped)
        self._stopped.add(trial.key)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's function has returned, or the scheduler has stopped it."""
        status = (trial.last_result or {}).get("status", "finished")
        if status == "running":  # the last word was an epoch
            status = "stopped" if _key(trial) in self._stopped else "finished"
        self._end(trial, status)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process died and it is to go on in another."""
        self._progress.lost(self._trials[_key(trial)], _last_line(str(trial.get_error() or "no reason given")))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process died once too often."""
        self._end(trial, "failed", _last_line(str(trial.get_error() or "no reason given")))

    def _end(self, trial: Any, status: str, told: str | None = None) -> None:
        key = _key(trial)
        self.ended.add(key)
        if status == "done":  # another driver has run it meanwhile
            status = self._ledger.status(key)
        if status == "failed" and told is None:
            told = self._ledger.failure(key)
        self._progress.end(self._trials[key], status, told)


def _key(trial: Any) -> str:
    key: str = trial.config["trial"]["key"]
    return key
