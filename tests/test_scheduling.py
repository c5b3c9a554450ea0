"""Early stopping: each variant by itself, nobody who is to be confirmed, and nothing forgotten by an interruption."""

from __future__ import annotations

import itertools
import math
import pickle
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from studies import numbers, tiny

from ferray.errors import ConfigError
from ferray.ledger import Ledger
from ferray.running.plan import make_plan
from ferray.running.runner import run
from ferray.running.scheduling import WithinVariants
from ferray.trial import Phase, Stopping, Trial
from ferray.tuning import Tuning

ASHA = Stopping("asha", grace_epochs=1, reduction_factor=3)
MEDIAN = Stopping("median", grace_epochs=1, reduction_factor=None)
EPOCHS = 9
PLANNED = tiny(base={**tiny().base, "epochs": EPOCHS}, seeds=1).plan()[0]


@dataclass(eq=False)
class FakeTrial:
    """What Ray's schedulers know of a trial of Tune."""

    key: str
    status: str = "RUNNING"
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trial_id = f"tune-{self.key}"
        self.config = {"trial": {"key": self.key}}


class FakeController:
    """Always has another trial that waits, for which Ray's median rule would pause one that runs."""

    def get_live_trials(self) -> list[FakeTrial]:
        return [FakeTrial("waiting", "PENDING")]


def planned(
    variant: str, number: int, *, seed: int = 7, phase: Phase = "tuning", stopping: Stopping | None = ASHA, key: str | None = None
) -> Trial:
    config = PLANNED.config.model_copy(update={"seed": seed})
    stopping = stopping if phase == "tuning" else None
    key = key or f"{variant}-{number}-{seed}"
    return replace(PLANNED, key=key, variant=variant, sample=number, config=config, phase=phase, stopping=stopping)


def row(epoch: int, accuracy: float) -> dict[str, Any]:
    return {"epoch": epoch, "validation_accuracy": accuracy, "training_iteration": 1}


@dataclass
class Experiment:
    """Tune with fake trials: reports epochs to the scheduler, and remembers what it stopped."""

    plan: Sequence[Trial]
    ledger: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    ended: Iterable[str] = ()

    def __post_init__(self) -> None:
        self.stopped: dict[str, Mapping[str, Any]] = {}
        self.told: list[tuple[str, int]] = []
        todo = [trial.key for trial in self.plan if trial.key not in set(self.ended)]
        self.scheduler = WithinVariants(self.plan, todo, lambda key: self.ledger.get(key, ()), self._stop)
        self.trials = {key: FakeTrial(key) for key in todo}
        for trial in self.trials.values():
            self.scheduler.on_trial_add(FakeController(), trial)

    def _stop(self, trial: Trial, stopped: Mapping[str, Any]) -> None:
        assert trial.key not in self.stopped
        self.stopped[trial.key] = stopped

    def report(self, key: str, epoch: int, accuracy: float) -> bool:
        """Whether the trial may go on."""
        self.told.append((key, epoch))
        decision = self.scheduler.on_trial_result(FakeController(), self.trials[key], row(epoch, accuracy))
        assert decision in (TrialScheduler.CONTINUE, TrialScheduler.STOP), "nothing is paused"
        assert (decision == TrialScheduler.STOP) == (key in self.stopped)
        return decision == TrialScheduler.CONTINUE

    def train(self, order: Iterable[tuple[str, int]], accuracy: Mapping[str, float]) -> None:
        """Reports epochs in the given order, each a little better than the one before, of trials that still run."""
        for key, epoch in order:
            if key not in self.stopped:
                self.report(key, epoch, accuracy[key] + 0.001 * epoch)


def shuffled(keys: Sequence[str], generator: random.Random) -> list[tuple[str, int]]:
    """All epochs of all trials, each trial's in order, the trials mixed as on a busy cluster."""
    order = [key for key in keys for _ in range(EPOCHS)]
    generator.shuffle(order)
    count = {key: itertools.count(1) for key in keys}
    return [(key, next(count[key])) for key in order]


@pytest.mark.parametrize("stopping", [ASHA, MEDIAN])
@pytest.mark.parametrize("draw", range(20))
def test_what_one_variant_does_can_never_stop_a_trial_of_another(stopping: Stopping, draw: int) -> None:
    generator = random.Random(draw)
    slow = [planned("augmented", number, stopping=stopping) for number in range(8)]
    quick = [planned("plain", number, stopping=stopping) for number in range(8)]
    accuracy = {trial.key: generator.uniform(0.1, 0.3) for trial in slow} | {trial.key: generator.uniform(0.6, 0.9) for trial in quick}
    order = shuffled([*(trial.key for trial in slow), *(trial.key for trial in quick)], generator)
    together, alone = Experiment([*slow, *quick]), Experiment(slow)
    together.train(order, accuracy)
    alone.train([(key, epoch) for key, epoch in order if key in alone.trials], accuracy)
    assert {key: one for key, one in together.stopped.items() if key in alone.trials} == alone.stopped
    assert alone.stopped, "something is stopped at all"
    assert len(alone.stopped) < len(slow)


def test_rungs_across_variants_would_stop_the_slow_one_which_is_why_there_are_none() -> None:
    slow, quick = [planned("augmented", n) for n in range(6)], [planned("plain", n) for n in range(6)]
    accuracy = {trial.key: 0.2 + 0.01 * trial.sample for trial in slow} | {trial.key: 0.6 + 0.01 * trial.sample for trial in quick}
    shared = ASHAScheduler("epoch", "validation_accuracy", "max", max_t=EPOCHS, grace_period=1, reduction_factor=3)
    decisions = {}
    for trial in [*quick, *slow]:
        fake: Any = FakeTrial(trial.key)
        shared.on_trial_add(None, fake)  # type: ignore[arg-type]
        decisions[trial.key] = shared.on_trial_result(None, fake, row(1, accuracy[trial.key]))  # type: ignore[arg-type]
    assert {decisions[trial.key] for trial in slow} == {"STOP"}
    own = Experiment([*quick, *slow])
    own.train([(trial.key, 1) for trial in [*quick, *slow]], accuracy)
    assert not own.stopped, "each sample is better than those of its variant before it"


@pytest.mark.parametrize("phase", ["frozen", "final"])
def test_trials_that_confirm_run_to_their_end_however_bad_they_are(phase: Phase) -> None:
    tuning = [planned("baseline", number) for number in range(6)]
    confirming = [planned("baseline", 0, seed=seed, phase=phase) for seed in range(3)]
    experiment = Experiment([*tuning, *confirming])
    experiment.train(((trial.key, epoch) for epoch in range(1, 10) for trial in tuning), {t.key: 0.9 for t in tuning})
    for trial, epoch in itertools.product(confirming, range(1, EPOCHS + 1)):
        assert experiment.report(trial.key, epoch, 0.01)


def test_trials_of_one_tuning_seed_are_not_compared_with_those_of_another() -> None:
    plan = [planned("baseline", number, seed=seed) for seed in (1, 2) for number in range(3)]
    experiment = Experiment(plan)
    for trial in plan:
        assert experiment.report(trial.key, 1, (0.9 if trial.config.seed == 1 else 0.1) + 0.01 * trial.sample)


@pytest.mark.parametrize("stopping", [ASHA, MEDIAN])
def test_the_record_says_by_what_rule_when_and_against_whom(stopping: Stopping) -> None:
    plan = [planned("baseline", number, stopping=stopping) for number in range(5)]
    experiment = Experiment(plan)
    for trial in plan[:4]:
        assert experiment.report(trial.key, 1, 0.5 + 0.1 * trial.sample)
    assert not experiment.report(plan[4].key, 1, 0.2)
    stopped = experiment.stopped[plan[4].key]
    assert {name: stopped[name] for name in stopping.rule} == stopping.rule
    assert stopped["epoch"] == 1
    assert stopped["reason"].endswith("0.2000 is not of the best 1 in 3, compared with 4 other trials of baseline on tuning seed 7") or (
        stopped["reason"].endswith("0.2000, reaches the median of running means, compared with 4 other trials of baseline on tuning seed 7")
    )


@pytest.mark.parametrize("stopping", [replace(ASHA, grace_epochs=3), replace(MEDIAN, grace_epochs=3)])
def test_nothing_is_stopped_within_the_grace_or_after_the_last_epoch(stopping: Stopping) -> None:
    plan = [planned("baseline", number, stopping=stopping) for number in range(6)]
    experiment = Experiment(plan)
    experiment.train(((trial.key, epoch) for trial in plan[:5] for epoch in range(1, EPOCHS + 1)), {t.key: 0.9 for t in plan})
    late = plan[5].key
    assert experiment.report(late, 1, 0.1)
    assert experiment.report(late, 2, 0.1)
    assert not experiment.report(late, 3, 0.1)
    again = Experiment(plan)
    for trial in plan:
        for epoch in range(1, EPOCHS):  # equals are not stopped by each other
            assert again.report(trial.key, epoch, 0.5)
        assert again.report(trial.key, EPOCHS, 0.9 - 0.1 * trial.sample)


@pytest.mark.parametrize("stopping", [ASHA, MEDIAN])
def test_what_the_ledger_has_is_in_the_rungs_before_the_first_new_trial(stopping: Stopping) -> None:
    plan = [planned("baseline", number, stopping=stopping) for number in range(8)]
    ledger: dict[str, list[dict[str, Any]]] = {trial.key: [row(e, 0.5 + 0.001 * e) for e in range(1, EPOCHS + 1)] for trial in plan[:4]}
    ledger[plan[4].key] = [row(1, 0.2)]  # stopped before
    went_on = Experiment(plan, ledger, ended=[trial.key for trial in plan[:5]])
    assert not went_on.report(plan[5].key, 1, 0.3), "the first new trial is held against the old ones"
    assert went_on.report(plan[6].key, 1, 0.7)
    assert list(went_on.stopped) == [plan[5].key], "no trial of the ledger is judged again"
    forgetful = Experiment(plan, {}, ended=[trial.key for trial in plan[:5]])
    assert forgetful.report(plan[5].key, 1, 0.3)


@pytest.mark.parametrize("stopping", [ASHA, MEDIAN])
def test_an_interrupted_tuning_decides_as_if_nothing_had_happened(stopping: Stopping) -> None:
    generator = random.Random(3)
    plan = [planned("baseline", number, stopping=stopping) for number in range(9)]
    accuracy = {trial.key: generator.uniform(0.2, 0.8) for trial in plan}
    order = shuffled([trial.key for trial in plan], generator)
    whole = Experiment(plan)
    whole.train(order, accuracy)
    for cut in range(5, len(order), 7):
        first = Experiment(plan)
        first.train(order[:cut], accuracy)
        rows: dict[str, list[dict[str, Any]]] = {}
        for key, epoch in first.told:
            rows.setdefault(key, []).append(row(epoch, accuracy[key] + 0.001 * epoch))
        over = {key for key, own in rows.items() if len(own) == EPOCHS} | set(first.stopped)
        second = Experiment(plan, rows, ended=over)
        begun = [key for key in rows if key not in over]
        for key in begun:  # Tune starts them first; the first report tells their group of them
            second.scheduler.on_trial_result(FakeController(), second.trials[key], rows[key][-1])
        second.train([(key, epoch) for key, epoch in order[cut:] if key not in over], accuracy)
        assert {**first.stopped, **second.stopped}.keys() == whole.stopped.keys()


def test_a_trial_that_goes_on_from_its_checkpoint_is_told_up_to_there_and_judged_from_there() -> None:
    plan = [planned("baseline", number) for number in range(5)]
    ledger = {trial.key: [row(e, 0.8) for e in range(1, EPOCHS + 1)] for trial in plan[:4]}
    ledger[plan[4].key] = [row(1, 0.8), row(2, 0.5), row(3, 0.2), row(4, 0.2)]  # killed after epoch 4, before it was stopped at 3
    experiment = Experiment(plan, ledger, ended=[trial.key for trial in plan[:4]])
    assert not experiment.report(plan[4].key, 3, 0.2), "its checkpoint was of epoch 2"


def test_epochs_that_are_repeated_after_a_process_died_are_not_counted_twice() -> None:
    plan = [planned("baseline", number, stopping=MEDIAN) for number in range(5)]
    experiment = Experiment(plan)
    first = plan[0].key
    for epoch in range(1, 5):
        assert experiment.report(first, epoch, 0.5)
    experiment.scheduler.on_trial_error(FakeController(), experiment.trials[first])  # type: ignore[arg-type, no-untyped-call]
    experiment.scheduler.on_trial_add(FakeController(), experiment.trials[first])
    for epoch in range(3, 7):
        assert experiment.report(first, epoch, 0.5)
    group = experiment.scheduler._groups[first][0]
    assert [one["epoch"] for one in group.scheduler._results[experiment.trials[first]]] == [1, 2, 3, 4, 5, 6]  # type: ignore[attr-defined]


def test_a_trial_of_two_variants_is_told_to_both_and_stopped_by_neither() -> None:
    own = [planned(variant, number) for variant in ("baseline", "no-l2") for number in range(4)]
    shared = [planned(variant, 9, key="shared") for variant in ("baseline", "no-l2")]
    experiment = Experiment([*own, *shared])
    for trial in own:
        experiment.report(trial.key, 1, 0.5 + 0.1 * trial.sample)
    assert experiment.report("shared", 1, 0.01)
    assert all(group.heard("shared") == 1 for group in experiment.scheduler._groups["shared"])
    assert len(experiment.scheduler._groups["shared"]) == 2


@pytest.mark.parametrize("stopping", [ASHA, MEDIAN])
def test_an_accuracy_that_is_no_number_stops_nobody(stopping: Stopping) -> None:
    plan = [planned("baseline", number, stopping=stopping) for number in range(6)]
    experiment = Experiment(plan)
    for trial in plan[:4]:
        assert experiment.report(trial.key, 1, math.nan)
    assert experiment.report(plan[4].key, 1, 0.1)
    assert experiment.report(plan[5].key, 1, 0.2)


def test_last_words_without_an_epoch_are_not_judged() -> None:
    plan = [planned("baseline", 0)]
    experiment = Experiment(plan)
    decision = experiment.scheduler.on_trial_result(FakeController(), experiment.trials[plan[0].key], {"status": "failed"})
    assert decision == TrialScheduler.CONTINUE


def test_tune_can_write_the_scheduler_down() -> None:
    experiment = Experiment([planned("baseline", 0)])
    assert isinstance(pickle.loads(pickle.dumps(experiment.scheduler)), WithinVariants)


SEARCH = {"search": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}, "num_samples": 4}


@pytest.mark.parametrize("within", ["study", "across", "all", True, None])
def test_rungs_across_variants_are_refused_with_the_reason(within: Any) -> None:
    with pytest.raises(ConfigError, match=r"tuning\.within: must be 'variant', not .*: .* Augmentation and regularization slow"):
        tiny(**SEARCH, tuning={"scheduler": "asha", "within": within})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuning": {"scheduler": "asha", "grace_epochs": 2}, **SEARCH}, r"tuning\.grace_epochs: must be less than the 2 epochs"),
        ({"tuning": {"scheduler": "median", "grace_epochs": 9}, **SEARCH}, r"tuning\.grace_epochs: must be less than the 2 epochs"),
        ({"tuning": {"scheduler": "asha"}, "search": {"epochs": {"choice": [2, 4]}}, "num_samples": 2}, "do not search `epochs`"),
        ({"tuning": {"scheduler": "hyperband"}, **SEARCH}, r"tuning\.scheduler: must be 'none', 'asha' or 'median'"),
        ({"tuning": {"scheduler": "asha", "reduction_factor": 1}, **SEARCH}, r"tuning\.reduction_factor: must be at least 2"),
    ],
)
def test_a_scheduler_that_could_stop_nothing_or_compare_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**changes)


def test_a_scheduler_without_a_search_is_refused() -> None:
    with pytest.raises(ConfigError, match="tuning: there is one sample to choose from; say in `search` what is tried"):
        tiny(tuning={"scheduler": "asha"})


def test_only_trials_of_a_tuning_with_a_scheduler_may_be_stopped() -> None:
    assert Tuning().stopping is None
    assert Tuning(scheduler="asha", grace_epochs=2).stopping == Stopping("asha", 2, 3)
    assert Tuning(scheduler="median").stopping == Stopping("median", 1, None)
    assert all(trial.stopping is None for trial in tiny(**SEARCH).plan())
    study = tiny(**SEARCH, tuning={"scheduler": "asha"})
    tuning, confirming = study.plan(), study.confirmation({"baseline": 1, "no-augmentation": 2})
    assert {trial.stopping for trial in tuning} == {Stopping("asha", 1, 3)}
    assert {trial.stopping for trial in confirming} == {None}


def test_a_run_without_ray_has_no_scheduler(tmp_path: Path) -> None:
    study = tiny(**SEARCH, tuning={"scheduler": "median"})
    message = r"tuning\.scheduler: median is one of Ray Tune's schedulers, and --local .*--set tuning\.scheduler=none"
    with pytest.raises(ConfigError, match=message):
        run(study, tmp_path / "storage", local=True, say=lambda line: None)
    with pytest.raises(ConfigError, match=message):
        make_plan(study, tmp_path / "storage", local=True)
    assert not (tmp_path / "storage").exists()


REAL = {
    "base": {**tiny().base, "epochs": 6, "augmentation": {"horizontal_flip": 0.5}},
    "seeds": 1,
    "search": {"learning_rate": {"grid_search": [0.03, 0.01, 1e-7, 2e-7]}},
}
"""The last two samples of each variant learn nothing."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_ray_hopeless_samples_are_stopped_and_go_on_where_they_are_wanted_in_full(tmp_path: Path) -> None:
    study = tiny(**REAL, tuning={"scheduler": "asha", "grace_epochs": 3})
    ledger = Ledger(tmp_path)
    said: list[str] = []
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)  # so that good samples go before bad ones
    try:
        outcome = run(study, tmp_path, say=said.append)
        hopeless = {trial.key for trial in study.plan() if trial.sample >= 2}
        stopped = {key for key in ledger.keys() if ledger.status(key, verify=True) == "stopped"}
        assert stopped == hopeless
        assert outcome.statuses["stopped"] == 4
        assert all(ledger.stopped(key)["epoch"] == 3 == len(ledger.epochs(key)) for key in stopped)
        assert sum(": stopped (" in line for line in said) == 4
        confirming = [one for one in ledger.study("tiny")["plan"] if one["phase"] != "tuning"]
        assert {ledger.status(one["key"]) for one in confirming} == {"finished"}
        records = {key: ledger.record_file(key).read_bytes() for key in ledger.keys()}
        # A driver that was killed: one trial was stopped and not yet recorded so, another one was not begun.
        lost, gone = sorted(stopped)[:2]
        ledger.record_file(lost).unlink()
        for file in ledger.trial_folder(gone).iterdir():
            file.unlink()
        again = run(study, tmp_path, say=lambda line: None)
    finally:
        ray.shutdown()
    assert again.trained == 2
    kept = {key: ledger.record_file(key).read_bytes() for key in records if key not in (lost, gone)}
    assert kept == {key: records[key] for key in kept}, "what was stopped, or has finished, does not run again"
    assert ledger.status(gone) == "stopped", "by what the ledger has of its variant, without any other new trial of it"
    in_full = tiny(**REAL, tuning={"scheduler": "none"})
    assert {trial.key for trial in in_full.plan()} == {trial.key for trial in study.plan()}
    outcome = run(in_full, tmp_path, local=True, say=lambda line: None)
    assert set(outcome.statuses) == {"finished"}
    run(in_full, tmp_path / "undisturbed", local=True, say=lambda line: None)
    assert numbers(ledger) == numbers(Ledger(tmp_path / "undisturbed"))
