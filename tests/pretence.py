"""Training without a network in the workers of Ray, for tests of placement: each trial leaves where it ran, and from when to when."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from benchmarks import paced

FOLDER = "FERRAY_TEST_PRETENCE"
PATIENCE = 150.0


def install() -> None:
    """The hook of each worker's start."""
    paced.replace_training(fit)


def fit(config: Any, data: Any, state: Any = None, **options: Any) -> Iterator[Any]:
    """One epoch, which lasts until as many trials as are expected at a time have begun."""
    folder = Path(os.environ[FOLDER])
    begun = time.time()
    context = ray.get_runtime_context()
    place = f"{context.get_node_id()[:8]}:{os.environ.get('CUDA_VISIBLE_DEVICES', '')}"
    mark = folder / f"{config.width:g}-{config.seed}.json"
    mark.write_text("")
    expected = int((folder / "expected").read_text())
    while len(list(folder.glob("*.json"))) < expected and time.time() < begun + PATIENCE:
        time.sleep(0.02)
    time.sleep(0.2)
    mark.write_text(json.dumps({"place": place, "begun": begun, "ended": time.time()}))
    yield from paced.epoch(1, time.time() - begun)


@contextmanager
def pretended(folder: Path, **connection: Any) -> Iterator[None]:
    """A connection to Ray, by options of ``ray.init``, whose workers pretend to train and leave their marks in the folder."""
    there = {FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    ray.init(**connection, log_to_driver=False, runtime_env={"env_vars": there, "worker_process_setup_hook": "pretence.install"})
    try:
        yield
    finally:
        ray.shutdown()


def marks(folder: Path) -> list[dict[str, Any]]:
    """What the trials left, and takes it away."""
    found = []
    for file in sorted(folder.glob("*.json")):
        found.append(json.loads(file.read_text()))
        file.unlink()
    return found


def most_at_a_time(marks: list[dict[str, Any]]) -> dict[str, int]:
    """By place, how many trials ran there at the same time at most."""
    places = {one["place"]: [own for own in marks if own["place"] == one["place"]] for one in marks}
    return {
        place: max(sum(other["begun"] <= one["begun"] < other["ended"] for other in own) for one in own) for place, own in places.items()
    }
