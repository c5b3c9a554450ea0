"""Trials as experiments of Ray Tune: on this machine or on a cluster, with the ledger's writer on the machine that drives."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ferray import environment
from ferray.errors import LedgerError, ResourceError
from ferray.ledger import Ledger
from ferray.ledger.writer import LedgerWriter
from ferray.progress import Progress
from ferray.trainable import tune_trial

if TYPE_CHECKING:
    from ferray.data import Dataset, Split
    from ferray.study import Study
    from ferray.trial import Trial

WORKER_DEATHS = 3
"""So often a trial goes on elsewhere after the process that ran it died."""
CONNECT_SECONDS = 5.0
"""Within so long a cluster must answer."""


@contextmanager
def experiments(
    study: Study, data: Dataset, ledger: Ledger, *, address: str | None, retry_failed: bool, say: Callable[[str], None]
) -> Iterator[Callable[[list[Trial]], bool]]:
    """Connects to Ray and gives the function that runs trials on it; in the end disconnects, and stops what was started here.

    Raises ResourceError where no cluster answers, or this machine lacks what each trial asks for.
    """
    log = ledger.tune_folder / f"{study.name}.log"
    say(f"Ray's own messages go to {log}")
    is_ours = _connect(study, address, log)
    try:
        actor = _writer_actor(ledger.path, retry_failed)
        yield lambda trials: _run(study, trials, data, actor, ledger.tune_folder, say)
    finally:
        if is_ours:
            ray.shutdown()


def _connect(study: Study, address: str | None, log: Path) -> bool:
    """Connects to Ray; True where that was done here, so that it is to be undone in the end."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # else Tune prints tables even when it is told to be silent
    if ray.is_initialized():
        return False
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address:
        _check_address(address)
    options: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
    logging.getLogger("ray").setLevel(logging.ERROR)  # ray.init takes all handlers away, so what it says would go to the terminal
    try:
        ray.init(**options, log_to_driver=False, configure_logging=False)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        if not address:
            raise
        raise ResourceError(f"no Ray cluster answers at {address!r}: {error}") from None
    _divert_log(log)
    if address:
        return True  # a cluster may still grow, so nothing is refused for what it lacks now
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, wanted in (("GPU", study.gpus), ("CPU", study.processors)):
        if wanted > there.get(name, 0):
            ray.shutdown()
            have = f"{there.get(name, 0):g}"
            raise ResourceError(f"each trial asks for {wanted:g} {name} (`{name.lower()}s` in the study), and this machine has {have}")
    return True


def _check_address(address: str) -> None:
    """Refuses at once an address where nothing listens; Ray would try for minutes."""
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


def _divert_log(file: Path) -> None:
    """Sends what Ray says of itself to a file; progress and failures are told by ferray."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("ray")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)


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


def _run(study: Study, todo: list[Trial], data: Dataset, actor: Any, folder: Path, say: Callable[[str], None]) -> bool:
    """One Tune experiment over the given trials; True where the user interrupted it.

    The configs are resolved before, so that their keys are known and the ledger can be asked; to Tune they are a grid.
    """
    trials = {trial.key: trial for trial in todo}
    points = [{"key": trial.key, "variant": trial.variant, "seed": trial.config.seed, **trial.overrides} for trial in todo]
    progress = Progress(trials, say)
    resources = {"cpu": study.processors, "gpu": study.gpus}
    given = {"trials": trials, "data": _in_memory(data), "actor": actor, "keep_weights": study.keep_weights}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(tune_trial, **given), resources),
        param_space={"trial": tune.grid_search(points)},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            trial_name_creator=lambda one: trials[one.config["trial"]["key"]].label.replace(" ", "-"),
            trial_dirname_creator=lambda one: str(one.config["trial"]["key"]),
        ),
        run_config=tune.RunConfig(
            name=f"{study.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}",
            storage_path=str(folder),
            failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
            callbacks=[progress],
            verbose=0,
        ),
    )
    results = tuner.fit()
    for result in (results[index] for index in range(len(results))):
        if result.error is not None:
            if isinstance(result.error, LedgerError):
                raise result.error
            trial = trials[(result.config or {})["trial"]["key"]]
            text = str(result.error)
            error = {"type": type(result.error).__name__, "message": text.strip().rpartition("\n")[2], "traceback": text}
            ray.get(actor.abandon.remote(trial.key, trial.identity, error, environment.describe()))
    return len(progress.ended) < len(trials)
