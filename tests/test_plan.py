"""The plan: what would run, what is there, and how long the rest takes; nothing is trained or written."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from studies import tiny

from ferray.ledger import Ledger
from ferray.running import estimate
from ferray.running.confirmation import Confirmation
from ferray.running.estimate import Pace
from ferray.running.machine import Machine
from ferray.running.plan import Plan, make_plan, sentences
from ferray.running.plan_tables import drawn
from ferray.running.runner import run
from ferray.study import Study
from ferray.trial import Trial


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    storage = tmp_path_factory.mktemp("storage")
    run(tiny(), storage, local=True, say=lambda line: None)
    return Ledger(storage)


def shown(plan: Plan, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), record=True, width=width, color_system=None)
    console.print(drawn(plan))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_the_plan_shows_what_is_there_by_variant_and_seed(ledger: Ledger) -> None:
    plan = make_plan(tiny(seeds=3), ledger.path)
    assert shown(plan)[:3] == [
        "variant          seed 0         seed 1         seed 2",
        "baseline         in the ledger  in the ledger  to run",
        "no-augmentation  in the ledger  in the ledger  to run",
    ]
    told = sentences(plan)
    assert told[0].startswith("study tiny on synthetic faces: 140 train, ")
    assert told[1].startswith("design path: augmentation taken away")
    assert told[2:4] == ["6 trials planned: 4 in the ledger, 2 to run", "2 trials to run, 4 epochs"]
    assert "on this machine" in told[4]
    assert told[4].endswith(", by 4 earlier trials")


def test_half_trained_and_failed_trials_are_shown_as_such(tmp_path: Path) -> None:
    study = tiny(seeds=2)
    run(study, tmp_path, local=True, say=lambda line: None)
    ledger = Ledger(tmp_path)
    half, failed = study.plan()[:2]
    ledger.record_file(half.key).unlink()
    ledger.checkpoint_file(half.key).write_bytes(b"x")
    ledger.epochs_file(half.key).write_text(ledger.epochs_file(half.key).read_text().splitlines()[0] + "\n")
    record = ledger.record_file(failed.key)
    record.write_text(record.read_text().replace('"finished"', '"failed"'))
    plan = make_plan(study, tmp_path)
    assert "1/2 epochs" in shown(plan)[1]
    assert "failed" in shown(plan)[2]
    assert (len(plan.to_run), plan.epochs_left) == (1, 1)
    assert "failed trials stay as they are; --retry-failed runs them again" in sentences(plan)
    again = make_plan(study, tmp_path, retry_failed=True)
    assert len(again.to_run) == 2


def test_samples_of_a_search_and_many_seeds_are_counted(ledger: Ledger) -> None:
    study = tiny(seeds=2, search={"l2": {"loguniform": [1e-6, 1e-3]}}, num_samples=5)
    lines = shown(make_plan(study, ledger.path))
    assert lines[0].split() == ["variant", "samples", "seeds", "trials", "to", "run"]
    assert lines[1].split() == ["baseline", "5", "2", "10", "10"]


def test_a_fractions_generators_and_aliases_are_told(ledger: Ledger) -> None:
    study = tiny(ablate={"design": "fractional", "resolution": 4, "remove": ["augmentation", "l1", "batch_norm", "dropout"]})
    plan = make_plan(study, ledger.path)
    assert len(plan.trials) == 16
    assert sentences(plan)[1:8] == [
        "design fractional: 8 of the 2^4 = 16 combinations of augmentation, l1, batch_norm, dropout",
        "resolution IV: main effects are clear of one another and of interactions of two",
        "generators: dropout = augmentation x l1 x batch_norm",
        "defining relation: I = augmentation x l1 x batch_norm x dropout",
        "not told apart: augmentation x l1 = batch_norm x dropout",
        "not told apart: augmentation x batch_norm = l1 x dropout",
        "not told apart: augmentation x dropout = l1 x batch_norm",
    ]


def test_samples_that_were_drawn_again_are_told(tmp_path: Path) -> None:
    study = tiny(ablate=None, seeds=1, search={"l2": {"choice": [1e-6, 1e-5]}}, num_samples=3)
    plan = make_plan(study, tmp_path)
    assert len(plan.trials) == 2
    assert sentences(plan)[2] == "2 of 3 samples (a value was drawn again)"
    again = make_plan(tiny(ablate=None, seeds=1, search={"l2": {"loguniform": [1e-6, 1e-3]}}, num_samples=3), tmp_path)
    assert again.draws == []


def test_a_finished_study_has_nothing_to_run(ledger: Ledger) -> None:
    assert sentences(make_plan(tiny(), ledger.path))[-1] == "nothing to run"


def test_a_tuned_study_shows_both_phases_and_prices_them_together(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def known(ledger: Ledger, trials: list[Trial], *_: Any, **__: Any) -> Pace:
        return Pace({trial.key: 60.0 for trial in trials}, "1 earlier trial")

    monkeypatch.setattr("ferray.running.plan.from_ledger", known)
    search = {"l1": {"loguniform": [1e-6, 1e-3]}}
    study = tiny(seeds=3, search=search, num_samples=4, tuning={"seeds": 2}, variants={"no-l1": {"l1": 0.0}})
    plan = make_plan(study, ledger.path, local=True)
    lines = shown(plan)
    assert [line.split() for line in lines[:4]] == [
        ["tuning", "samples", "seeds", "trials", "to", "run"],
        ["baseline", "4", "2", "8", "8"],
        ["no-augmentation", "4", "2", "8", "8"],
        ["no-l1", "1", "2", "2", "2"],
    ]
    assert [line.split() for line in lines[5:9]] == [
        ["confirmation", "trials,", "at", "most"], ["baseline", "3"], ["no-augmentation", "6"], ["no-l1", "3"],
    ]  # fmt: skip
    told = sentences(plan)
    assert "no-l1 has 1 sample to choose from, not 4: it fixes what tells the others apart" in told
    assert told[-2] == "18 trials to run, 36 epochs, and then at most 12 trials of confirmation, 24 epochs"
    assert plan.seconds == plan.trial_seconds == 60 * 60


def test_the_phases_of_a_plan_do_not_overlap_in_time() -> None:
    study = tiny(seeds=1, search={"l1": {"grid_search": [1e-6, 1e-5, 1e-4]}}, tuning={}, ablate=None)
    trials = study.plan()
    after = Confirmation(expected=trials[:1])
    pace = Pace({trial.key: 1.0 for trial in trials}, "1 earlier trial")
    states = {trial.key: "to run" for trial in trials}
    plan = Plan("tiny", "data", trials, states, {}, False, Machine(2, 0), 2, 1.0, 0.0, pace, after=after)
    assert (plan.seconds, plan.trial_seconds) == (2 * 2 + 2, 4 * 2)


def test_without_earlier_trials_a_probe_tells_and_nothing_is_written(tmp_path: Path) -> None:
    said: list[str] = []
    plan = make_plan(tiny(), tmp_path / "storage", say=said.append)
    assert said == ["probing how fast this machine trains: a few steps of each network, nothing is kept"]
    assert sentences(plan)[-1].endswith(", by a probe of 3 training steps")
    assert plan.seconds is not None
    assert plan.trial_seconds is not None
    assert 0 < plan.seconds <= plan.trial_seconds
    assert not (tmp_path / "storage").exists()


def test_a_run_and_a_plan_begin_with_the_notes_on_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tiny()
    data = replace(study.load_data(), notes=("2 images were left out", "left aside: " + "x" * 300))
    monkeypatch.setattr(Study, "load_data", lambda self: data)
    notes = ["note: 2 images were left out", "note: left aside: " + "x" * 185 + "..."]
    ran: list[str] = []
    run(study, tmp_path, local=True, say=ran.append)
    planned: list[str] = []
    make_plan(study, tmp_path, say=planned.append)
    assert (ran[:2], planned) == (notes, notes)


def test_a_study_that_this_machine_cannot_run_is_told_so_and_not_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "from_probe", None)
    told = sentences(make_plan(tiny(cpus=1000.0), tmp_path))
    assert told[-1].startswith("this machine cannot run it: each trial asks for 1000 processors, and it has ")


@pytest.mark.parametrize(
    ("changes", "machine", "slots"),
    [
        ({}, Machine(8, 0), 8),
        ({"base": {"threads": 3}, "ablate": None}, Machine(8, 0), 2),
        ({"cpus": 0.5}, Machine(2, 0), 4),
        ({"gpus": 0.25}, Machine(16, 2), 8),
        ({"gpus": 0.25}, Machine(3, 2), 3),
        ({"gpus": 0.4}, Machine(16, 2), 4),  # two on each GPU; no trial has parts of both
        ({"gpus": 0.3333}, Machine(16, 2), 6),
        ({"gpus": 0.1667}, Machine(16, 2), 12),  # a sixth, which Ray rounds
        ({"gpus": 0.335}, Machine(16, 2), 4),
        ({"gpus": 0.5}, Machine.of([(8, 0), (1, 1), (8, 2)], "the cluster"), 5),  # one node has a processor for one trial only
        ({"gpus": 2.0}, Machine.of([(8, 1), (8, 3)], "the cluster"), 1),
        ({"cpus": 3.0}, Machine.of([(4, 0), (5, 1)], "the cluster"), 2),
        ({"gpus": 2.0}, Machine(16, 3), 1),
        ({"gpus": 1.0}, Machine(16, 0), 0),
    ],
)
def test_as_many_trials_run_at_a_time_as_processors_and_gpus_allow(changes: dict[str, Any], machine: Machine, slots: int) -> None:
    assert machine.slots(tiny(pack="off", **changes)) == slots


def test_the_time_is_told_as_wall_time_and_as_processor_or_gpu_hours() -> None:
    study = tiny(seeds=4)
    trials = study.plan()
    states = {trial.key: "to run" for trial in trials}

    def told(slots: int, processors: float, gpus: float, seconds: float = 1800.0) -> str:
        pace = Pace({trial.key: seconds for trial in trials}, "1 earlier trial")
        return sentences(Plan("tiny", "data", trials, states, {}, False, Machine(4, 1, "the cluster"), slots, processors, gpus, pace))[-1]

    assert told(4, 1.0, 0.0) == "about 2 h, 4 at a time on the cluster (8.0 processor-hours), by 1 earlier trial"
    assert told(8, 1.0, 0.25) == "about 1 h, 8 at a time on the cluster (2.0 GPU-hours), by 1 earlier trial"
    assert "(1 processor-minute)" in told(4, 1.0, 0.0, 4.0)
    assert "(less than a processor-minute)" in told(4, 1.0, 0.0, 0.1)


def test_one_trial_of_one_epoch_is_no_plural(tmp_path: Path) -> None:
    study = tiny(ablate=None, seeds=1, base={**tiny().base, "epochs": 1})
    assert sentences(make_plan(study, tmp_path))[1:3] == ["1 trial planned: 1 to run", "1 trial to run, 1 epoch"]
    said: list[str] = []
    run(study, tmp_path, local=True, say=said.append)
    assert said[0] == "study tiny: 1 trial planned, 0 in the ledger, 1 to run (about 1 epoch)"
