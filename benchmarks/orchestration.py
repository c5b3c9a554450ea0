"""What running a study costs beside its trainings: trials that do next to nothing, trials that sleep, a first epoch, a thousand trials."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import memory, sleeper, studies
from benchmarks.commands import run
from benchmarks.contender import ROOT, Contender, Sample, in_turns
from benchmarks.figures import Figure, Spread

OWN, FRESH, REUSING = "ferray", "Ray Tune, a process for each trial", "Ray Tune, reuse_actors"
LONG = 30
"""Seconds of a trial beside which its share of an experiment's start and end is to be small."""


def figures(rounds: int, *, warm: int, fresh: int, many: int, sleeps: Sequence[float]) -> list[Figure]:
    """All of them.

    ``warm`` trials do next to nothing, ``fresh`` ones where each has a process of its own, ``many`` are a large study, and sixteen of
    each number of seconds in ``sleeps`` sleep.
    """
    return [
        *_warm(rounds, warm, fresh),
        *(one for seconds in sleeps for one in _paced(seconds)),
        _first_epoch(rounds),
        *_many(many, rounds),
    ]


def _warm(rounds: int, warm: int, fresh: int) -> Iterator[Figure]:
    contenders = [
        Contender(OWN, "studies:trials", {"count": warm}),
        Contender(FRESH, "peers.plain_tune:trials", {"count": fresh, "reuse_actors": False}),
        Contender(REUSING, "peers.plain_tune:trials", {"count": warm, "reuse_actors": True}),
    ]
    samples = in_turns(contenders, rounds)
    own, *others = ([1 / sample.rate for sample in samples[one.name]] for one in contenders)
    title = "a trial that does next to nothing, in a warm session"
    memory, trial_memory = _memory(samples[OWN])
    yield Figure("warm_trial", title, "s", Spread.of(own), target=0.05, better="less", memory=memory, trial_memory=trial_memory)
    for key, peer, other in zip(("fresh", "reusing"), (FRESH, REUSING), others, strict=True):
        beside, beside_trials = _memory(samples[peer])
        yield Figure(
            key=f"warm_trial_beside_{key}",
            title=title,
            unit="s",
            value=Spread.of(own),
            peer=peer,
            peer_value=Spread.of(other),
            ratio=Spread.of([one / two for one, two in zip(own, other, strict=True)]),
            better="less",
            memory=memory,
            trial_memory=trial_memory,
            peer_memory=beside,
            peer_trial_memory=beside_trials,
        )


def _paced(seconds: float) -> Iterator[Figure]:
    """As many trials that sleep as the quickstart has, in as many slots as there are cores; long ones without a peer, for want of time."""
    count, slots, is_long = 16, os.cpu_count() or 1, seconds >= LONG
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "steps"
        settings = {"count": count, "seconds": seconds}
        contenders = [Contender(OWN, "studies:paced", {**settings, "log": str(log)})]
        if not is_long:
            contenders.append(Contender(FRESH, "peers.plain_tune:paced", {**settings, "reuse_actors": False}))
        samples = in_turns(contenders, 1)
        between = sleeper.gaps(log)
    ideal = seconds * -(-count // slots)
    own = samples[OWN]
    used, used_by_trials = _memory(own)
    over = Spread.of([one.seconds / ideal for one in own])
    title = f"{count} trials of {seconds:g} s in {slots} slots, times the ideal {ideal:g} s"
    yield Figure(
        f"experiment_{seconds:g}",
        title,
        "",
        over,
        target=1.05 if is_long else None,
        better="less",
        memory=used,
        trial_memory=used_by_trials,
    )
    if not is_long:
        other = samples[FRESH]
        beside, beside_trials = _memory(other)
        yield Figure(
            key=f"experiment_{seconds:g}_beside_fresh",
            title=f"{count} trials of {seconds:g} s in {slots} slots",
            unit="s",
            value=Spread.of([one.seconds for one in own]),
            peer=FRESH,
            peer_value=Spread.of([one.seconds for one in other]),
            ratio=Spread.of([one.seconds / two.seconds for one, two in zip(own, other, strict=True)]),
            better="less",
            memory=used,
            trial_memory=used_by_trials,
            peer_memory=beside,
            peer_trial_memory=beside_trials,
        )
    title = f"from the end of a trial's last step to the next one's first in its slot, trials of {seconds:g} s"
    if between:
        yield Figure(
            f"gap_{seconds:g}", title, "s", Spread.of(between), target=0.3, better="less", memory=used, trial_memory=used_by_trials
        )
    else:
        yield Figure(f"gap_{seconds:g}", title, "s", target=0.3, better="less", reason=f"{slots} slots took all trials at once")


def _first_epoch(rounds: int) -> Figure:
    seconds, used, used_by_trials = [], 0, 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as storage:
            started = time.perf_counter()
            command = [sys.executable, "-u", "-m", "ferray.tune", "quickstart", "--storage", storage]
            with (
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process,
                memory.Watch(process.pid) as watch,
            ):
                for line in process.stdout or ():
                    if " epoch 1/" in line:
                        seconds.append(time.perf_counter() - started)
                        break
                watch.look()
                process.send_signal(signal.SIGINT)
                process.communicate()
            used, used_by_trials = max(used, watch.driver), max(used_by_trials, watch.trials)
    title = "first epoch of the quickstart told, after the command"
    if not seconds:
        return Figure("first_epoch", title, "s", target=15.0, better="less", reason="no epoch was told")
    return Figure("first_epoch", title, "s", Spread.of(seconds), target=15.0, better="less", memory=used, trial_memory=used_by_trials)


def _many(count: int, rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as storage:
        first = _driver(storage, count)
        again = [_driver(storage, count) for _ in range(rounds)]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=storage) as file:
            study = studies.study(list(range(count))).model_dump(mode="json", exclude_unset=True)
            json.dump(study, file)  # JSON is YAML
            file.flush()
            whole = [run(["-m", "ferray.tune", file.name, "--storage", storage]) for _ in range(rounds)]
    about = f"{count:,} trials that do next to nothing"
    peak, trials = int(first["peak"]), int(first["trials"])
    yield Figure(
        "many_seconds", f"{about}, the whole study, each", "s", Spread.of([first["seconds"] / count]), memory=peak, trial_memory=trials
    )
    for key, since, early in (("many_memory", "the first tenth", "early"), ("many_memory_whole", "the first", "first")):
        grown = Spread.of([(first["late"] - first[early]) / 1e6])
        title = f"growth of the driver's memory over {about}, from the end of {since} to that of the last"
        yield Figure(key, title, "MB", grown, target=200.0, better="less", memory=peak, trial_memory=trials)
    title = f"the same study again, all {count:,} in the ledger"
    answered = Spread.of([one["command"] for one in again])
    yield Figure("all_in_ledger", f"{title}, without a report", "s", answered, target=5.0, better="less", memory=int(again[0]["peak"]))
    reported = Spread.of([one.seconds for one in whole])
    yield Figure("all_in_ledger_report", f"{title}, report included", "s", reported, better="less", memory=max(one.memory for one in whole))


def _driver(storage: str, count: int) -> dict[str, float]:
    """Runs the study in a process of its own. ``command`` is how long that took, Python's start included; memory is in bytes."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.orchestration", storage, str(count)]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process,
        memory.Watch(process.pid) as watch,
    ):
        answer = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"the study of {count} trials ended with {process.returncode}")
    seconds = time.perf_counter() - started
    told: dict[str, float] = json.loads(answer.splitlines()[-1])
    return {"trials": watch.trials, "command": seconds, **told}


def _drive(storage: Path, count: int) -> dict[str, float]:
    """The driver's side: seconds of the run, and resident memory as the first, a tenth and the last of the trials had ended."""
    started = time.perf_counter()
    sizes: list[int] = []

    def say(line: str) -> None:
        if line.startswith("["):
            sizes.append(memory.resident(os.getpid()))

    outcome = studies.study(list(range(count))).run(storage, say=say)
    if outcome.statuses.get("finished") != count:
        raise RuntimeError(f"of {count} trials: {outcome.statuses}")
    seconds = time.perf_counter() - started
    sizes = sizes or [memory.resident(os.getpid())]
    return {
        "seconds": seconds,
        "first": sizes[0],
        "early": sizes[len(sizes) // 10],
        "late": memory.resident(os.getpid()),
        "peak": memory.peak(os.getpid()),
    }


def _memory(samples: Sequence[Sample]) -> tuple[int, int]:
    """Of the driver, and of the largest process that runs trials."""
    return max(one.memory for one in samples), max(one.trial_memory for one in samples)


if __name__ == "__main__":
    print(json.dumps(_drive(Path(sys.argv[1]), int(sys.argv[2]))))
