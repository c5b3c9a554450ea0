"""Conditions: fields that are searched only where others have certain values."""

from __future__ import annotations

from typing import Any

import pytest
from studies import tiny

from ferray.data import load
from ferray.data_source import DataSource
from ferray.errors import ConfigError
from ferray.search import domains, samples

DATA = load(DataSource(images=70))
OPTIMIZER = {"grid_search": ["adam", "sgd", "adamw"]}
MOMENTUM = {"uniform": [0.8, 0.99]}


def overrides(**changes: Any) -> list[tuple[str, dict[str, Any]]]:
    plan = tiny(**{"seeds": 1, "ablate": None, **changes}).plan(DATA)
    return [(trial.variant, trial.overrides) for trial in plan]


def test_a_value_is_taken_only_where_its_condition_holds() -> None:
    found = overrides(search={"optimizer": OPTIMIZER, "momentum": {**MOMENTUM, "when": {"optimizer": "sgd"}}})
    assert [(chosen["optimizer"], "momentum" in chosen) for _, chosen in found] == [("adam", False), ("sgd", True), ("adamw", False)]


def test_samples_that_a_condition_makes_the_same_are_one_trial() -> None:
    search = {"optimizer": OPTIMIZER, "momentum": {**MOMENTUM, "when": {"optimizer": "sgd"}}}
    plan = tiny(seeds=2, ablate=None, search=search, num_samples=4).plan(DATA)
    for seed in (0, 1):
        used = [trial.config.optimizer for trial in plan if trial.config.seed == seed]
        assert sorted(used) == ["adam", "adamw", "sgd", "sgd", "sgd", "sgd"]
    assert len({trial.key for trial in plan}) == len(plan)


def test_a_condition_leaves_the_draws_as_they_are() -> None:
    free = list(samples(domains({"momentum": MOMENTUM, "l1": {"uniform": [0, 1]}}), 3, seed=0))
    bound = list(samples(domains({"momentum": {**MOMENTUM, "when": {"optimizer": "sgd"}}, "l1": {"uniform": [0, 1]}}), 3, seed=0))
    assert free == bound


def test_a_condition_may_name_several_values_and_several_fields() -> None:
    decay = {"choice": [0.1], "when": {"optimizer": ["sgd", "adamw"], "schedule": "cosine"}}
    search = {"optimizer": OPTIMIZER, "schedule": {"grid_search": ["constant", "cosine"]}, "weight_decay": decay}
    decayed = [chosen for _, chosen in overrides(search=search) if "weight_decay" in chosen]
    assert [(chosen["optimizer"], chosen["schedule"]) for chosen in decayed] == [("sgd", "cosine"), ("adamw", "cosine")]


def test_a_condition_may_name_what_variants_set() -> None:
    found = overrides(
        search={"momentum": {"grid_search": [0.8, 0.95], "when": {"optimizer": "sgd"}}}, variants={"sgd": {"optimizer": "sgd"}}
    )
    assert found == [("baseline", {}), ("sgd", {"momentum": 0.8}), ("sgd", {"momentum": 0.95})]


def test_conditions_look_at_fields_that_are_conditional_themselves() -> None:
    search = {
        "l2": {"grid_search": [0.1, 0.2], "when": {"momentum": 0.5}},  # listed before what it depends on
        "momentum": {"grid_search": [0.5, 0.7], "when": {"optimizer": "sgd"}},
        "optimizer": {"grid_search": ["adam", "sgd"]},
    }
    assert [chosen for _, chosen in overrides(search=search)] == [
        {"optimizer": "adam"},
        {"l2": 0.1, "momentum": 0.5, "optimizer": "sgd"},
        {"momentum": 0.7, "optimizer": "sgd"},
        {"l2": 0.2, "momentum": 0.5, "optimizer": "sgd"},
    ]


def test_a_condition_may_name_a_step_of_a_range_or_a_whole_number() -> None:
    search = {
        "dropout": {"quniform": [0.1, 0.4, 0.1]},
        "epochs": {"randint": [1, 4]},
        "l1": {"choice": [0.5], "when": {"dropout": 0.3}},
        "l2": {"choice": [0.5], "when": {"epochs": [2, 3]}},
    }
    found = [chosen for _, chosen in overrides(search=search, num_samples=40)]
    assert {round(chosen["dropout"], 3) for chosen in found if "l1" in chosen} == {0.3}
    assert {round(chosen["dropout"], 3) for chosen in found if "l1" not in chosen} == {0.1, 0.2, 0.4}
    assert {chosen["epochs"] for chosen in found if "l2" in chosen} == {2, 3}


def test_a_condition_may_be_nested_dotted_and_about_a_searched_group() -> None:
    search = {
        "augmentation": {"grid_search": [{"rotation": 0.0}, {"rotation": 9.0, "zoom": 0.1}]},
        "l1": {"choice": [0.5], "when": {"augmentation.rotation": 9}},
        "l2": {"choice": [0.5], "when": {"augmentation": {"zoom": 0.0}}},
    }
    assert [set(chosen) for _, chosen in overrides(search=search)] == [
        {"augmentation.rotation", "l2"},
        {"augmentation.rotation", "augmentation.zoom", "l1"},
    ]


def test_arguments_of_a_variant_of_another_network_can_be_searched_for_it_alone() -> None:
    depth = {"grid_search": [2, 4], "when": {"model": "torchvision:resnet18"}}
    found = overrides(variants={"res": {"model": "torchvision:resnet18"}}, search={"model_arguments": {"depth": depth}})
    assert found == [("baseline", {}), ("res", {"model_arguments.depth": 2}), ("res", {"model_arguments.depth": 4})]


def test_what_another_network_does_not_have_is_not_told_as_an_override_of_it() -> None:
    found = overrides(variants={"res": {"model": "torchvision:resnet18"}}, search={"width": {"grid_search": [0.03, 0.04]}})
    assert found == [("baseline", {"width": 0.03}), ("res", {}), ("baseline", {"width": 0.04})]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"l1": {"choice": [0.1], "when": {"optimizer": "sgdd"}}}, "search.l1.when.optimizer: is never 'sgdd' in this study; it is 'adam'"),
        ({"optimizer": OPTIMIZER, "l1": {"choice": [0.1], "when": {"optimizer": "sdg"}}}, "did you mean 'sgd'"),
        ({"optimizer": OPTIMIZER, "l1": {"choice": [0.1], "when": {"optimizer": ["sgd", "rmsprop"]}}}, "is never 'rmsprop'"),
        ({"dropout": {"quniform": [0, 0.9, 0.1]}, "l1": {"choice": [0.1], "when": {"dropout": 0.25}}}, "is never 0.25 in this study"),
        ({"dropout": {"uniform": [0, 0.9]}, "l1": {"choice": [0.1], "when": {"dropout": 0.25}}}, "is never 0.25 in this study"),
        ({"epochs": {"randint": [1, 5]}, "l1": {"choice": [0.1], "when": {"epochs": 5}}}, "search.l1.when.epochs: is never 5"),
        ({"l1": {"choice": [0.1], "when": {"batch_norm": 1}}}, "is never 1 in this study; it is True"),
        ({"l1": {"choice": [0.1], "when": {"model_arguments.depth": 3}}}, "is never 3 in this study; it is not there at all"),
        ({"l1": {"choice": [0.1], "when": {"optimzer": "sgd"}}}, "search.l1.when.optimzer: unknown field; did you mean 'optimizer'"),
        ({"l1": {"choice": [0.1], "when": {"augmentation.zom": 1}}}, "unknown field; did you mean 'augmentation.zoom'"),
        ({"l1": {"choice": [0.1], "when": {"augmentation": 1}}}, "names a group of fields"),
        ({"l1": {"choice": [0.1], "when": {"seed": 1}}}, "every seed has the same samples"),
        ({"l1": {"choice": [0.1], "when": {"optimizer": []}}}, "a list of values that is not empty"),
        ({"l1": {"choice": [0.1], "when": {}}}, "search.l1.when: names fields and their values"),
        ({"l1": {"choice": [0.1], "when": {"augmentation": {}}}}, "search.l1.when: names fields and their values"),
        ({"l1": {"choice": [0.1], "when": "sgd"}}, "search.l1.when: names fields and their values"),
        ({"l1": {"when": {"optimizer": "sgd"}}}, "search.l1.when: stands beside a domain"),
        ({"augmentation": {"zoom": {"choice": [0.1]}, "when": {"optimizer": "sgd"}}}, "search.augmentation.when: stands beside a domain"),
        ({"l1": {"choice": [0.1], "when": {"l1": 0.1}}}, "search.l1.when: l1 depends on itself"),
        (
            {"l1": {"choice": [0.1], "when": {"l2": 0.1}}, "l2": {"choice": [0.1], "when": {"l1": 0.1}}},
            "the conditions go round in a ring: l1 -> l2 -> l1",
        ),
        (
            {"l1": {"choice": [0.1], "when": {"l2": 0.0, "batch_size": 7}}, "l2": {"choice": [0.0], "when": {"batch_size": 32}}},
            "search.l1.when.batch_size: is never 7",
        ),
        ({"optimizer": OPTIMIZER, "momentum": MOMENTUM}, "`when` limits a field to where it has one"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(search: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        tiny(search=search)
    assert message in str(raised.value)


def test_conditions_that_hold_only_one_at_a_time_are_refused() -> None:
    search = {"l2": {"choice": [0.1], "when": {"optimizer": "sgd", "schedule": "cosine"}}}
    with pytest.raises(ConfigError, match="no variant and no sample meets all of these conditions"):
        tiny(search=search, variants={"a": {"optimizer": "sgd"}, "b": {"schedule": "cosine"}})
