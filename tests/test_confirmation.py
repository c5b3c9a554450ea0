"""The two phases of a tuned study: what tuning chose by the ledger, and what runs after it, however the run is disturbed."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from studies import numbers, tiny

from ferray import Results, training
from ferray.analysis.report import make_report
from ferray.analysis.selection import chosen_samples, searching_trials, speaking_trials
from ferray.errors import LedgerError
from ferray.ledger import Ledger, catalog
from ferray.ledger.rerun import rerun
from ferray.running import work
from ferray.running.confirmation import confirmation
from ferray.running.plan import make_plan
from ferray.running.runner import Outcome, run
from ferray.study import Study

BASE = {**tiny().base, "epochs": 1}
GOOD = {"baseline": 0.02, "no-augmentation": 0.03}
"""The width of each variant's best sample, of those that are searched."""


def tuned(**changes: Any) -> Study:
    """Two variants, three samples, one seed to tune on and two to confirm on."""
    fields: dict[str, Any] = {"base": BASE, "search": {"width": {"grid_search": [0.01, 0.02, 0.03]}}, "tuning": {}}
    return tiny(**{**fields, **changes})


def rank_by_width(patch: pytest.MonkeyPatch) -> None:
    """Trainings as they are, but for the accuracies by which samples are chosen: best are the widths of GOOD."""
    real = training.fit

    def fit(config: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        variant = "baseline" if config.augmentation.rotation else "no-augmentation"
        for epoch in real(config, *arguments, **options):
            yield replace(epoch, row={**epoch.row, "validation_accuracy": 0.9 - abs(config.width - GOOD[variant])})

    patch.setattr(training, "fit", fit)


@pytest.fixture
def by_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which samples are best is known beforehand, and every epoch takes an hour."""
    rank_by_width(monkeypatch)
    ranked = training.fit

    def fit(*arguments: Any, **options: Any) -> Iterator[Any]:
        for epoch in ranked(*arguments, **options):
            yield replace(epoch, row={**epoch.row, "seconds": 3600.0})

    monkeypatch.setattr(training, "fit", fit)


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which samples are best is known beforehand."""
    rank_by_width(monkeypatch)


def silent(line: str) -> None:
    """Says nothing."""


def here(study: Study, storage: Path, say: Callable[[str], None] = silent, **options: Any) -> Outcome:
    return run(study, storage, local=True, say=say, **options)


def entries(storage: Path, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(entry[name] for name in names) for entry in Ledger(storage).study("tiny")["plan"]]


def copied(storage: Path, to: Path) -> None:
    shutil.copytree(storage, to, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned study that has run."""
    path = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        rank_by_width(patch)
        outcome = here(tuned(), path)
    assert (outcome.trained, outcome.statuses) == (6 + 2 + 2 + 2, {"finished": 12})
    return path


def test_one_run_tunes_and_confirms_and_keeps_both_phases_for_the_report(storage: Path) -> None:
    document = Ledger(storage).study("tiny")
    assert document["tuning"]["chosen"] == {"baseline": 1, "no-augmentation": 2}
    assert (document["tuning"]["seeds"], document["tuning"]["scheduler"]) == ([1_000_000], "none")
    found = entries(storage, "phase", "variant", "sample", "seed")
    assert found[:6] == [("tuning", name, sample, 1_000_000) for sample in range(3) for name in ("baseline", "no-augmentation")]
    assert found[6:10] == [
        ("final", "baseline", 1, 0), ("frozen", "baseline", 1, 0), ("final", "no-augmentation", 2, 0), ("frozen", "no-augmentation", 1, 0),
    ]  # fmt: skip
    assert [(phase, variant, sample) for phase, variant, sample, _ in found[10:]] == [entry[:3] for entry in found[6:10]]
    keys = dict(zip(found, entries(storage, "key"), strict=True))
    assert keys["final", "baseline", 1, 0] == keys["frozen", "baseline", 1, 0]


def test_a_tuned_study_that_has_run_trains_nothing_again(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "fit", None)
    said: list[str] = []
    assert here(tuned(), storage, said.append).trained == 0
    assert said == [
        "study tiny: 6 trials of tuning and 6 of confirmation planned, 12 in the ledger, 0 to run",
        "tuning chose, by validation accuracy: baseline sample 1 (width 0.02), no-augmentation sample 2 (width 0.03)",
    ]


@pytest.mark.usefixtures("ranked")
def test_a_run_says_what_comes_and_what_was_chosen_and_counts_both_phases(tmp_path: Path) -> None:
    said: list[str] = []
    here(tuned(seeds=1), tmp_path, said.append)
    assert said[0] == (
        "study tiny: 6 trials of tuning planned, 0 in the ledger, 6 to run, and then at most 3 trials of confirmation (about 9 epochs)"
    )
    counts = [line.partition(" ")[0] for line in said if line.startswith("[")]
    assert counts == [f"[{number}/9]" for number in range(1, 10)]
    assert said.index("3 trials of confirmation planned, 0 in the ledger, 3 to run") == said.index(
        "tuning chose, by validation accuracy: baseline sample 1 (width 0.02), no-augmentation sample 2 (width 0.03)"
    ) + 1  # fmt: skip


@pytest.mark.usefixtures("ranked")
@pytest.mark.parametrize("stop_at", ["[3/", "[8/"])
def test_an_interruption_in_either_phase_leaves_the_rest_and_the_numbers_as_they_were(storage: Path, tmp_path: Path, stop_at: str) -> None:
    def interrupting(line: str) -> None:
        said.append(line)
        if line.startswith(stop_at):
            raise KeyboardInterrupt

    said: list[str] = []
    first = here(tuned(), tmp_path, interrupting)
    assert first.interrupted
    is_tuning = stop_at == "[3/"
    assert ("and then at most 6 trials of confirmation" in said[-1]) == is_tuning
    assert bool(Ledger(tmp_path).study("tiny")["tuning"]["chosen"]) == (not is_tuning)
    second = here(tuned(), tmp_path)
    assert (first.trained + second.trained, second.statuses) == (12, {"finished": 12})
    assert numbers(Ledger(tmp_path)) == numbers(Ledger(storage))
    assert entries(tmp_path, "key", "phase") == entries(storage, "key", "phase")


@pytest.mark.usefixtures("ranked")
def test_a_variant_of_which_nothing_finishes_in_tuning_is_left_out_and_the_run_ends_well(tmp_path: Path) -> None:
    study = tuned(variants={"hot": {"optimizer": "sgd", "learning_rate": 1e30}}, seeds=1)
    said: list[str] = []
    outcome = here(study, tmp_path, said.append)
    assert outcome.statuses == {"finished": 4 + 2 + 3, "diverged": 3}
    assert not outcome.failures
    assert "no trial of hot has finished in tuning, so there are no settings to confirm: it is left out of what follows" in said
    assert {variant for phase, variant in entries(tmp_path, "phase", "variant") if phase != "tuning"} == {"baseline", "no-augmentation"}
    results = Results.load(tmp_path, "tiny")
    assert "hot" not in chosen_samples(results)
    assert make_report(tmp_path, "tiny").summary


def test_nothing_is_confirmed_where_no_variant_has_a_finished_trial(tmp_path: Path) -> None:
    study = tuned(base={**BASE, "optimizer": "sgd", "learning_rate": 1e30}, seeds=1)
    outcome = here(study, tmp_path)
    assert (outcome.statuses, outcome.interrupted) == ({"diverged": 6}, False)
    assert here(study, tmp_path).trained == 0
    assert make_report(tmp_path, "tiny").page.exists()


@pytest.mark.usefixtures("ranked")
def test_more_seeds_run_only_the_further_confirmation(storage: Path, tmp_path: Path) -> None:
    copied(storage, tmp_path)
    assert here(tuned(seeds=3), tmp_path).trained == 3


@pytest.mark.usefixtures("ranked")
def test_more_samples_are_tuned_first_and_what_they_choose_is_confirmed(storage: Path, tmp_path: Path) -> None:
    copied(storage, tmp_path)
    wider = tuned(search={"width": {"grid_search": [0.01, 0.02, 0.03, 0.021]}})
    assert confirmation(wider, wider.load_data(), Ledger(tmp_path), wider.plan()).chosen is None
    assert here(wider, tmp_path).trained == 2
    assert Ledger(tmp_path).study("tiny")["tuning"]["chosen"] == {"baseline": 1, "no-augmentation": 2}


@pytest.mark.usefixtures("ranked")
def test_a_failed_trial_of_tuning_chooses_nothing_until_it_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, real = tuned(seeds=1), training.fit

    def fails_at_best(config: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        if config.width == 0.02 and config.seed >= 1_000_000:
            raise ValueError("no luck")
        return real(config, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", fails_at_best)
        outcome = here(study, tmp_path)
    assert (outcome.statuses["failed"], len(outcome.failures)) == (2, 2)
    assert Ledger(tmp_path).study("tiny")["tuning"]["chosen"] == {"baseline": 0, "no-augmentation": 2}
    assert make_plan(study, tmp_path, retry_failed=True).after.chosen is None
    again = here(study, tmp_path, retry_failed=True)
    assert Ledger(tmp_path).study("tiny")["tuning"]["chosen"] == {"baseline": 1, "no-augmentation": 2}
    assert (again.statuses, again.failures) == ({"finished": 6 + 3}, {})


@pytest.mark.usefixtures("ranked")
def test_a_damaged_trial_of_tuning_runs_again_before_anything_is_chosen(storage: Path, tmp_path: Path) -> None:
    copied(storage, tmp_path)
    ledger = Ledger(tmp_path)
    key = entries(tmp_path, "key")[0][0]
    ledger.epochs_file(key).write_text("{")
    assert confirmation(tuned(), tuned().load_data(), ledger, tuned().plan()).chosen is None
    said: list[str] = []
    outcome = here(tuned(), tmp_path, said.append)
    assert (outcome.trained, outcome.statuses) == (1, {"finished": 12})
    assert "is damaged; it was set aside" in said[0]
    assert numbers(ledger) == numbers(Ledger(storage))


@pytest.mark.parametrize("phase", ["tuning", "frozen"])
@pytest.mark.usefixtures("ranked")
def test_chosen_trials_of_either_phase_run_again_by_themselves(storage: Path, tmp_path: Path, phase: str) -> None:
    copied(storage, tmp_path)
    ledger = Ledger(tmp_path)
    key = next(key for key, own in entries(tmp_path, "key", "phase") if own == phase)
    (entry,) = catalog.entries(ledger, [key])
    document = ledger.study_file("tiny").read_bytes()
    (outcome,) = rerun(ledger, [entry], local=True, say=silent)
    assert (outcome.trained, outcome.statuses) == (1, {"finished": 1})
    assert numbers(ledger) == numbers(Ledger(storage))
    assert ledger.study_file("tiny").read_bytes() == document


def test_only_final_trials_speak_and_only_those_of_tuning_are_searched(storage: Path) -> None:
    results = Results.load(storage, "tiny")
    speaking = speaking_trials(results)
    assert set(speaking["phase"]) == {"final"}
    assert sorted(zip(speaking["variant"], speaking["sample"], speaking["seed"], strict=True)) == [
        ("baseline", 1, 0), ("baseline", 1, 1), ("no-augmentation", 2, 0), ("no-augmentation", 2, 1),
    ]  # fmt: skip
    searched = searching_trials(results)
    assert (set(searched["phase"]), len(searched)) == ({"tuning"}, 6)


def test_a_report_while_tuning_goes_on_says_that_nothing_is_there_to_compare(storage: Path, tmp_path: Path) -> None:
    copied(storage, tmp_path)
    file = Ledger(tmp_path).study_file("tiny")
    document = json.loads(file.read_text())
    document["tuning"]["chosen"] = {}
    document["plan"] = [entry for entry in document["plan"] if entry["phase"] == "tuning"]
    file.write_text(json.dumps(document))
    assert speaking_trials(Results.load(tmp_path, "tiny")).empty
    assert make_report(tmp_path, "tiny").summary == (
        "No trial on the seeds of the comparison has finished yet, so there is nothing to compare.",
    )


@pytest.mark.usefixtures("by_the_hour")
@pytest.mark.parametrize(
    ("hours", "left"),
    [
        (3, "3 trials are left, and then at most 6 trials of confirmation"),
        (6, "6 trials are left"),
        (8, "4 trials are left"),
    ],
)
def test_a_budget_ends_either_phase_and_the_rest_runs_with_more(storage: Path, tmp_path: Path, hours: int, left: str) -> None:
    study = tuned(cpus=1, budget={"processor_hours": hours})
    said: list[str] = []
    outcome = here(study, tmp_path, said.append)
    assert (outcome.out_of_budget, outcome.trained, outcome.statuses["finished"]) == (True, hours, hours)
    assert said[-1] == f"the budget of {hours} processor-hours is spent: {left}; the same command goes on once `budget` is larger"
    assert bool(Ledger(tmp_path).study("tiny")["tuning"]["chosen"]) == (hours > 3)
    assert here(study, tmp_path).trained == 0
    plan = make_plan(study, tmp_path)
    assert plan.price is not None
    assert plan.price.fit is not None
    assert (plan.price.fit.spent, plan.price.fit.suffices) == (hours, False)
    again = here(tuned(cpus=1, budget={"processor_hours": 12.5}), tmp_path)
    assert (again.out_of_budget, again.statuses) == (False, {"finished": 12})
    assert numbers(Ledger(tmp_path)) == numbers(Ledger(storage))
    assert entries(tmp_path, "key", "phase") == entries(storage, "key", "phase")


@pytest.mark.usefixtures("by_the_hour")
def test_a_budget_counts_confirmation_that_was_there_before_tuning_chose_again(tmp_path: Path) -> None:
    here(tuned(cpus=1), tmp_path)
    wider = {"search": {"width": {"grid_search": [0.01, 0.02, 0.03, 0.021]}}, "cpus": 1, "seeds": 3}
    outcome = here(tuned(**wider, budget={"processor_hours": 8 + 6}), tmp_path)
    assert (outcome.out_of_budget, outcome.trained) == (True, 2)
    assert here(tuned(**wider, budget={"processor_hours": 8 + 6 + 1}), tmp_path).trained == 1


def test_failed_trials_that_a_budget_does_not_try_again_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any, **options: Any) -> Iterator[Any]:
        raise ValueError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", fails)
        here(tuned(), tmp_path)
    said: list[str] = []
    outcome = here(tuned(budget={"hours": 1e-9}), tmp_path, said.append, retry_failed=True)
    assert (outcome.trained, outcome.out_of_budget) == (0, True)
    assert "is spent: 6 trials are left, and then at most 6 trials of confirmation" in said[-1]


@pytest.mark.usefixtures("ranked")
def test_the_last_of_tuning_may_end_in_another_driver_while_this_one_begins(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(storage, tmp_path / "ledger")
    ledger = Ledger(tmp_path / "ledger")
    folder = ledger.trial_folder(entries(ledger.path, "key")[0][0])
    folder.rename(tmp_path / "elsewhere")

    def then_ended(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found = function(*arguments, **options)
            if not folder.exists():
                (tmp_path / "elsewhere").rename(folder)
            return found

        return call

    for name in ("missing", "confirmation"):
        monkeypatch.setattr(work, name, then_ended(getattr(work, name)))
    assert here(tuned(), ledger.path).statuses == {"finished": 12}
    assert entries(ledger.path, "key", "phase") == entries(storage, "key", "phase")


def test_a_trial_of_confirmation_is_not_run_again_while_nobody_knows_what_tuning_chooses(storage: Path, tmp_path: Path) -> None:
    copied(storage, tmp_path)
    ledger = Ledger(tmp_path)
    shutil.rmtree(ledger.trial_folder(entries(tmp_path, "key")[0][0]))
    with pytest.raises(LedgerError, match="its tuning has trials left"):
        rerun(ledger, catalog.entries(ledger, [entries(tmp_path, "key")[-1][0]]), local=True, say=silent)


@pytest.mark.usefixtures("ranked")
def test_a_trial_of_tuning_that_runs_again_by_itself_tells_of_no_confirmation(storage: Path, tmp_path: Path) -> None:
    copied(storage, tmp_path)
    said: list[str] = []
    rerun(Ledger(tmp_path), catalog.entries(Ledger(tmp_path), [entries(tmp_path, "key")[0][0]]), local=True, say=said.append)
    assert not [line for line in said if "of confirmation planned" in line]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_ray_both_phases_run_in_one_session_with_the_numbers_of_this_process(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = run(tuned(seeds=1), tmp_path / "ray", say=said.append)
    assert set(outcome.statuses) == {"finished"}
    assert sum("what Ray and the trials print goes to" in line for line in said) == 1
    here(tuned(seeds=1), tmp_path / "here")
    assert numbers(Ledger(tmp_path / "ray")) == numbers(Ledger(tmp_path / "here"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_ray_an_interruption_as_the_last_trial_of_tuning_ends_is_heard(tmp_path: Path) -> None:
    def interrupting(line: str) -> None:
        said.append(line)
        if line.startswith("[6/"):
            signal.raise_signal(signal.SIGINT)

    said: list[str] = []
    outcome = run(tuned(seeds=1), tmp_path, say=interrupting)
    assert outcome.interrupted
    assert "0 trials are left, and then at most 3 trials of confirmation" in said[-1]
    assert len(Ledger(tmp_path).keys()) == 6
