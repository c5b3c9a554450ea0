"""Studies whose trials share processes: the same records, whatever becomes of a trial or a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from studies import numbers, tiny

from ferray.errors import ConfigError
from ferray.ledger import Ledger
from ferray.running.machine import Machine
from ferray.running.meter import rate_of
from ferray.running.runner import run
from ferray.study import Study

PATIENCE = 200
"""Seconds that a driver may take on a machine with other work."""
DRIVER = """
import sys
from studies import tiny
from ferray.running.runner import run
outcome = run(tiny(pack=3, base={**tiny().base, "epochs": 30}), sys.argv[1])
print("TRAINED", outcome.trained, outcome.statuses, flush=True)
sys.exit(130 if outcome.interrupted else 0)
"""
OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, breaks=False):
        super().__init__()
        self.breaks = breaks
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, x):
        if self.breaks and self.training and len(x) > 4:
            raise ValueError("this network is broken")
        return self.layers(x)
"""


def silent(line: str) -> None:
    """Says nothing."""


def same_as_alone(study: Study, ledger: Ledger, storage: Path) -> bool:
    run(study, storage, local=True, say=silent)
    return numbers(ledger) == numbers(Ledger(storage))


@pytest.mark.parametrize(
    ("fields", "packed", "most", "slots"),
    [
        ({}, False, 1, 8),
        ({"pack": "off"}, False, 1, 8),
        ({"pack": 4}, True, 4, 8),
        ({"pack": 4, "cpus": 2}, True, 4, 4),
        ({"gpus": 1}, True, None, 2),
        ({"gpus": 0.25}, True, 4, 2),
        ({"gpus": 0.25, "pack": 6}, True, 6, 2),
        ({"gpus": 0.25, "pack": "off"}, False, 1, 8),
        ({"gpus": 2}, False, 1, 1),
    ],
)
def test_a_study_says_how_its_trials_share_processes(fields: dict[str, Any], packed: bool, most: int | None, slots: int) -> None:
    study = tiny(**fields)
    assert (study.packing.is_on, study.packing.most, Machine(8, 2).slots(study)) == (packed, most, slots)


def test_yaml_s_off_is_the_word(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("pack: off\ndata: synthetic\n")
    assert Study.load(tmp_path / "a.yaml").pack == "off"
    for wrong in ("on", "some", "0", "1.5", "-3"):
        (tmp_path / "a.yaml").write_text(f"pack: {wrong}\ndata: synthetic\n")
        with pytest.raises(ConfigError, match=r"line 1: pack: must be"):
            Study.load(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="pack: trials that have 2 GPUs each share no process"):
        tiny(pack=2, gpus=2)


def test_how_trials_share_processes_is_no_part_of_their_keys() -> None:
    assert [trial.key for trial in tiny(pack=3).plan()] == [trial.key for trial in tiny().plan()]
    assert [trial.key for trial in tiny(gpus=0.5, pack="off").plan()] == [trial.key for trial in tiny(gpus=1).plan()]


def test_a_gpu_that_is_shared_is_paid_once() -> None:
    assert rate_of(tiny(gpus=0.25, budget={"gpu_hours": 1})) == 1
    assert rate_of(tiny(gpus=0.25, budget={"gpu_hours": 1}, pack="off")) == 0.25


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE)
def test_packed_trials_have_the_records_of_trials_that_are_alone_and_one_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    variants = {"own": {"model": "./own.py:Net"}, "broken": {"model": "./own.py:Net", "model_arguments": {"breaks": True}}}
    base = {"epochs": 2, "batch_size": 32, "precision": "fp32"}
    study = tiny(pack=3, ablate=None, variants=variants, base=base)
    assert run(study, tmp_path / "packed", say=silent).statuses == {"finished": 4, "failed": 2}
    ledger = Ledger(tmp_path / "packed")
    records = {trial.variant: ledger.record(trial.key) for trial in study.plan()}
    failed, finished = records["broken"], records["baseline"]
    assert failed is not None
    assert failed["error"]["message"] == "this network is broken"
    assert "own.py" in failed["error"]["traceback"]
    assert finished is not None
    assert finished["environment"]["footprint"] >= 0
    assert same_as_alone(tiny(ablate=None, variants=variants, base=base), ledger, tmp_path / "alone")
    for key in ledger.keys():
        weights = [one.weights_file(key) for one in (ledger, Ledger(tmp_path / "alone"))]
        assert weights[0].exists() == weights[1].exists()
        assert not weights[0].exists() or weights[0].read_bytes() == weights[1].read_bytes()


def start(storage: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(storage)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def under_way(storage: Path) -> subprocess.Popen[str]:
    """A driver of which a trial has epochs and a checkpoint in the ledger."""
    driver, ledger = start(storage), Ledger(storage)
    end = time.monotonic() + PATIENCE
    while not any(len(ledger.epochs(key)) >= 3 and ledger.checkpoint_file(key).exists() for key in ledger.keys()):
        assert time.monotonic() < end, "waited in vain"
        assert driver.poll() is None, driver.communicate()[0]
        time.sleep(0.05)
    return driver


def below(process: int, name: str) -> list[int]:
    """The numbers of the living descendants of a process of this name."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (folder / "cmdline").read_bytes().split(b"\0")[0].decode().startswith(name):
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue

    def is_below(one: int) -> bool:
        return one == process or (one in parents and is_below(parents[one]))

    return [one for one in found if is_below(one)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """What the driver's trials come to by themselves."""
    storage = tmp_path_factory.mktemp("alone")
    run(tiny(base={**tiny().base, "epochs": 30}), storage, local=True, say=silent)
    return Ledger(storage)


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE)
@pytest.mark.parametrize("victim", ["ray::Host", pytest.param("ray::ImplicitFunc", marks=pytest.mark.long)])
def test_trials_of_a_process_that_is_killed_go_on_with_the_same_numbers(tmp_path: Path, victim: str, alone: Ledger) -> None:
    driver = under_way(tmp_path / "packed")
    killed = below(driver.pid, victim)
    assert killed
    os.kill(killed[0], signal.SIGKILL)
    output = driver.communicate(timeout=PATIENCE)[0]
    assert "{'finished': 4}" in output, output
    assert "died" in output
    ledger = Ledger(tmp_path / "packed")
    assert max(ledger.record(key)["attempts"] for key in ledger.keys()) > 1  # type: ignore[index]
    assert numbers(ledger) == numbers(alone)


@pytest.mark.long
@pytest.mark.timeout(3 * PATIENCE)
def test_ctrl_c_ends_packed_trials_cleanly_and_they_go_on_unpacked(tmp_path: Path, alone: Ledger) -> None:
    driver = under_way(tmp_path / "packed")
    driver.send_signal(signal.SIGINT)
    output = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 130, output
    assert "Traceback" not in output
    ledger = Ledger(tmp_path / "packed")
    study = tiny(base={**tiny().base, "epochs": 30})
    assert run(study, ledger.path, local=True, say=silent).statuses == {"finished": 4}
    assert numbers(ledger) == numbers(alone)


@pytest.mark.long
@pytest.mark.timeout(2 * PATIENCE)
def test_early_stopping_ends_packed_trials_and_others_take_their_seats(tmp_path: Path) -> None:
    study = tiny(
        pack=1,
        ablate=None,
        search={"learning_rate": {"grid_search": [0.03, 0.01, 1e-7, 2e-7]}},
        tuning={"scheduler": "asha", "grace_epochs": 3},
        base={**tiny().base, "epochs": 6, "augmentation": {"horizontal_flip": 0.5}},
        variants={"wider": {"width": 0.1}},
        seeds=1,
    )
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)  # so that good samples go before bad ones
    try:
        outcome = run(study, tmp_path, say=silent)
    finally:
        ray.shutdown()
    ledger = Ledger(tmp_path)
    hopeless = {trial.key for trial in study.plan() if trial.sample >= 2}
    assert {key for key in ledger.keys() if ledger.status(key) == "stopped"} == hopeless
    assert set(outcome.statuses) == {"finished", "stopped"}


@pytest.mark.long
@pytest.mark.timeout(2 * PATIENCE)
def test_a_budget_ends_packed_trials_with_what_they_have(tmp_path: Path) -> None:
    base = {**tiny().base, "epochs": 400}
    outcome = run(tiny(pack=3, base=base, budget={"processor_hours": 2 / 3600}), tmp_path, say=silent)
    assert outcome.out_of_budget
    ledger = Ledger(tmp_path)
    spent = sum(row["seconds"] for key in ledger.keys() for row in ledger.epochs(key))
    assert 1 < spent < 20
    assert any(ledger.checkpoint_file(key).exists() for key in ledger.keys())


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there, and would not be pretended")
def test_each_gpu_has_one_process_for_many_trials(tmp_path: Path) -> None:
    """The GPUs are pretended, so that trials fail over them, and may have all done so on the one whose process was there first."""
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    said: list[str] = []
    try:
        outcome = run(tiny(gpus=0.25, ablate=None, seeds=8, base={"epochs": 1}), tmp_path, say=said.append)
    finally:
        ray.shutdown()
    assert outcome.statuses == {"failed": 8}
    ledger = Ledger(tmp_path)
    records = [ledger.record(key) or {} for key in ledger.keys()]
    assert {record["environment"]["visible_gpus"] for record in records} <= {"0", "1"}
    assert all(re.search("finds no CUDA GPU", record["error"]["message"]) for record in records)
