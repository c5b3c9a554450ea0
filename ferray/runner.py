"""Running a study: the plan minus the ledger, as trials of Ray Tune, or one after another in this process."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferray import environment
from ferray.errors import LedgerError, ResourceError
from ferray.ledger import DEFAULT_STORAGE, Ledger
from ferray.trainable import epoch_line, run_trial, tune_trial
from ferray.writer import LedgerWriter

if TYPE_CHECKING:
    from ferray.data import Dataset, Split
    from ferray.study import Study, Trial

WORKER_DEATHS = 3
"""So often a trial goes on elsewhere after the process that ran it died."""
CONNECT_SECONDS = 5.0
"""Within so long a cluster must answer."""
POLL_SECONDS = 1.0
"""Between two looks at the trials that another driver is running."""


@dataclass(frozen=True)
class Outcome:
    """What became of a study's trials: how many have each status, how many were trained just now, and in which storage."""

    storage: Path
    study: str
    statuses: dict[str, int]
    trained: int
    interrupted: bool = False


def run(
    study: Study,
    storage: str | os.PathLike[str] | None = None,
    *,
    address: str | None = None,
    local: bool = False,
    retry_failed: bool = False,
    text: str | None = None,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Runs every trial of the study that the ledger does not hold, and keeps the study for the report.

    ``address`` names a Ray cluster (the environment variable RAY_ADDRESS serves too); without one Ray starts on this machine.
    ``local`` needs no Ray: the same trials in this process, in order. ``retry_failed`` runs failed trials again. ``text`` is the
    study file, for the report. ``say`` takes each line of progress. Raises FerrayError for what the user can mend.
    """
    storage = Path(storage or DEFAULT_STORAGE).absolute()
    data = study.load_data()
    plan = study.plan(data)
    writer = LedgerWriter(storage, retry_failed=retry_failed)
    ledger = Ledger(storage)
    _save(writer, study, plan, data, text)
    trials = {trial.key: trial for trial in plan}
    for trial in trials.values():
        if ledger.status(trial.key, verify=True) == "damaged":
            place = writer.set_aside(trial.key)
            say(f"the record of {trial.label} is damaged; it was set aside{f' as {place}' if place else ''} and will run again")
    todo = _missing(ledger, trials.values(), retry_failed=retry_failed)
    say(_what_is_to_do(study, trials, todo))
    if local:
        interrupted = _until_done(todo, ledger, lambda free: _run_local(free, data, writer, say), say)
    else:
        interrupted = bool(todo) and _run_with_ray(study, todo, data, ledger, address, retry_failed, say)
    statuses = Counter[str](ledger.status(key) for key in trials)
    return Outcome(storage, study.name, dict(statuses), len(todo) - len(_missing(ledger, todo, retry_failed=False)), interrupted)


def _missing(ledger: Ledger, trials: Iterable[Trial], *, retry_failed: bool) -> list[Trial]:
    done = {"finished", "diverged"} if retry_failed else {"finished", "diverged", "failed"}
    return [trial for trial in trials if ledger.status(trial.key) not in done]


def _what_is_to_do(study: Study, trials: dict[str, Trial], todo: list[Trial]) -> str:
    there = len(trials) - len(todo)
    plan = f"study {study.name}: {len(trials)} trials planned, {there} in the ledger, {len(todo)} to run"
    return f"{plan} ({sum(trial.config.epochs for trial in todo)} epochs)" if todo else plan


def _save(writer: LedgerWriter, study: Study, plan: list[Trial], data: Dataset, text: str | None) -> None:
    description = {
        "name": data.name,
        "classes": list(data.classes),
        "counts": data.counts,
        "synthetic": data.synthetic,
        "image_shape": list(data.image_shape),
        "fingerprint": data.fingerprint,
    }
    writer.save_data(
        description,
        {
            "validation_labels": data.validation.labels,
            "validation_images": data.validation.images,
            "test_labels": data.test.labels,
            "test_images": data.test.images,
        },
    )
    first: dict[str, dict[str, Any]] = {}
    for trial in plan:
        first.setdefault(trial.variant, trial.config.model_dump())
    writer.save_study(
        study.name,
        {
            "name": study.name,
            "title": study.title,
            "text": text,
            "settings": study.model_dump(mode="json"),
            "data": description,
            "command": _command(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": environment.describe(),
            "baseline": study.baseline,
            "variants": {
                variant.name: {"overrides": variant.overrides, "removed": list(variant.removed), "config": first[variant.name]}
                for variant in study.all_variants()
            },
            "published": {name: numbers.model_dump(exclude_none=True) for name, numbers in study.published.items()},
            "plan": [
                {
                    "key": trial.key,
                    "variant": trial.variant,
                    "sample": trial.sample,
                    "seed": trial.config.seed,
                    "overrides": trial.overrides,
                }
                for trial in plan
            ],
        },
    )


def _command() -> str:
    """The command line that runs this study again."""
    program = Path(sys.argv[0])
    if program.name == "tune.py" and program.parent.name == "ferray":
        return shlex.join(["python", "-m", "ferray.tune", *sys.argv[1:]])
    return shlex.join(sys.argv)


def _run_with_ray(
    study: Study, todo: list[Trial], data: Dataset, ledger: Ledger, address: str | None, retry_failed: bool, say: Callable[[str], None]
) -> bool:
    import ray

    log = ledger.tune_folder / f"{study.name}.log"
    say(f"Ray's own messages go to {log}")
    is_ours = _connect(study, address, log)
    try:
        actor = _writer_actor(ledger.path, retry_failed)
        return _until_done(todo, ledger, lambda free: _run_with_tune(study, free, data, actor, ledger.tune_folder, say), say)
    except KeyboardInterrupt:
        return True
    finally:
        if is_ours:
            ray.shutdown()


def _until_done(todo: list[Trial], ledger: Ledger, execute: Callable[[list[Trial]], bool], say: Callable[[str], None]) -> bool:
    """Executes what is free until every trial has ended; True where the user interrupted it.

    Trials that another driver is running are waited for, and taken over if it dies.
    """
    is_waiting = False
    while todo:
        free = [trial for trial in todo if ledger.status(trial.key) != "running"]
        if free:
            if execute(free):
                return True
            is_waiting = False
        else:
            if not is_waiting:
                say(f"waiting for {len(todo)} trials that another driver is running")
            is_waiting = True
            time.sleep(POLL_SECONDS)
        todo = _missing(ledger, todo, retry_failed=False)
    return False


def _run_local(todo: list[Trial], data: Dataset, writer: LedgerWriter, say: Callable[[str], None]) -> bool:
    try:
        for number, trial in enumerate(todo, start=1):
            status = run_trial(trial, data, writer, lambda row, trial=trial: say(epoch_line(trial, row)))  # type: ignore[misc]
            say(f"[{number}/{len(todo)}] {trial.label}: {status}")
    except KeyboardInterrupt:
        return True
    return False


def _connect(study: Study, address: str | None, log: Path) -> bool:
    """Connects to Ray; True where it was started here, for this study alone."""
    import ray

    if ray.is_initialized():
        return False
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address:
        _check_address(address)
    options: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # else Tune prints tables even when it is told to be silent
    logging.getLogger("ray").setLevel(logging.ERROR)  # ray.init takes all handlers away, so what it says would go to the terminal
    try:
        ray.init(**options, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError) as error:
        raise ResourceError(f"no Ray cluster answers at {address!r}: {error}") from None
    _divert_log(log)
    if address:
        return False  # a cluster may still grow, so nothing is refused for what it lacks now
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, wanted in (("GPU", study.gpus), ("CPU", study.cpus)):
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
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(LedgerWriter).options(num_cpus=0, scheduling_strategy=here).remote(str(storage), retry_failed=retry_failed)
    ray.get(actor.__ray_ready__.remote())
    return actor


def _in_memory(data: Dataset) -> Dataset:
    """The data set with plain arrays, which the object store keeps once per node and every trial maps."""

    def plain(split: Split) -> Split:
        return replace(split, images=np.asarray(split.images), labels=np.asarray(split.labels))

    return replace(data, train=plain(data.train), validation=plain(data.validation), test=plain(data.test))


def _run_with_tune(study: Study, todo: list[Trial], data: Dataset, actor: Any, folder: Path, say: Callable[[str], None]) -> bool:
    """One Tune experiment over the given trials; True where the user interrupted it.

    The configs are resolved before, so that their keys are known and the ledger can be asked; to Tune they are a grid.
    """
    import ray
    from ray import tune

    from ferray.progress import Progress

    trials = {trial.key: trial for trial in todo}
    points = [{"key": trial.key, "variant": trial.variant, "seed": trial.config.seed, **trial.overrides} for trial in todo]
    progress = Progress(trials, say)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(tune_trial, trials=trials, data=_in_memory(data), actor=actor), {"cpu": study.cpus, "gpu": study.gpus}
        ),
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
