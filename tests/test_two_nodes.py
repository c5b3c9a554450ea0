"""Records reach the machine that drives from every node, with no folder in common, however trials are spread over nodes and processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from studies import numbers, tiny

from ferray.ledger import Ledger, attempts
from ferray.running.connection import there
from ferray.running.plan import make_plan, sentences
from ferray.running.runner import run
from ferray.study import Study

PATIENCE = 100
"""Seconds that a run may take on a machine with other work."""
ASIDE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--uts"]


def can_set_a_node_aside() -> bool:
    """Whether this machine lets a process have file systems and a host name of its own."""
    trial = [*ASIDE, "sh", "-c", "mount -t tmpfs none /mnt && hostname elsewhere"]
    return shutil.which("unshare") is not None and subprocess.run(trial, capture_output=True, check=False).returncode == 0


@contextmanager
def node_elsewhere(address: str, hidden: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A second node that calls itself ``elsewhere`` and has an empty disk where the first has the ledger."""
    start = f"hostname elsewhere && mount -t tmpfs none {hidden} && exec {sys.executable} -m ray.scripts.scripts start"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    node = subprocess.Popen(
        [*ASIDE, "sh", "-c", f"{start} --address={address} --num-cpus=1 --block --disable-usage-stats"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield node
    finally:
        node.terminate()
        node.wait()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3 * PATIENCE),
    pytest.mark.skipif(not can_set_a_node_aside(), reason="needs namespaces, to give the second node file systems of its own"),
]


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Connected to two nodes of a processor each, the driver's with a pretended GPU; a folder that the second lacks, and its process."""
    folder = tmp_path_factory.mktemp("storage")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
    try:
        with node_elsewhere(cluster.address, folder) as node:
            ray.init(cluster.address, log_to_driver=False)
            wait_for_processors(2)
            yield folder, node
            ray.shutdown()
    finally:
        cluster.shutdown()


def hosts(ledger: Ledger) -> set[str]:
    """Where the trials that have ended did so."""
    return {record["environment"]["host"] for key in ledger.keys() if (record := ledger.record(key))}


def same_as_alone(study: Study, ledger: Ledger, storage: Path) -> bool:
    run(study, storage, local=True, say=lambda line: None)
    return numbers(ledger) == numbers(Ledger(storage))


@pytest.mark.parametrize("pack", ["auto", 2])
def test_every_record_arrives_from_a_node_with_folders_of_its_own(
    tmp_path: Path, second: tuple[Path, subprocess.Popen[bytes]], pack: str | int
) -> None:
    storage = second[0] / f"pack-{pack}"
    study = tiny(seeds=4, pack=pack)
    outcome = run(study, storage, say=lambda line: None)
    assert (outcome.trained, outcome.statuses) == (8, {"finished": 8})
    ledger = Ledger(storage)
    assert "elsewhere" in hosts(ledger)
    assert len(hosts(ledger)) == 2
    assert same_as_alone(study, ledger, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there, and would not be pretended")
def test_a_node_without_a_gpu_trains_as_well_and_as_it_is_lost_its_trial_goes_on_on_the_other(
    tmp_path: Path, second: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    """As the last, since the node is gone then. The GPU is pretended, so that its process trains on processors, too."""
    storage, node = second[0] / "mixed", second[1]
    study = tiny(seeds=3, gpus=0.5, cpu_nodes=True, base={**tiny().base, "epochs": 20})
    assert (there().split(study), there().seats(study)) == ((1, 1), 3)
    assert sentences(make_plan(study, storage))[-1] == (
        "1 process of at most 2 and 1 trial on nodes without a GPU at a time on the cluster; how long that takes depends on which trials "
        "the GPUs come to train, and is not told in advance"
    )
    ledger = Ledger(storage)
    interfering = threading.Thread(target=lambda: taken_away(node, ledger), daemon=True)
    interfering.start()
    outcome = run(study, storage, say=lambda line: None)
    interfering.join()
    assert outcome.statuses == {"finished": 6}
    records = [ledger.record(key) or {} for key in ledger.keys()]
    assert len(hosts(ledger)) == 2, "the second node's, and that of the GPU"
    (moved,) = [record for record in records if record.get("elsewhere")]
    (before,) = moved["elsewhere"]
    assert before["environment"]["host"] == "elsewhere"
    assert before["from_epoch"] == 1
    assert moved["environment"]["host"] != "elsewhere"
    assert {record["environment"]["device"] for record in records} == {"cpu"}
    assert same_as_alone(study, ledger, tmp_path)


def taken_away(node: subprocess.Popen[bytes], ledger: Ledger) -> None:
    """Ends the second node once a trial has ended there, and another one can go on from what it has."""

    def is_under_way(key: str) -> bool:
        places = attempts.environments(ledger.attempts_file(key))
        return any(one["host"] == "elsewhere" for one in places) and ledger.resumable_epochs(key) >= 3 and not ledger.record(key)

    end = time.monotonic() + PATIENCE
    while not ("elsewhere" in hosts(ledger) and any(is_under_way(key) for key in ledger.keys())):
        if time.monotonic() > end:
            return  # of which the test hears, as no trial has moved
        time.sleep(0.02)
    for child in Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text() == "raylet\n":
            os.kill(int(child), signal.SIGKILL)  # terminated, it would wait for what runs there


def wait_for_processors(count: int) -> None:
    end = time.monotonic() + 60
    while ray.cluster_resources().get("CPU", 0) < count:
        assert time.monotonic() < end, "the second node did not come"
        time.sleep(0.2)
