"""Studies that train on GPUs and on nodes without one: what is planned, asked for and refused, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import numbers, tiny

from ferray.config import Config
from ferray.errors import ConfigError
from ferray.ledger import Ledger
from ferray.running import plan as planning
from ferray.running.estimate import from_ledger, settled
from ferray.running.machine import Machine
from ferray.running.plan import make_plan, sentences
from ferray.running.price import sentences as price_sentences
from ferray.running.runner import run
from ferray.study import Study

MIXED: dict[str, Any] = {"gpus": 0.25, "cpu_nodes": True}
CLUSTER = Machine.of([(8, 0), (16, 2), (3, 0)], "the cluster")


def silent(line: str) -> None:
    """Says nothing."""


@pytest.mark.parametrize(
    ("fields", "machine", "split", "seats", "device"),
    [
        ({}, CLUSTER, (2, 11), 19, None),
        ({"base": {"threads": 2}, "ablate": None}, CLUSTER, (2, 5), 13, None),
        ({"cpus": 4}, CLUSTER, (2, 11), 19, None),  # for a GPU's process
        ({"gpus": 1}, CLUSTER, (2, 11), 75, None),
        ({"pack": 6}, CLUSTER, (2, 11), 23, None),
        ({}, Machine.of([(8, 1), (16, 2)], "the cluster"), (3, 0), 12, "cuda"),
        ({}, Machine.of([(8, 0), (4, 0)], "the cluster"), (0, 12), 12, "cpu"),
        ({}, Machine.of([(8, 0), (0.5, 2)], "the cluster"), (0, 8), 8, "cpu"),
        ({}, Machine(4, 1), (1, 0), 4, "cuda"),
        ({}, Machine(4, 0), (0, 4), 4, "cpu"),
    ],
)
def test_nodes_without_a_gpu_add_a_place_for_each_trial_s_threads(
    fields: dict[str, Any], machine: Machine, split: tuple[int, int], seats: int, device: str | None
) -> None:
    study = tiny(**{**MIXED, **fields})
    assert (machine.split(study), machine.seats(study), machine.device(study)) == (split, seats, device)
    assert machine.slots(study) == sum(split)
    assert machine.lack(study) is None


def test_without_leave_only_gpus_count() -> None:
    study = tiny(gpus=0.25)
    assert (CLUSTER.split(study), CLUSTER.seats(study), CLUSTER.device(study)) == ((2, 0), 8, "cuda")
    assert CLUSTER.fitted(study) is study


def test_without_any_gpu_it_runs_as_a_study_on_processors_does() -> None:
    nowhere = Machine.of([(8, 0), (4, 0)], "the cluster")
    fitted, plain = nowhere.fitted(tiny(**MIXED, cpus=4)), tiny()
    assert (fitted.gpus, fitted.processors, fitted.packing) == (plain.gpus, plain.processors, plain.packing)
    assert CLUSTER.fitted(tiny(**MIXED)).gpus == 0.25


def test_what_no_node_has_is_told_by_what_it_lacks() -> None:
    threads = {"base": {"threads": 9}, "ablate": None}
    assert Machine(4, 0).lack(tiny(**MIXED, **threads)) == (
        "each trial asks for 9 processors, and this machine has 4 (as many as its `threads`: write base.threads: 4 or less)"
    )
    assert "9 processors and 0.25 GPU" in str(Machine.of([(8, 0), (8, 1)], "the cluster").lack(tiny(**MIXED, **threads)))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"gpus": 0}, "cpu_nodes: trials have no GPUs, so that every node trains them as it is; leave it out, or set `gpus`"),
        ({"pack": "off"}, "which by `pack: off` they are not; leave `pack` out, or write pack: 1"),
        ({"gpus": 2}, "which by `gpus: 2` they are not; set `gpus` to 1 or less"),
        ({"budget": {"gpu_hours": 1}}, "budget.gpu_hours: what a trial occupies depends on where it trains"),
        ({"budget": {"processor_hours": 1}}, "budget.processor_hours: what a trial occupies depends on where it trains"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("(", r"\(")):
        tiny(**{**MIXED, **fields})
    assert tiny(**MIXED, budget={"hours": 1}).budget


def test_a_trial_has_one_key_wherever_it_trains_and_no_other_study_s() -> None:
    plain = tiny()
    keys = {name: [trial.key for trial in tiny(**fields).plan()] for name, fields in {"any": MIXED, "gpu": {"gpus": 1}, "cpu": {}}.items()}
    assert not set(keys["any"]) & {*keys["gpu"], *keys["cpu"]}
    assert keys["any"] == [trial.key for trial in tiny(gpus=1, cpu_nodes=True, pack=2).plan()]
    config = Config(device="any")
    assert (config.precision, config.on("cpu").device, config.on("cuda").device) == ("fp32", "cpu", "cuda")
    assert [trial.config.on("cuda") for trial in plain.plan()] == [trial.config for trial in plain.plan()], "only where any will do"


def test_the_plan_tells_places_of_both_kinds_and_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_cluster", lambda address: CLUSTER)
    plan = make_plan(tiny(**MIXED), tmp_path, address="127.0.0.1:1")
    assert (plan.slots, plan.added, plan.seconds) == (13, 11, None)
    assert sentences(plan)[-1] == (
        "2 processes of at most 4 and 11 trials on nodes without a GPU at a time on the cluster; how long that takes depends on which "
        "trials the GPUs come to train, and is not told in advance"
    )


def test_what_was_spent_and_what_is_left_is_known_where_there_is_one_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls, *, gpus: cls(2, 0)))
    study = tiny(**MIXED, seeds=1)
    assert run(study, tmp_path / "any", local=True, say=silent).statuses == {"finished": 2}
    ledger = Ledger(tmp_path / "any")
    assert {(ledger.record(key) or {})["environment"]["device"] for key in ledger.keys()} == {"cpu"}
    run(tiny(seeds=1), tmp_path / "cpu", local=True, say=silent)
    alone = Ledger(tmp_path / "cpu")
    assert sorted(numbers(ledger).values(), key=repr) == sorted(numbers(alone).values(), key=repr)
    plan = make_plan(Study(**{**study.model_dump(exclude_unset=True), "seeds": 2}), ledger.path)
    assert plan.pace.basis == "2 earlier trials"
    assert sentences(plan)[-1].startswith("about 1 s, 2 at a time on this machine (less than a processor-minute), by 2 earlier trials")
    assert price_sentences(plan.price)[0] == "the whole study: less than a process-minute"
    gpus, nobody_knows = (settled(plan.to_run, device) for device in ("cuda", None))  # type: ignore[arg-type]
    assert not from_ledger(ledger, gpus, study.load_data()), "processors tell nothing of a GPU"
    assert nobody_knows == []
