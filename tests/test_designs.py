"""Designs: variants from factors."""

from __future__ import annotations

from typing import Any

import pytest

from ferray.config import Augmentation, Config, merge, overlay
from ferray.designs import FACTORS, path
from ferray.errors import ConfigError

BASE = {"augmentation": {"rotation": 30.0, "horizontal_flip": 0.5}, "l1": 1e-5, "l2": 1e-5, "label_smoothing": 0.1, "schedule": "cosine"}


def test_a_path_takes_factors_away_one_on_top_of_the_other() -> None:
    variants = path(BASE, ["augmentation", "normalization"])
    assert [variant.name for variant in variants] == ["no-augmentation", "no-augmentation-normalization"]
    assert [variant.removed for variant in variants] == [("augmentation",), ("augmentation", "normalization")]
    first, second = (Config.parse(merge(BASE, variant.overrides)) for variant in variants)
    assert first.augmentation == Augmentation()
    assert (first.input_normalization, first.batch_norm) == ("scale", True)
    assert second.augmentation == Augmentation()
    assert (second.input_normalization, second.batch_norm) == ("none", False)


def test_factors_in_a_list_go_together() -> None:
    (variant,) = path(BASE, [["l1", "l2"]])
    assert variant.name == "no-l1-l2"
    assert variant.overrides == {"l1": 0.0, "l2": 0.0}


@pytest.mark.parametrize("factor", FACTORS)
def test_every_factor_changes_the_config_and_only_the_fields_that_it_names(factor: str) -> None:
    base = merge(BASE, {f"augmentation.{name}": 0.1 for name in Augmentation.model_fields})
    (variant,) = path(base, [factor])
    before, after = Config.parse(base).flat(), Config.parse(merge(base, variant.overrides)).flat()
    changed = {name for name in before if before[name] != after[name]}
    assert changed
    assert changed <= set(FACTORS[factor])


def test_an_unknown_factor_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'augmentation'"):
        path(BASE, ["augmentaton"])


def test_a_factor_that_the_base_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no augmentation\.zoom to take away"):
        path(BASE, ["augmentation.zoom"])
    with pytest.raises(ConfigError, match="has no batch_norm"):
        path({"model": "dnn"}, ["batch_norm"])


@pytest.mark.parametrize("remove", [["l1", "l1"], [["l1", "l1"]], ["l1", ["l2", "l1"]], ["augmentation", "augmentation.rotation"]])
def test_a_factor_that_an_earlier_step_has_taken_away_is_refused(remove: list[str | list[str]]) -> None:
    with pytest.raises(ConfigError, match=r"the base without (l1|augmentation).* has no (l1|augmentation\.rotation) to take away"):
        path(BASE, remove)


def test_a_factor_of_which_something_is_left_can_be_taken_away() -> None:
    last = path(BASE, ["batch_norm", "normalization", "augmentation.rotation", "augmentation"])[-1]
    assert Config.parse(merge(BASE, last.overrides)).augmentation == Augmentation()


def test_a_step_of_no_factors_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a step names a factor or a list of them, not \[\]"):
        path(BASE, ["l1", []])


NETWORK = {"model": "torchvision:resnet18", "model_arguments": {"attention": True, "depth": 3}, "l1": 0.1}
OWN = {"attention": {"model_arguments.attention": False}, "network": {"model": "cnn"}}


def test_factors_of_the_users_own_stand_beside_those_of_ferray() -> None:
    first, second = path(NETWORK, ["attention", "l1"], OWN)
    assert (first.name, second.name) == ("no-attention", "no-attention-l1")
    config = Config.parse(overlay(NETWORK, second.overrides))
    assert (config.model_arguments, config.l1) == ({"attention": False, "depth": 3}, 0.0)
    (network,) = path(NETWORK, ["network"], OWN)
    assert Config.parse(overlay(NETWORK, network.overrides)).model_arguments == {}


@pytest.mark.parametrize(
    ("remove", "own", "message"),
    [
        (["attenton"], OWN, "unknown factor 'attenton'; did you mean 'attention'"),
        (["attention", "attention"], OWN, "the base without attention has no attention to take away"),
        (["l1"], {"l1": {"l2": 0.0}}, "ablate.factors.l1: ferray has a factor of this name"),
        (["l1"], {"x": {"epohcs": 3}}, "ablate.factors.x.epohcs: unknown key; did you mean 'epochs'"),
        (["l1"], {"x": {"epochs": 0}}, "ablate.factors.x.epochs: must be at least 1, not 0"),
        (["x"], {"x": {}}, "the base has no x to take away"),
        (["batch_norm"], {}, "batch_norm cannot be taken away from the base: batch_norm has no effect with model 'torchvision:resnet18'"),
    ],
)
def test_a_factor_of_the_users_own_that_is_none_is_refused(remove: list[str], own: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        path(NETWORK, remove, own)
    assert message in str(raised.value)
