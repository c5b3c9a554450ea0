"""Tuning: which seeds choose settings, which trials that takes, what is best, and the trials that compare the variants afterwards."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from studies import tiny

from ferray.data import load
from ferray.data_source import DataSource
from ferray.errors import ConfigError
from ferray.search import domains
from ferray.study import Study
from ferray.tuning import Score, Tuning, choose

DATA = load(DataSource(images=70))
SEARCH = {"l1": {"loguniform": [1e-6, 1e-2]}, "learning_rate": {"loguniform": [1e-4, 1e-2]}}


def tuned(**changes: Any) -> Study:
    """Three variants, one of which fixes one of the two searched fields, and three draws."""
    fields: dict[str, Any] = {"search": SEARCH, "num_samples": 3, "tuning": {}, "variants": {"no-l1": {"l1": 0.0}}}
    return tiny(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {}}, "tuning: there is one sample to choose from; say in `search` what is tried"),
        ({"num_samples": 1}, "tuning: there is one sample to choose from; `num_samples` says how many draws of `search` there are, and "
         "is 1; give 2 or more"),
        ({"tuning": {"seeds": [1, 7]}}, "tuning.seeds: seeds that choose the settings cannot judge them too: 1 is also in "
         "`seeds`; "
         "a number of them, such as 2, is counted from 1000000"),
        ({"tuning": {"seeds": [0, 1]}}, "tuning.seeds: seeds that choose the settings cannot judge them too: 0, 1 are also in `seeds`"),
        ({"seeds": [3, 1_000_001], "tuning": {"seeds": 2}}, "1000001 is also in `seeds`"),
        ({"tuning": {"seeds": [7, 7]}}, "tuning.seeds: each seed once, not [7, 7]"),
        ({"tuning": {"seeds": 0}}, "tuning.seeds: how many (a whole number from 1 to 100,000), or a list of them, not 0"),
        ({"tuning": {"seeds": "2"}}, "tuning.seeds: how many (a whole number from 1 to 100,000 without quotes)"),
        ({"tuning": {"sedes": 2}}, "tuning.sedes: unknown key; did you mean 'tuning.seeds'? (there are: seeds, scheduler, grace_epochs, "),
        ({"tuning": {"num_samples": 2}}, "tuning.num_samples: unknown key; did you mean 'num_samples'? (there are: seeds, scheduler, "),
        ({"tuning": {"scheduler": "ASHA"}}, "tuning.scheduler: must be 'none', 'asha' or 'median', not 'ASHA'; did you mean 'asha'?"),
        ({"tuning": {"scheduler": None}}, "tuning.scheduler: must be 'none', 'asha' or 'median', and it is empty"),
        ({"tuning": {"within": "study"}}, "tuning.within: must be 'variant', not 'study': trials are stopped early only by trials of"),
        ({"tuning": {"grace_epochs": 2}}, "tuning.grace_epochs: belongs to a scheduler, and without one nothing is stopped early; add "
         "scheduler: asha or median, or leave it out"),
        ({"tuning": {"reduction_factor": 2}}, "tuning.reduction_factor: belongs to a scheduler, and without one nothing is stopped early; "
         "add scheduler: asha, or leave it out"),
        ({"tuning": {"scheduler": "median", "reduction_factor": 3}}, "tuning.reduction_factor: belongs to scheduler: asha, not to median"),
        ({"search": {"l2": {"choice": [0.1, 0.1]}}, "num_samples": 9},
         "tuning: there is one sample to choose from; say in `search` what is tried"),
        ({"tuning": {"scheduler": "ashaa"}}, "tuning.scheduler: must be 'none', 'asha' or 'median', not 'ashaa'; did you mean 'asha'?"),
        ({"tuning": {"grace_epochs": 0}}, "tuning.grace_epochs: must be at least 1, not 0"),
        ({"tuning": {"reduction_factor": 1}}, "tuning.reduction_factor: must be at least 2, not 1"),
        ({"tuning": True}, "tuning: must be a mapping, such as {seeds: 1, scheduler: asha}, not True"),
        ({"tuning": {"seeds": 1000}, "num_samples": 1000}, "3,000,000 trials (3 variants x 1,000 draws x 1,000 seeds) are too many"),
    ],
)  # fmt: skip
def test_a_fault_is_told_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        tuned(**changes)
    assert message in str(raised.value)


@pytest.mark.parametrize("search", [{}, {"l2": {"choice": [0.1]}}, {"l2": {"grid_search": [0.1]}}])
def test_num_samples_is_named_only_where_it_would_help(search: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        tuned(search=search, num_samples=1)
    assert "num_samples" not in str(raised.value)


def test_a_scheduler_is_switched_off_by_its_name_and_what_belongs_to_it_may_stay() -> None:
    study = tuned(tuning={"scheduler": "none", "grace_epochs": 2, "reduction_factor": 4})
    assert study.tuning
    assert study.tuning.stopping is None


@pytest.mark.parametrize("tuning", [{}, {"scheduler": "median"}, {"scheduler": "asha", "reduction_factor": 2}])
def test_a_tuned_study_can_be_made_again_from_what_the_ledger_keeps_of_it(tuning: dict[str, Any]) -> None:
    study = tuned(tuning=tuning, base={"width": 0.05, "epochs": 3, "augmentation.rotation": 20.0, "l1": 1e-5})
    assert Study(**study.model_dump(mode="json")) == study


def test_draws_that_leave_nothing_to_choose_or_to_compare_are_refused() -> None:
    search = {"l1": {"choice": [0.0, 1e-3]}}
    with pytest.raises(ConfigError, match="search: as it was drawn, all samples are the same, so there is none to choose: draw more"):
        tuned(search=search, num_samples=2, variants={}, search_seed=drawing([1e-3, 1e-3])).plan(DATA)
    told = "search: as it was drawn, 'baseline' and 'no-l1' have the same settings in every sample, so there is nothing to compare"
    with pytest.raises(ConfigError, match=told):
        tuned(search=search, num_samples=2, tuning=None, search_seed=drawing([0.0, 0.0])).plan(DATA)
    assert tuned(search=search, num_samples=2, search_seed=drawing([0.0, 1e-3])).plan(DATA)


def drawing(values: list[float]) -> int:
    """A seed by which l1 is drawn so."""
    domain = domains({"l1": {"choice": [0.0, 1e-3]}})[0]
    return next(seed for seed in range(100) if [domain.draw(seed, sample) for sample in range(2)] == values)


def test_seeds_given_as_a_number_lie_where_no_number_of_the_studys_own_reaches() -> None:
    assert Tuning(seeds=2).all_seeds == [1_000_000, 1_000_001]
    largest = tiny(seeds=100_000, ablate=None).all_seeds
    assert not set(Tuning(seeds=100_000).all_seeds) & set(largest)
    assert Tuning(seeds=[5, 3]).all_seeds == [5, 3]


def test_more_seeds_of_the_study_leave_the_trials_of_tuning_as_they_are() -> None:
    assert [trial.key for trial in tuned(seeds=5).plan(DATA)] == [trial.key for trial in tuned(seeds=2).plan(DATA)]


def test_every_variant_tries_the_same_draws_on_the_seeds_of_tuning() -> None:
    plan = tuned(tuning={"seeds": 2}).plan(DATA)
    assert {trial.phase for trial in plan} == {"tuning"}
    assert {trial.config.seed for trial in plan} == {1_000_000, 1_000_001}
    by_variant = {
        name: [(trial.sample, trial.config.seed, trial.config.learning_rate) for trial in plan if trial.variant == name]
        for name in ("baseline", "no-augmentation", "no-l1")
    }
    assert by_variant["baseline"] == by_variant["no-augmentation"] == by_variant["no-l1"]
    assert len({rate for _, _, rate in by_variant["baseline"]}) == 3
    assert {trial.config.l1 for trial in plan if trial.variant == "no-l1"} == {0.0}


def test_a_variant_that_fixes_what_is_searched_has_fewer_samples() -> None:
    plan = tuned(search={"l1": SEARCH["l1"]}).plan(DATA)
    assert [trial.sample for trial in plan if trial.variant == "no-l1"] == [0]
    assert [trial.sample for trial in plan if trial.variant == "baseline"] == [0, 1, 2]


def test_a_study_that_is_not_tuned_has_final_trials_of_all_samples_and_seeds() -> None:
    plan = tuned(tuning=None).plan(DATA)
    assert {trial.phase for trial in plan} == {"final"}
    assert len(plan) == 3 * 3 * 2


def test_the_confirmation_has_each_variant_at_its_best_and_at_the_baselines_best_sample_on_fresh_seeds() -> None:
    study = tuned(seeds=[4, 2])
    draws = {(trial.variant, trial.sample): trial for trial in study.plan(DATA)}
    trials = study.confirmation({"baseline": 2, "no-augmentation": 1, "no-l1": 2}, DATA)
    assert [(trial.config.seed, trial.variant, trial.phase, trial.sample) for trial in trials[:6]] == [
        (4, "baseline", "final", 2),
        (4, "baseline", "frozen", 2),
        (4, "no-augmentation", "final", 1),
        (4, "no-augmentation", "frozen", 2),
        (4, "no-l1", "final", 2),
        (4, "no-l1", "frozen", 2),
    ]
    assert {trial.config.seed for trial in trials[6:]} == {2}
    for trial in trials:
        tried = draws[trial.variant, trial.sample]
        assert trial.config == tried.config.model_copy(update={"seed": trial.config.seed})
        assert trial.overrides == tried.overrides
    keys = {(trial.variant, trial.phase): trial.key for trial in trials[:6]}
    assert keys["baseline", "final"] == keys["baseline", "frozen"]
    assert keys["no-l1", "final"] == keys["no-l1", "frozen"]
    assert keys["no-augmentation", "final"] != keys["no-augmentation", "frozen"]
    assert not set(keys.values()) & {trial.key for trial in draws.values()}


def test_a_frozen_trial_has_the_number_by_which_tuning_lists_it() -> None:
    study = tuned(search={"l1": SEARCH["l1"]}, seeds=1)
    trials = study.confirmation({"baseline": 2, "no-augmentation": 2, "no-l1": 0}, DATA)
    assert [(trial.phase, trial.sample) for trial in trials if trial.variant == "no-l1"] == [("final", 0), ("frozen", 0)]
    assert len({trial.key for trial in trials if trial.variant == "no-l1"}) == 1


def test_a_variant_without_a_best_sample_is_not_confirmed_and_without_the_baselines_nothing_is_frozen() -> None:
    study = tuned(seeds=1)
    some = study.confirmation({"baseline": 0, "no-l1": 1}, DATA)
    assert [(trial.variant, trial.phase) for trial in some] == [
        ("baseline", "final"), ("baseline", "frozen"), ("no-l1", "final"), ("no-l1", "frozen"),
    ]  # fmt: skip
    assert [(trial.variant, trial.phase) for trial in study.confirmation({"no-l1": 1}, DATA)] == [("no-l1", "final")]
    assert study.confirmation({}, DATA) == []


def test_more_seeds_keep_the_confirmation_that_there_was() -> None:
    chosen = {"baseline": 0, "no-augmentation": 1, "no-l1": 1}
    before = [trial.key for trial in tuned(seeds=3).confirmation(chosen, DATA)]
    after = [trial.key for trial in tuned(seeds=5).confirmation(chosen, DATA)]
    assert after[: len(before)] == before
    assert len(after) == len(before) / 3 * 5


def test_the_best_sample_has_the_highest_mean_accuracy_among_those_with_most_finished_seeds() -> None:
    scores = [
        Score("a", 0, 0.5), Score("a", 0, 0.7),
        Score("a", 1, 0.99),  # its other seed failed
        Score("a", 2, 0.6), Score("a", 2, 0.61),
        Score("b", 3, 0.1),
    ]  # fmt: skip
    for order in itertools.permutations(scores):
        assert choose(order) == {"a": 2, "b": 3}


def test_of_equal_samples_the_first_is_chosen() -> None:
    a_third = [0.1, 0.2, 0.3]
    scores = [Score("a", sample, value) for sample in (2, 1) for value in (a_third if sample == 1 else reversed(a_third))]
    assert choose(scores) == {"a": 1}


def test_an_accuracy_that_is_not_finite_chooses_nothing() -> None:
    assert choose([Score("a", 0, math.nan), Score("a", 1, 0.2), Score("b", 0, math.nan)]) == {"a": 1}
    assert choose([]) == {}
