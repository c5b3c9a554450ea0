"""Search spaces: what ray.tune offers, checked without it, and drawn so that earlier draws stay."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ferray.errors import ConfigError
from ferray.search import CODE, LISTS, NUMERIC, count, domains, samples


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"l1": 3}, "search.l1: not a domain: 3"),
        ({"l1": {}}, "search.l1: not a domain"),
        ({"l1": {"eval": "1+1"}}, "search.l1: eval runs code"),
        ({"l1": {"sample_from": "lambda spec: 1"}}, "search.l1: sample_from runs code.*`when` makes one field depend"),
        ({"l1": {"uniform": [0, "1e-4"]}}, "search.l1.uniform: takes .* as numbers, and '1e-4' is text: remove the quotes"),
        ({"l1": {"loguniformm": [1, 2]}}, "did you mean 'loguniform'"),
        ({"l1": {"choice": []}}, "a list that is not empty"),
        ({"l1": {"uniform": [1]}}, r"takes \[lower, upper\]"),
        ({"l1": {"uniform": [1, "2"]}}, "as numbers"),
        ({"l1": {"uniform": [2, 1]}}, "must be less than the upper bound"),
        ({"l1": {"loguniform": [0, 1]}}, "must be greater than 0"),
        ({"l1": {"quniform": [0, 1, 0]}}, "the step q 0"),
        ({"l1": {"quniform": [0, 1, 0.3]}}, "multiples of the step"),
        ({"epochs": {"randint": [1, 2.5]}}, "whole numbers"),
        ({"l1": {"randn": [0, -1]}}, "standard deviation"),
        ({"l1": {"uniform": [0, 10**400]}}, "as numbers"),
        ({"l1": {"quniform": [0, 1e300, 1e-300]}}, "multiples of the step"),
        ({"epochs": {"randint": [1, 10**30]}}, "at most 64 bits"),
        ({"l1": {"choice": [0.0], "uniform": [0, 1]}}, "search.l1: one domain per field, not two: choice and uniform"),
        ({"l1": {"choice": [0.0], "unifrom": [0, 1]}}, "unknown domain 'unifrom'; did you mean 'uniform'"),
        ({"l1": {"choice": {"uniform": [0, 1]}}}, "search.l1.choice: takes a list"),
        ({"l1": {"grid_search": [0.1, 0.2, 0.1]}}, "search.l1.grid_search: each value once, but 0.1 appears twice"),
        ({"augmentation": {"grid_search": [{"zoom": 0.1}, {"zoom": 0.1}]}}, "each value once"),
    ],
)
def test_what_is_no_domain_is_refused_with_its_place(search: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        domains(search)


def test_domains_are_found_nested_and_dotted() -> None:
    found = domains({"augmentation": {"rotation": {"uniform": [0, 30]}}, "augmentation.zoom": {"choice": [0.0, 0.1]}})
    assert [domain.field for domain in found] == ["augmentation.rotation", "augmentation.zoom"]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"augmentation": {"zoom": {"choice": [0.1]}}, "augmentation.zoom": {"choice": [0.2]}}, "not augmentation.zoom twice"),
        ({"augmentation.zoom": {"choice": [0.1]}, "augmentation": {"choice": [{}]}}, "not augmentation.zoom and augmentation, one of"),
        ({"augmentation": {"choice": [{}]}, "augmentation.zoom": {"choice": [0.1]}}, "not augmentation and augmentation.zoom, one of"),
    ],
)
def test_two_domains_of_one_field_are_refused(search: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        domains(search)


def test_fields_whose_names_begin_alike_are_two_fields() -> None:
    assert len(domains({"l1": {"choice": [0.1]}, "l1x": {"choice": [0.1]}})) == 2


def test_a_grid_is_every_combination_and_is_not_repeated() -> None:
    found = domains({"l1": {"grid_search": [1, 2]}, "l2": {"grid_search": [3, 4]}})
    assert list(samples(found, 5, seed=0)) == [{"l1": 1, "l2": 3}, {"l1": 1, "l2": 4}, {"l1": 2, "l2": 3}, {"l1": 2, "l2": 4}]


def test_nothing_to_search_is_one_sample() -> None:
    assert list(samples([], 5, seed=0)) == [{}]


def test_every_domain_of_ray_tune_draws_within_its_bounds() -> None:
    search = {
        "a": {"uniform": [1, 2]}, "b": {"quniform": [0, 1, 0.25]}, "c": {"loguniform": [1e-7, 1e-3]}, "d": {"qloguniform": [5, 100, 5]},
        "e": {"randint": [3, 6]}, "f": {"qrandint": [0, 10, 5]}, "g": {"lograndint": [1, 1000]}, "h": {"qlograndint": [10, 1000, 10]},
        "i": {"randn": [0, 1]}, "j": {"qrandn": [0, 1, 0.5]}, "k": {"choice": ["x", 1, None]},
    }  # fmt: skip
    drawn = list(samples(domains(search), 300, seed=0))
    assert {type(value) for sample in drawn for value in sample.values()} <= {int, float, str, type(None)}
    assert all(1 <= sample["a"] <= 2 and 1e-7 <= sample["c"] <= 1e-3 and sample["e"] in (3, 4, 5) for sample in drawn)
    assert {sample["k"] for sample in drawn} == {"x", 1, None}
    assert all(sample["b"] / 0.25 == round(sample["b"] / 0.25) for sample in drawn)
    exponents = [math.log10(sample["c"]) for sample in drawn]
    assert -5.3 < sum(exponents) / len(exponents) < -4.7


def test_more_samples_and_further_fields_leave_the_draws_as_they_are() -> None:
    few = list(samples(domains({"l1": {"loguniform": [1e-7, 1e-3]}}), 3, seed=0))
    more = list(samples(domains({"l1": {"loguniform": [1e-7, 1e-3]}, "l2": {"uniform": [0, 1]}}), 6, seed=0))
    assert [sample["l1"] for sample in more[:3]] == [sample["l1"] for sample in few]
    assert len({sample["l1"] for sample in more}) == 6
    assert list(samples(domains({"l1": {"loguniform": [1e-7, 1e-3]}}), 3, seed=1)) != few


def test_grid_points_are_compared_at_the_same_draws() -> None:
    drawn = list(samples(domains({"l1": {"uniform": [0, 1]}, "model": {"grid_search": ["cnn", "dnn"]}}), 2, seed=0))
    assert [sample["model"] for sample in drawn] == ["cnn", "dnn", "cnn", "dnn"]
    assert drawn[0]["l1"] == drawn[1]["l1"] != drawn[2]["l1"] == drawn[3]["l1"]


def test_every_domain_function_of_ray_tune_is_offered_or_refused_with_a_reason() -> None:
    from ray import tune
    from ray.tune.search import sample

    theirs = {name for name in tune.__all__ if getattr(tune, name).__module__ == sample.__name__} | {"grid_search"}
    assert {"uniform", "choice", "sample_from"} < theirs
    assert theirs == {*LISTS, *NUMERIC} | (set(CODE) - {"eval"})


@pytest.mark.parametrize(
    ("search", "num_samples", "expected"),
    [
        ({}, 5, (1, "1 sample")),
        ({"l1": {"uniform": [0, 1]}}, 8, (8, "8 draws")),
        (
            {"l1": {"uniform": [0, 1]}, "l2": {"grid_search": [1, 2, 3]}, "epochs": {"grid_search": [1, 2]}},
            8,
            (48, "8 draws x 3 x 2 grid points"),
        ),
        ({"l2": {"grid_search": [1, 2, 3]}}, 8, (3, "3 grid points")),
        ({"l1": {"choice": [0.1]}}, 1_000_000, (1, "1 sample")),
        ({"l1": {"choice": [0.1]}, "l2": {"grid_search": [1, 2, 3]}}, 8, (3, "3 grid points")),
    ],
)
def test_the_number_of_samples_is_known_before_they_are_built(search: dict[str, Any], num_samples: int, expected: tuple[int, str]) -> None:
    found = domains(search)
    assert count(found, num_samples) == expected
    assert len(list(samples(found, num_samples, seed=0))) == expected[0]
