"""Trials as experiments of Ray Tune: on this machine or on a cluster, with the ledger's writer on the machine that drives."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ferray import environment
from ferray.errors import LedgerError
from ferray.ledger import Ledger
from ferray.ledger.writer import LedgerWriter
from ferray.running.broker import Broker, Kind, hosts
from ferray.running.connection import connect, nodes, there
from ferray.running.interruption import handlers_kept, terminated_as_interrupted, undisturbed
from ferray.running.machine import LEASE_PROCESSORS, Machine, cluster_address
from ferray.running.meter import Meter
from ferray.running.ray_log import diverted, settle
from ferray.running.trainable import ActorWriter, Shared, tune_trial

if TYPE_CHECKING:
    from ray.tune import ResultGrid

    from ferray.data import Dataset, Split
    from ferray.running.progress import Progress
    from ferray.study import Study
    from ferray.trial import Trial

WORKER_DEATHS = 3
"""So often a trial goes on elsewhere after the process that ran it died."""
STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EFBIG}
"""What the file system says where it cannot be written."""


@contextmanager
def experiments(
    study: Study,
    plan: list[Trial],
    data: Dataset,
    ledger: Ledger,
    progress: Progress,
    *,
    address: str | None,
    retry_failed: bool,
    meter: Meter | None = None,
) -> Iterator[Callable[[list[Trial]], bool]]:
    """Connects to Ray and gives the function that runs trials on it; in the end disconnects, and stops what was started here.

    ``plan`` holds all trials of the study, of which those of tuning may have to be compared with the ones that run. Where there is a
    ``meter``, trials end once it is empty, and it is told what they spent.
    Raises ResourceError where no cluster answers, or this machine lacks what each trial asks for.
    """
    log = ledger.tune_folder / f"{study.name}.log"
    progress.display.say(f"what Ray and the trials print goes to {log}")
    with diverted(log, whole_terminal=progress.display.is_live) as stream, handlers_kept():
        is_ours = not ray.is_initialized()
        started: list[Any] = []
        progress.doing = "connecting to Ray" if address or not is_ours else "starting Ray"
        try:
            with redirect_stdout(stream), redirect_stderr(stream):
                threading.Thread(target=_load_tune, daemon=True).start()
                connect(address)
            with terminated_as_interrupted():  # again, since ray.init has put a handler of its own in the place of ours
                if is_ours and not cluster_address(address):
                    there().check(study)
                elif (lack := there().lack(study)) is not None:  # a cluster may still grow
                    progress.display.say(f"{lack}; waiting for a node that has it")
                actor = _actor_here(LedgerWriter, str(ledger.path), retry_failed=retry_failed)
                fitted = there().fitted(study)
                broker = _broker(fitted, data, started) if fitted.packing.is_on else None
                yield lambda trials: _run(fitted, plan, trials, data, actor, ledger, progress, meter, broker)
        finally:
            if is_ours:
                with undisturbed():
                    if ray.is_initialized():
                        settle(stream)
                    ray.shutdown()  # also of what an interruption left half started
            else:
                for process in started:  # Tune keeps what it was given of them, and the next run would wait for what they occupy
                    ray.kill(process)


def _load_tune() -> None:
    """Loads Tune, and what it writes TensorBoard's files with, which takes seconds, while Ray's processes start and this one would wait."""
    importlib.import_module("ray.tune")
    hidden = _HiddenTorch(threading.current_thread())
    sys.meta_path.insert(0, hidden)
    try:
        with suppress(ImportError):  # Tune does without it, too
            importlib.import_module("tensorboardX")
    finally:
        sys.meta_path.remove(hidden)


class _HiddenTorch(MetaPathFinder):
    """Lets one thread find no torch, unless it is loaded: tensorboardX loads it where it is there, and has no need of it for numbers.

    A driver without torch has less than a third of the memory, and Ray's processes the two seconds to start in.
    """

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Raises ImportError for torch; leaves all else to others."""
        if fullname == "torch" and threading.current_thread() is self._thread:
            raise ModuleNotFoundError(f"no {fullname} for this thread", name=fullname)


def _actor_here(kind: type, *arguments: Any, **options: Any) -> Any:
    """The ledger's writer, or the meter, on this machine, whichever node a trial runs on."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(kind).options(num_cpus=0, scheduling_strategy=here).remote(*arguments, **options)
    return actor  # which takes a second to begin, as trials do


def _broker(study: Study, data: Dataset, started: list[Any]) -> Any:
    """Starts the processes that train trials, which it adds to those that are ``started``, and gives the actor that leases their seats."""
    held = [ray.put(_in_memory(data))]
    processes, added = there().split(study)
    kinds = [Kind(hosts(study, held, max(processes, not added)), study.packing.seats)]
    if added:
        each = {node: Machine.of([has], node).split(study)[1] for node, has in nodes().items()}
        kinds.append(Kind([host for node, count in each.items() for host in hosts(study.on_processors, held, count, node=node)], 1))
    started += [host for kind in kinds for host in kind.hosts]
    broker = _actor_here(Broker, kinds, held)
    ray.get(broker.open.remote())
    return broker


def _in_memory(data: Dataset) -> Dataset:
    """The data set with plain arrays, which the object store keeps once per node and every trial maps."""

    def plain(split: Split) -> Split:
        return replace(split, images=np.asarray(split.images), labels=np.asarray(split.labels))

    return replace(data, train=plain(data.train), validation=plain(data.validation), test=plain(data.test))


def _run(
    study: Study,
    plan: list[Trial],
    todo: list[Trial],
    data: Dataset,
    actor: Any,
    ledger: Ledger,
    progress: Progress,
    meter: Meter | None = None,
    broker: Any = None,
) -> bool:
    """One Tune experiment over the given trials; True where the user interrupted it.

    The configs are resolved before, so that their keys are known and the ledger can be asked; to Tune they are a grid.
    """
    from ray import tune  # not above, nor what loads it: see _load_tune

    from ferray.running.relay import Relay, key_of
    from ferray.running.scheduling import WithinVariants

    trials = {trial.key: trial for trial in todo}
    points = [{"key": trial.key, "variant": trial.variant, "seed": trial.config.seed, **trial.overrides} for trial in todo]
    relay = Relay(trials, ledger, progress, ActorWriter(actor), None if broker is None else broker.free.remote)
    may_stop = any(trial.stopping for trial in todo)
    resources = {"cpu": study.processors, "gpu": study.gpus} if broker is None else {"cpu": LEASE_PROCESSORS}
    purse = None if meter is None else _actor_here(Meter, meter.cap, rate=meter.rate, spent=meter.spent)
    shared = ray.put(Shared(trials, _in_memory(data) if broker is None else None, actor, study.keep_weights, purse, broker))
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(tune_trial, shared=[shared]), resources),
        param_space={"trial": tune.grid_search(points)},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=None if broker is None else there().seats(study),
            scheduler=WithinVariants(plan, trials, ledger.epochs, relay.stop) if may_stop else None,
            trial_name_creator=relay.name,
            trial_dirname_creator=key_of,
        ),
        run_config=tune.RunConfig(
            name=f"{study.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}",
            storage_path=str(ledger.tune_folder),
            failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
            callbacks=[relay],
            stop=relay,
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
    _abandon(trials, results, actor)
    if meter is not None and purse is not None and meter.rate is not None:
        paid: Any = ray.get(purse.paid_so_far.remote())
        meter.paid(paid)
    # Also as the last trial ends, or the budget: Tune's handler has swallowed it, and more may follow.
    return relay.is_interrupted or (len(relay.ended) < len(trials) and not relay.is_out_of_budget)


def _abandon(trials: Mapping[str, Trial], results: ResultGrid, actor: Any) -> None:
    """Records as failed the trials whose process died once too often. Raises LedgerError where it was the storage."""
    from ferray.running.relay import last_line

    for result in (results[index] for index in range(len(results))):
        if result.error is not None:
            if isinstance(result.error, LedgerError):
                raise result.error
            trial = trials[(result.config or {})["trial"]["key"]]
            text = str(result.error)
            told = {"type": type(result.error).__name__, "message": last_line(text), "traceback": text}
            ray.get(actor.abandon.remote(trial.key, trial.identity, told, environment.describe()))


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
