"""Configs: complete, validated, and addressed by everything that can change their numbers."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from ferray import config as config_module
from ferray.config import Augmentation, Config, field_names, flatten, merge, overlay, trial_key
from ferray.errors import ConfigError


def test_what_is_left_open_is_filled_in_by_the_network() -> None:
    assert (Config().dropout, Config().batch_norm) == (0.5, True)
    assert (Config(model="dnn").dropout, Config(model="dnn").batch_norm) == (0.0, False)
    assert Config(model="dnn", dropout=0.2).dropout == 0.2
    assert Config().precision in ("fp32", "bf16")


def test_bf16_is_chosen_only_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, precision in [("fpu avx2", "fp32"), ("fpu avx512_bf16", "bf16"), ("amx_bf16", "bf16")]:
        monkeypatch.setattr(config_module.Path, "read_text", lambda *_, flags=flags, **__: flags)
        assert Config().precision == precision
    assert Config(device="cuda").precision == "bf16"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": -1}, "epochs: must be at least 1, not -1"),
        ({"l1": "1e-4"}, "l1: must be a number, and '1e-4' is text: remove the quotes"),
        ({"epochs": 1.5}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"learning_rate": 0}, "learning_rate: must be greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"model": "./net.py:make", "model_arguments": {"a": [float("inf")]}}, "model_arguments: a: must be a finite number, not inf"),
        ({"loss": "./net.py:make", "loss_arguments": {"a": object()}}, "loss_arguments: a: arguments are numbers, texts, booleans, null"),
        ({"dropuot": 0.5}, "dropuot: unknown key; did you mean 'dropout'"),
        ({"augmentation": {"rotaton": 3}}, "augmentation.rotaton: unknown key; did you mean 'augmentation.rotation'"),
        ({"augmentation": {"horizontal_flip": 1.5}}, "augmentation.horizontal_flip: must be at most 1"),
        ({"model": "cnm"}, "model: no network is called so; did you mean 'cnn'? Write cnn, dnn, torchvision:NAME"),
        ({"weight_decay": 0.1}, "weight_decay has no effect with optimizer 'adam'"),
        ({"momentum": 0.5}, "momentum has no effect with optimizer 'adam'; leave it out, or use optimizer 'sgd'"),
        ({"momentum": 0.5, "optimizer": "adamw"}, "momentum has no effect with optimizer 'adamw'"),
        ({"l1.": 0.1}, "l1: must be a number"),
    ],
)
def test_a_fault_is_told_with_its_place_and_what_is_allowed(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.parse(merge({}, given))
    assert message in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (date(2026, 1, 1), r"model_arguments: x: arguments are numbers, texts, .* not datetime.date\(2026, 1, 1\) of type date"),
        ({"deep": [b"x"]}, r"model_arguments: x.deep: arguments are .* of type bytes"),
        ({1: 2}, "model_arguments: x.1: names are text; put it in quotes"),
        (float("inf"), "model_arguments: x: must be a finite number, not inf"),
    ],
)
def test_an_argument_that_json_cannot_hold_is_told(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.parse({"model": "./net.py:Net", "model_arguments": {"x": value}})


def test_configs_made_of_one_mapping_share_nothing() -> None:
    given = {"model": "./net.py:Net", "model_arguments": {"sizes": (4, [5])}}
    first, second = Config.parse(given), Config.parse(given)
    first.model_arguments["sizes"][1].append(6)
    assert second.model_arguments == {"sizes": [4, [5]]}


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"(?s)l1: .*epochs: "):
        Config.parse({"epochs": 0, "l1": -1.0})


def test_every_field_is_part_of_the_key() -> None:
    base = Config()
    others = {
        "model": "dnn", "width": 0.5, "dropout": 0.1, "batch_norm": False, "input_normalization": "none", "l1": 0.1, "l2": 0.1,
        "label_smoothing": 0.1, "epochs": 7, "batch_size": 7, "optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.5,
        "weight_decay": 0.1, "schedule": "cosine", "precision": "fp32" if base.precision == "bf16" else "bf16", "device": "cuda",
        "threads": 2, "seed": 7, "pretrained": "a.pt", "soft_labels": True, "transform": "./a.py:A", "transform_arguments": {"a": 1},
        "loss": "./a.py:A", "loss_arguments": {"a": 1}, "model_arguments": {"a": 1},
        **{f"augmentation.{name}": 0.25 for name in Augmentation.model_fields},
    }  # fmt: skip
    without_own_fields = dict.fromkeys(("width", "dropout", "batch_norm"))
    needed = {
        "weight_decay": {"optimizer": "sgd"}, "momentum": {"optimizer": "sgd"}, "transform_arguments": {"transform": "./b.py:B"},
        "loss_arguments": {"loss": "./b.py:B"}, "model_arguments": {"model": "./b.py:B", **without_own_fields},
    }  # fmt: skip
    assert set(others) == set(field_names())
    keys = {trial_key(base, "data"), trial_key(base, "other data")}
    for name, value in others.items():
        without = merge(base.model_dump(), needed.get(name, {}))
        key = trial_key(Config.parse(merge(without, {name: value})), "data")
        assert key != trial_key(Config.parse(without), "data")
        keys.add(key)
    assert len(keys) == 2 + len(others)


def test_the_content_of_what_a_config_names_is_part_of_the_key() -> None:
    config = Config(pretrained="a.pt", transform="./a.py:A")
    contents = [None, {"pretrained": "1"}, {"pretrained": "2"}, {"transform": "1"}, {"pretrained": "1", "transform": "1"}]
    assert len({trial_key(config, "data", files) for files in contents}) == len(contents)
    assert trial_key(config, "data", {}) == trial_key(config, "data")


def test_equal_numbers_have_equal_keys_however_they_are_written() -> None:
    assert trial_key(Config.parse({"l1": 0, "width": 1}), "d") == trial_key(Config(), "d")
    assert trial_key(Config.parse(Config().model_dump()), "d") == trial_key(Config(), "d")


def test_a_negative_zero_has_the_key_of_zero() -> None:
    zeros = [name for name, value in Config(model="dnn").flat().items() if value == 0.0 and isinstance(value, float)]
    negative = Config.parse(merge({"model": "dnn"}, dict.fromkeys(zeros, -0.0)))
    assert {"l1", "dropout", "augmentation.rotation"} < set(zeros)
    assert trial_key(negative, "d") == trial_key(Config(model="dnn"), "d")


def test_the_engine_version_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = trial_key(Config(), "d")
    monkeypatch.setattr(config_module, "ENGINE_VERSION", "another")
    assert trial_key(Config(), "d") != before


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Config().epochs = 3  # type: ignore[misc]


def test_merging_reaches_into_nested_mappings_by_name_and_by_dots() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge(base, {"a": {"b": 9}}) == merge(base, {"a.b": 9}) == {"a": {"b": 9, "c": 2}, "d": 3}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}
    assert flatten({"a": {"b": 1, "c": {"d": 2}}}) == {"a.b": 1, "a.c.d": 2}


NET = {"model": "./net.py:Net", "model_arguments": {"depth": 3, "width": 8}, "pretrained": "net.pt", "l1": 0.1}


@pytest.mark.parametrize(
    ("base", "overrides", "expected"),
    [
        (NET, {"model": "torchvision:resnet18"}, {"model": "torchvision:resnet18", "l1": 0.1}),
        (NET, {"model": "cnn", "width": 0.5}, {"model": "cnn", "width": 0.5, "l1": 0.1}),
        (NET, {"model": "./net.py:Net"}, NET),
        (NET, {"model_arguments.depth": 1}, {**NET, "model_arguments": {"depth": 1, "width": 8}}),
        (NET, {"model": "./b.py:B", "model_arguments.size": 1}, {"model": "./b.py:B", "model_arguments": {"size": 1}, "l1": 0.1}),
        ({"width": 2.0, "dropout": 0.1, "l2": 0.1}, {"model": "./net.py:Net"}, {"model": "./net.py:Net", "l2": 0.1}),
        ({"width": 2.0, "dropout": 0.1}, {"model": "dnn"}, {"model": "dnn", "width": 2.0, "dropout": 0.1}),
        ({"width": 2.0}, {"model": "cnn"}, {"model": "cnn", "width": 2.0}),
        ({"loss": "./a.py:A", "loss_arguments": {"a": 1}}, {"loss": "cross_entropy"}, {"loss": "cross_entropy"}),
        ({"transform": "./a.py:A", "transform_arguments": {"a": 1}}, {"transform": None}, {"transform": None}),
    ],
)  # fmt: skip
def test_what_belongs_to_one_network_loss_or_transform_goes_with_it(base: Any, overrides: Any, expected: Any) -> None:
    assert overlay(base, overrides) == expected
    Config.parse(overlay(base, overrides))
