"""Records reach the machine that drives from every node, with no folder in common."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from studies import numbers, tiny

from ferray.ledger import Ledger
from ferray.running.runner import run

STUDY = tiny(seeds=4)
ASIDE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--uts"]


def can_set_a_node_aside() -> bool:
    """Whether this machine lets a process have file systems and a host name of its own."""
    trial = [*ASIDE, "sh", "-c", "mount -t tmpfs none /mnt && hostname elsewhere"]
    return shutil.which("unshare") is not None and subprocess.run(trial, capture_output=True, check=False).returncode == 0


@contextmanager
def node_elsewhere(address: str, hidden: Path) -> Iterator[None]:
    """A second node that calls itself ``elsewhere`` and has an empty disk where the first has the ledger."""
    start = f"hostname elsewhere && mount -t tmpfs none {hidden} && exec {sys.executable} -m ray.scripts.scripts start"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    node = subprocess.Popen(
        [*ASIDE, "sh", "-c", f"{start} --address={address} --num-cpus=1 --block --disable-usage-stats"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        node.terminate()
        node.wait()


@pytest.mark.slow
@pytest.mark.skipif(not can_set_a_node_aside(), reason="needs namespaces, to give the second node file systems of its own")
def test_every_record_arrives_from_a_node_with_folders_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = tmp_path / "storage"
    storage.mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        with node_elsewhere(cluster.address, storage):
            wait_for_processors(cluster.address, 2)
            monkeypatch.setenv("RAY_ADDRESS", cluster.address)
            outcome = run(STUDY, storage, say=lambda line: None)
    finally:
        cluster.shutdown()
    assert (outcome.trained, outcome.statuses) == (8, {"finished": 8})
    ledger = Ledger(storage)
    hosts = [ledger.record(key)["environment"]["host"] for key in ledger.keys()]  # type: ignore[index]
    assert "elsewhere" in hosts
    assert set(hosts) != {"elsewhere"}
    run(STUDY, tmp_path / "here", local=True, say=lambda line: None)
    assert numbers(ledger) == numbers(Ledger(tmp_path / "here"))


def wait_for_processors(address: str, count: int) -> None:
    ray.init(address, log_to_driver=False)
    end = time.monotonic() + 60
    while ray.cluster_resources().get("CPU", 0) < count:
        assert time.monotonic() < end, "the second node did not come"
        time.sleep(0.2)
    ray.shutdown()
