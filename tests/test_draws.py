"""What of a study's draws takes effect: values drawn again, variants that override the search, trials that variants share."""

from __future__ import annotations

from typing import Any

import pytest
from studies import tiny

from ferray.data import load
from ferray.data_source import DataSource
from ferray.running.draws import sentences

DATA = load(DataSource(images=70))
GRID = {"l1": {"grid_search": [0.0, 1e-4, 1e-3]}}


def told(**changes: Any) -> list[str]:
    study = tiny(**changes)
    return sentences(study, study.plan(DATA))


def test_without_a_search_there_is_nothing_to_tell() -> None:
    assert told() == []


def test_a_search_that_every_variant_takes_is_not_told() -> None:
    assert told(search=GRID) == []


def test_a_field_that_a_variant_takes_away_is_told_with_the_trials_that_are_thereby_the_same() -> None:
    assert told(search=GRID, ablate={"remove": ["l1"]}) == [
        "what is drawn for l1 has no effect in no-l1; samples that differ in nothing else are one trial there",
        "2 trials of no-l1 are the same as of baseline: what is shared runs once",
    ]
    one = told(search=GRID, ablate={"remove": ["l1"]}, seeds=1, tuning={})
    assert one[-1] == "1 trial of no-l1 is the same as of baseline: what is shared runs once"


def test_of_a_group_only_the_fields_that_are_lost_are_told() -> None:
    search = {"augmentation": {"choice": [{"rotation": 5.0, "zoom": 0.1}, {"rotation": 9.0, "zoom": 0.2}]}}
    assert told(search=search, num_samples=1, ablate={"remove": ["augmentation.rotation"]}) == [
        "what is drawn for augmentation.rotation has no effect in no-augmentation.rotation; samples that differ in nothing else are one "
        "trial there"
    ]


def test_variants_are_told_together_and_many_of_them_by_their_number() -> None:
    base = {"l1": 1e-5, "l2": 1e-5, "dropout": 0.5, "width": 0.05, "epochs": 1}
    (line, shared) = told(search=GRID, base=base, ablate={"design": "factorial", "remove": ["l1", "l2", "dropout", "batch_norm"]})
    assert line.startswith("what is drawn for l1 has no effect in no-l1, no-l1-l2, no-l1-dropout, no-l1-batch_norm and 4 more; samples")
    assert shared == "16 trials are shared by several variants, and run once"


def test_a_field_under_a_condition_is_not_told_where_the_condition_does_not_hold() -> None:
    search = {"momentum": {"choice": [0.5, 0.9], "when": {"optimizer": "sgd"}}}
    variants = {"sgd": {"optimizer": "sgd"}}
    assert not any("has no effect" in line for line in told(search=search, num_samples=4, variants=variants))


@pytest.mark.parametrize(("samples", "lines"), [(3, ["2 of 3 samples (a value was drawn again)"]), (1, [])])
def test_samples_that_were_drawn_again_are_told(samples: int, lines: list[str]) -> None:
    assert told(search={"l2": {"choice": [1e-6, 1e-5]}}, num_samples=samples, ablate=None) == lines
