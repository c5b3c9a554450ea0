"""Budgets: a run ends cleanly once they are spent, and goes on, with the same numbers, when there is more to spend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import numbers, tiny

from ferray.errors import ConfigError
from ferray.ledger import Ledger
from ferray.running.meter import Meter, recorded_seconds
from ferray.running.runner import run

STUDY = tiny(base={**tiny().base, "epochs": 3})
NEXT_TO_NOTHING = {"processor_hours": 1e-9}
"""It is spent by the first epoch."""


def silent(line: str) -> None:
    """Says nothing."""


def with_budget(**budget: float) -> Any:
    return tiny(base={**tiny().base, "epochs": 3}, budget=budget)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    storage = tmp_path_factory.mktemp("undisturbed")
    run(STUDY, storage, local=True, say=silent)
    return Ledger(storage)


@pytest.mark.parametrize("how", ["local", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_a_run_ends_at_its_budget_and_goes_on_with_a_larger_one(undisturbed: Ledger, tmp_path: Path, how: str) -> None:
    said: list[str] = []
    outcome = run(with_budget(**NEXT_TO_NOTHING), tmp_path, local=how == "local", say=said.append)
    ledger = Ledger(tmp_path)
    begun = [key for key in ledger.keys() if ledger.epochs(key)]
    assert outcome.out_of_budget
    assert not outcome.interrupted
    assert outcome.trained == 0
    assert 1 <= len(begun) < 4
    assert all(ledger.resumable_epochs(key) == 1 and ledger.status(key) == "interrupted" for key in begun)
    assert said[-1] == (
        f"the budget of 1e-09 processor-hours is spent: 4 trials are left, {len(begun)} of them from a checkpoint; "
        "the same command goes on once `budget` is larger"
    )
    again = run(with_budget(processor_hours=1.0), tmp_path, local=True, say=silent)
    assert (again.out_of_budget, again.statuses) == (False, {"finished": 4})
    assert numbers(ledger) == numbers(undisturbed)


def test_a_spent_budget_begins_nothing_and_a_finished_study_needs_none(undisturbed: Ledger, tmp_path: Path) -> None:
    run(with_budget(**NEXT_TO_NOTHING), tmp_path, local=True, say=silent)
    before = numbers(Ledger(tmp_path))
    outcome = run(with_budget(**NEXT_TO_NOTHING), tmp_path, local=False, say=silent)
    assert outcome.out_of_budget
    assert numbers(Ledger(tmp_path)) == before
    assert not run(with_budget(**NEXT_TO_NOTHING), undisturbed.path, local=True, say=silent).out_of_budget


def test_a_budget_leaves_whole_blocks(undisturbed: Ledger, tmp_path: Path) -> None:
    study = tiny(base={**tiny().base, "epochs": 1}, seeds=3)
    run(study.model_copy(update={"seeds": 1}), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    keys = [trial.key for trial in study.plan()]
    hours = recorded_seconds(ledger, keys) / 3600
    outcome = run(tiny(base=study.base, seeds=3, budget={"processor_hours": hours * 1.0001}), tmp_path, local=True, say=silent)
    finished = [trial.config.seed for trial in study.plan() if ledger.status(trial.key) == "finished"]
    assert outcome.out_of_budget
    assert finished[:2] == [0, 0]
    assert set(finished[2:]) <= {1}


def test_trials_that_are_named_run_whatever_the_budget(tmp_path: Path) -> None:
    study = with_budget(**NEXT_TO_NOTHING)
    run(study, tmp_path, local=True, say=silent)
    key = study.plan()[0].key
    assert run(study, tmp_path, local=True, only=[key], say=silent).statuses == {"finished": 1}


def test_a_budget_of_hours_goes_by_the_clock() -> None:
    now = 100.0
    meter = Meter(7200.0, rate=None, clock=lambda: now)
    assert not meter.pay(9999.0)  # epochs of trials beside each other take the same time
    now += 7199.0
    assert not meter.is_empty()
    now += 1.0
    assert meter.is_empty()


def test_a_meter_counts_what_each_trial_occupies(undisturbed: Ledger) -> None:
    keys = undisturbed.keys()
    seconds = sum(row["seconds"] for key in keys for row in undisturbed.epochs(key))
    study = tiny(cpus=2.0, budget={"processor_hours": 1.0})
    meter = Meter.of(study, undisturbed, keys)
    assert meter is not None
    assert meter.spent == pytest.approx(2 * seconds)
    assert not meter.pay(1.0)
    assert meter.spent == pytest.approx(2 * seconds + 2)
    assert meter.pay(1800.0)
    assert Meter.of(tiny(), undisturbed, keys) is None


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "budget: needs one of gpu_hours (of all GPUs in use), processor_hours (of all processors in use)"),
        ({"hours": 1.0, "gpu_hours": 1.0}, "not gpu_hours and hours"),
        ({"gpu_hours": 3.0}, "budget.gpu_hours: trials have no GPUs"),
        ({"hour": 3.0}, "budget.hour: unknown key; did you mean 'hours'?"),
        ({"hours": 0.0}, "budget.hours: must be greater than 0"),
    ],
)
def test_a_budget_that_says_nothing_is_refused(budget: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(budget=budget)
    assert message in str(caught.value)


def test_a_budget_changes_no_key() -> None:
    assert [trial.key for trial in with_budget(hours=1.0).plan()] == [trial.key for trial in STUDY.plan()]
