"""Trials spread over all GPUs of a cluster, by the fractions that a study asks for; the GPUs are pretended, and so is the training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pretence import marks, most_at_a_time, pretended
from ray.cluster_utils import Cluster
from studies import tiny

from ferray.ledger import Ledger
from ferray.running.connection import there
from ferray.running.machine import Machine
from ferray.running.plan import make_plan, sentences
from ferray.running.runner import run
from ferray.study import Study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there, and would not be pretended"),
]


def study(trials: int, **changes: Any) -> Study:
    return tiny(ablate=None, seeds=trials, base={"epochs": 1}, pack="off", **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Connected to three nodes, of which the driver's has no GPU and the others have two and one; trials leave their marks there."""
    place = tmp_path_factory.mktemp("marks")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 0})
    try:
        cluster.add_node(num_cpus=8, num_gpus=2)
        cluster.add_node(num_cpus=4, num_gpus=1)
        cluster.wait_for_nodes()
        with pretended(place, address=cluster.address):
            yield place
    finally:
        cluster.shutdown()


@pytest.mark.parametrize(("fraction", "at_a_time"), [(0.5, 2), pytest.param(0.25, 4, marks=pytest.mark.long)])
def test_fractions_fill_every_gpu_of_every_node(folder: Path, tmp_path: Path, fraction: float, at_a_time: int) -> None:
    slots = there().slots(study(1, gpus=fraction))
    assert slots == 3 * at_a_time
    (folder / "expected").write_text(str(slots))
    asked = study(slots + 2, gpus=fraction)
    assert run(asked, tmp_path, say=lambda line: None).statuses == {"finished": slots + 2}
    found = marks(folder)
    assert sorted(most_at_a_time(found).values()) == [at_a_time] * 3, "as many as there is room for, and no more"
    ledger = Ledger(tmp_path)
    environments = [(ledger.record(key) or {})["environment"] for key in ledger.keys()]
    gpus = sorted(one["place"].partition(":")[2] for one in found)
    assert sorted(one["visible_gpus"] for one in environments) == gpus
    assert set(gpus) == {"0", "1"}
    assert {(one["device"], one["precision"]) for one in environments} == {("cuda", "bf16")}


def test_trials_on_processors_run_on_nodes_with_and_without_gpus(folder: Path, tmp_path: Path) -> None:
    asked = study(4, cpus=4.0)
    assert there().slots(asked) == 4
    (folder / "expected").write_text("4")
    assert run(asked, tmp_path, say=lambda line: None).statuses == {"finished": 4}
    assert sorted(most_at_a_time(marks(folder)).values()) == [1, 1, 2]


def test_the_plan_counts_slots_node_by_node(folder: Path, tmp_path: Path) -> None:
    plan = make_plan(study(6, gpus=0.4, cpus=3.0), tmp_path)
    assert (plan.machine.name, plan.machine.gpus, plan.slots) == ("the cluster", 3, 3), "two on the node of two GPUs, one on the other"
    told = sentences(make_plan(study(1, gpus=1.0, cpus=16.0), tmp_path))[-1]
    assert told.endswith("nodes of 4 processors and no GPU; 4 processors and 1 GPU; 8 processors and 2 GPUs")


def test_what_no_node_has_is_told_before_it_is_waited_for() -> None:
    cluster = Machine.of([(16, 0), (4, 1), (4, 1)], "the cluster")
    assert cluster.lack(study(1, gpus=2.0)) == (
        "each trial asks for 1 processor and 2 GPUs on one node, and the cluster has nodes of 4 processors and 1 GPU; "
        "16 processors and no GPU"
    )
    assert cluster.lack(study(1, gpus=1.0, cpus=8.0)) is not None
    assert cluster.lack(study(1, cpus=16.0)) is None
