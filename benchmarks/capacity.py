"""What orchestration costs for each epoch and each trial, beside what the disk and Ray Tune cost alone; and the scaling model, checked."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import paced
from benchmarks.figures import Figure, Spread
from benchmarks.scaling import Costs, Work, fitted, loop_seconds

PROCESSORS = 16
"""That Ray is told to have, so that so many paced trials sleep side by side on whatever there is."""
CNN_CHECKPOINT = 23_000_000
"""Bytes: the reference CNN's weights and both moments of Adam."""
IMAGES = 3589
"""Of FER2013's validation and of its test split, whose probabilities a record holds."""
RAW = "plain write and fsync of as many bytes"
TOGETHER = 8
"""Trials at a time where the driver is to be busy."""


def figures(rounds: int, epochs: int, trials: int, slots: tuple[int, ...], pace: float) -> list[Figure]:
    """All of them; the model is checked with so many trials of five epochs of ``pace`` seconds in each number of slots."""
    with tempfile.TemporaryDirectory() as folder:
        own, raw = _writer(Path(folder), rounds)
        with _ray():
            through = _through_actor(Path(folder) / "actor", rounds)
            costs = Costs(report=0.0, trial=0.0, append=through["append"].median, record=through["record"].median)
            costs = replace(costs, checkpoint=through["small"].median)
            busy, alone = _reports(Path(folder), costs, epochs, rounds)
            costs = replace(costs, report=busy.median)
            ended = _trials(Path(folder), costs, rounds)
            costs = replace(costs, trial=ended.median)
            checked = [_checked(Path(folder), costs, Work(trials, 5, pace), several) for several in slots]
    found = [
        _beside("append", "ledger writer, one row of 25, through its actor", through["append"], RAW, raw["append"]),
        _beside("append_direct", "the same without the actor", own["append"], RAW, raw["append"]),
        _beside("record", "ledger writer, a trial's record with FER2013's probabilities", through["record"], RAW, raw["record"]),
        _beside("checkpoint", "ledger writer, a checkpoint of the reference CNN", through["large"], RAW, raw["large"]),
        _beside("report", f"driver, an epoch's report, {TOGETHER} trials at a time", busy, "Ray Tune alone, with its loggers", alone),
        Figure("trial", "driver, a trial's beginning and end", "ms", _milliseconds(ended)),
        *checked,
    ]
    return [*found, _node(1 if rounds == 1 else 3)]


def costs_of(figures: Sequence[Figure], *, start: float = 15.0) -> Costs:
    """The model's costs from these figures; ``start`` are the seconds until a first trial on the driver's machine."""
    seconds = {one.key: one.value.median * (1.0 if one.unit == "s" else 1e-3) for one in figures if one.value is not None}
    of_all = {name: seconds[name] for name in ("report", "trial", "append", "record", "checkpoint", "node")}
    return Costs(**of_all, start=start)


def _milliseconds(spread: Spread) -> Spread:
    return Spread(1e3 * spread.median, 1e3 * spread.least, 1e3 * spread.most, spread.n)


def _beside(key: str, title: str, own: Spread, peer: str, other: Spread) -> Figure:
    ratio = Spread(own.median / other.median, own.least / other.most, own.most / other.least, own.n)
    return Figure(key, title, "ms", _milliseconds(own), peer, _milliseconds(other), ratio, better="less")


def _timed(rounds: int, many: int, one: Callable[[int], object]) -> Spread:
    """Seconds of one, from rounds of many."""
    found = []
    for number in range(rounds):
        began = time.perf_counter()
        for place in range(many):
            one(number * many + place)
        found.append((time.perf_counter() - began) / many)
    return Spread.of(found)


def _writer(folder: Path, rounds: int) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """Seconds that the ledger's writer needs without Ray, and that the disk needs for as many bytes in one file."""
    from ferray.ledger.writer import LedgerWriter

    ledger = LedgerWriter(folder / "direct")
    begun = ledger.begin("0" * 32, {"config": {}})
    for number in range(1, 25):
        ledger.append("0" * 32, begun.attempt, paced.row(number, 1.0))
    own = {"append": _timed(rounds, 20, lambda _: ledger.append("0" * 32, begun.attempt, paced.row(25, 1.0)))}
    ledger.finish("0" * 32, begun.attempt, _summary(), _predictions())
    sizes = {
        "append": (folder / "direct" / "trials" / ("0" * 32) / "epochs.jsonl").stat().st_size,
        "record": sum(file.stat().st_size for file in (folder / "direct" / "trials" / ("0" * 32)).iterdir()),
        "large": CNN_CHECKPOINT,
    }

    def write(content: bytes) -> None:
        with (folder / "raw").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    raw = {name: _timed(rounds, 20 if size < 10**6 else 2, lambda _, size=size: write(bytes(size))) for name, size in sizes.items()}  # type: ignore[misc]
    return own, raw


def _summary() -> dict[str, Any]:
    return {"status": "finished", "selected_epoch": 1, "parameters": 1_919_079, "environment": {}, "error": None}


def _predictions() -> dict[str, Any]:
    shares = np.random.default_rng(0).dirichlet(np.ones(7), IMAGES).astype(np.float32)
    return {f"{split}_{which}": shares for split in ("validation", "test") for which in ("selected", "last")}


def _through_actor(folder: Path, rounds: int) -> dict[str, Spread]:
    """Seconds of the writer for one call, with so many calls waiting that it is never idle."""
    import ray

    from ferray.ledger.writer import LedgerWriter

    actor: Any = ray.remote(LedgerWriter).options(num_cpus=0).remote(str(folder))
    begun = ray.get(actor.begin.remote("0" * 32, {"config": {}}))
    for number in range(1, 25):
        ray.get(actor.append.remote("0" * 32, begun.attempt, paced.row(number, 1.0)))
    predictions = ray.put(_predictions())

    def append(many: int, checkpoint: bytes | None = None) -> None:
        ray.get([actor.append.remote("0" * 32, begun.attempt, paced.row(25, 1.0), checkpoint) for _ in range(many)])

    def record(number: int) -> None:
        key = f"{number + 1:032x}"
        ray.get([actor.begin.remote(key, {"config": {}}), actor.finish.remote(key, 1, _summary(), predictions)])

    rows = [_timed(1, 1, lambda _: append(50)).median / 50 for _ in range(rounds)]
    small = [_timed(1, 1, lambda _: append(20, b"state")).median / 20 for _ in range(rounds)]
    large = [_timed(1, 1, lambda _: append(1, bytes(CNN_CHECKPOINT))).median for _ in range(rounds)]
    plain = float(np.median(rows))
    found = {
        "append": Spread.of(rows),
        "small": Spread.of([max(0.0, one - plain) for one in small]),
        "large": Spread.of([max(0.0, one - plain) for one in large]),
        "record": _timed(rounds, 3, record),
    }
    ray.kill(actor)
    return found


def _python_path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def _ray() -> Iterator[None]:
    """Ray on this machine, whose workers pace trials."""
    import ray

    options: dict[str, Any] = {
        "env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)},
        "worker_process_setup_hook": "benchmarks.paced.install",
    }
    ray.init(address="local", num_cpus=PROCESSORS, include_dashboard=False, log_to_driver=False, runtime_env=options)
    try:
        yield
    finally:
        ray.shutdown()


def _run(folder: Path, trials: int, epochs: int, pace: float, slots: int) -> tuple[float, list[float]]:
    """Seconds of a study of paced trials through ferray, and when its epochs were reported [s of the clock]."""
    from ferray.running.runner import run
    from ferray.study import Study

    data: Any = {"source": "synthetic", "images": 140}
    base = {"epochs": epochs, "precision": "fp32", "learning_rate": pace}
    study = Study(name=f"paced-{trials}-{epochs}-{slots}", data=data, base=base, seeds=trials, cpus=PROCESSORS / slots)
    times: list[float] = []

    def say(line: str) -> None:
        if ": epoch " in line:
            times.append(time.perf_counter())

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as storage:
        outcome = run(study, storage, say=say)
    if outcome.statuses != {"finished": trials}:
        raise RuntimeError(f"paced trials ended as {outcome.statuses}: {outcome.failures}")
    return time.perf_counter() - began, times


def _busy(times: list[float]) -> float:
    """Seconds between reports while all trials run: of the middle half of them."""
    middle = times[len(times) // 4 : -(len(times) // 4)]
    return (middle[-1] - middle[0]) / (len(middle) - 1)


def _reports(folder: Path, costs: Costs, epochs: int, rounds: int) -> tuple[Spread, Spread]:
    """Seconds of the driver for a report with ferray, and with Ray Tune alone, while trials that take no time keep it busy; in turns."""
    work = Work(TOGETHER, epochs, 0.0)
    own, alone = [], []
    for number in range(rounds):
        for is_ours in (True, False) if number % 2 == 0 else (False, True):
            if is_ours:
                times = _run(folder, TOGETHER, epochs, paced.AT_ONCE, TOGETHER)[1]
                own.append(fitted(costs, "report", work, TOGETHER, _busy(times) * TOGETHER * epochs).report)
            else:
                alone.append(_busy(_alone(folder, epochs)))
    return Spread.of(own), Spread.of(alone)


def _alone(folder: Path, epochs: int) -> list[float]:
    """When the same reports reach Ray Tune alone."""
    from ray import tune

    times: list[float] = []

    class Watch(tune.Callback):
        def on_trial_result(self, *arguments: Any, **told: Any) -> None:
            times.append(time.perf_counter())

    tune.Tuner(
        tune.with_resources(paced.alone, {"cpu": PROCESSORS / TOGETHER}),
        param_space={"epochs": epochs, "place": tune.grid_search(list(range(TOGETHER)))},
        run_config=tune.RunConfig(storage_path=str(folder / "alone"), callbacks=[Watch()], verbose=0),
    ).fit()
    return times


def _trials(folder: Path, costs: Costs, rounds: int) -> Spread:
    """Seconds of the driver for a trial's beginning and end, while trials of one epoch that takes no time keep it busy."""
    many = 8 * TOGETHER
    found = []
    for _ in range(rounds):
        times = _run(folder, many, 1, paced.AT_ONCE, TOGETHER)[1]
        found.append(fitted(costs, "trial", Work(many, 1, 0.0), TOGETHER, _busy(times) * many).trial)
    return Spread.of(found)


def _checked(folder: Path, costs: Costs, work: Work, slots: int) -> Figure:
    """The wall time of paced trials beside the model's; that of the start of so many processes is measured by itself, and in both."""
    start, _ = _run(folder, slots, 1, paced.AT_ONCE, slots)
    wall, _ = _run(folder, work.trials, work.epochs, work.seconds, slots)
    model = start + loop_seconds(costs, work, slots)
    title = f"{work.trials} trials of {work.epochs} epochs of {work.seconds:g} s, {slots} at a time"
    return Figure(f"check_{slots}", title, "s", Spread.of([wall]), "model", Spread.of([model]), Spread.of([wall / model]), better="less")


def _node(rounds: int) -> Figure:
    """Seconds from a node's start until it is ready to train, beside the start of a process that does not belong to Ray."""
    import subprocess

    import ray
    from ray.cluster_utils import Cluster

    def ready() -> float:
        import ferray.training  # noqa: F401 - what takes the time

        return time.time()

    joined, plain = [], []
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        ray.init(cluster.address, log_to_driver=False, runtime_env={"env_vars": _python_path()})
        for number in range(rounds):
            began = time.time()
            cluster.add_node(num_cpus=1, resources={f"new{number}": 1})
            joined.append(ray.get(ray.remote(ready).options(resources={f"new{number}": 1}).remote()) - began)
            began = time.time()
            subprocess.run([sys.executable, "-c", "import ferray.training"], check=True)
            plain.append(time.time() - began)
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
    own, other = Spread.of(joined), Spread.of(plain)
    ratio = Spread.of([one / two for one, two in zip(joined, plain, strict=True)])
    return Figure(
        "node", "a node's start until it is ready to train", "s", own, "a process that imports the training", other, ratio, better="less"
    )
