"""What running a study costs beside its trainings: trials that do next to nothing, a first epoch, a thousand trials, and the same again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.contender import ROOT, Contender, in_turns
from benchmarks.figures import Figure, Spread

TRIALS = 100
"""In an experiment of ferray's; enough for what an experiment costs once to count little."""
PEERS = 10
"""In one of the peer's, whose trials take seconds."""


def figures(rounds: int, many: int) -> list[Figure]:
    """All of them; ``many`` trials stand for a large study."""
    return [_per_trial(rounds), *_first_epoch(rounds), *_many(many)]


def _per_trial(rounds: int) -> Figure:
    contenders = [
        Contender("ferray", "studies:trials", {"count": TRIALS}),
        Contender("Ray Tune", "peers.plain_tune:trials", {"count": PEERS}),
    ]
    samples = in_turns(contenders, rounds)
    own, other = ([1 / sample.rate for sample in samples[one.name]] for one in contenders)
    return Figure(
        key="warm_trial",
        title=f"a trial that does next to nothing, of {TRIALS} on a warm session of Ray",
        unit="s",
        value=Spread.of(own),
        peer=f"Ray Tune without reuse_actors, of {PEERS} that load torch",
        peer_value=Spread.of(other),
        ratio=Spread.of([one / beside for one, beside in zip(own, other, strict=True)]),
        better="less",
        memory=max(sample.memory for sample in samples["ferray"]),
        peer_memory=max(sample.memory for sample in samples["Ray Tune"]),
    )


def _first_epoch(rounds: int) -> list[Figure]:
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as storage:
            started = time.perf_counter()
            command = [sys.executable, "-u", "-m", "ferray.tune", "quickstart", "--storage", storage]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
                if process.stdout is None:
                    raise RuntimeError("the process was started without this pipe")
                for line in process.stdout:
                    if " epoch 1/" in line:
                        seconds.append(time.perf_counter() - started)
                        break
                process.terminate()
                process.stdout.read()
    title = "first epoch of the quickstart, after the command"
    if not seconds:
        return [Figure("first_epoch", title, "s", target=15.0, better="less", reason="no epoch was told")]
    return [Figure("first_epoch", title, "s", Spread.of(seconds), target=15.0, better="less")]


def _many(count: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as storage:
        told = [_study(storage, count), _study(storage, count)]
    first, again = told
    return [
        Figure("many_seconds", f"{count:,} trials that do next to nothing, each", "s", Spread.of([first["seconds"] / count])),
        Figure(
            "many_memory",
            f"growth of the driver's memory over the last nine tenths of {count:,} trials",
            "MB",
            Spread.of([(first["memory"] - first["memory_early"]) / 1e6]),
            target=200.0,
            better="less",
            memory=first["memory"],
        ),
        Figure(
            "all_in_ledger",
            f"the same study of {count:,} trials again, all in the ledger",
            "s",
            Spread.of([again["seconds"]]),
            target=5.0,
            better="less",
            memory=again["memory"],
        ),
    ]


def _study(storage: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.orchestration", storage, str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _driver(storage: Path, count: int) -> dict[str, float]:
    """The driver's side, in a process of its own: seconds of the whole command but Python's start, and its memory early and late."""
    from benchmarks import studies

    started = time.perf_counter()
    early = 0

    def say(line: str) -> None:
        nonlocal early
        if line.startswith(f"[{count // 10}/"):
            early = _resident()

    outcome = studies.study(list(range(count))).run(storage, say=say)
    if outcome.statuses.get("finished") != count:
        raise RuntimeError(f"of {count} trials: {outcome.statuses}")
    return {"seconds": time.perf_counter() - started, "memory": _resident(), "memory_early": early or _resident()}


def _resident() -> int:
    """Bytes of this process in memory now, as Linux tells it."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


if __name__ == "__main__":
    print(json.dumps(_driver(Path(sys.argv[1]), int(sys.argv[2]))))
