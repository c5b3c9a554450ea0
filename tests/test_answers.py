"""Fast training beside the plain path of benchmarks/peers/plain.py: the same answers after 50 steps, and mistakes that are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from toy_data import toy_data

from benchmarks.answers import EVERYTHING, STEPS, TIMES, steps, trained
from benchmarks.distance import Distance, StepDistance, distance, first_weights, of_ferray, ratios, step_distance
from benchmarks.peers import plain
from benchmarks.peers.plain_images import augmented
from ferray.config import Augmentation, Config
from ferray.training.augmentation import augment, draw

EPOCHS, BATCH = 10, 8
DATA = toy_data(train=STEPS // EPOCHS * BATCH, evaluation=10)
ONE_BATCH = toy_data(train=BATCH, evaluation=10)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]),
]
WITHOUT_NORM = Distance(loss=1e-5, probability=1e-5, weights=1e-3, statistics=0.0)
"""From the plain path in float64 after 50 steps without batch norm: what remains is float32's rounding."""
ONE_STEP = StepDistance(gradients=1e-4, weights=1e-3, statistics=1e-5)
"""From the same weights, with batch norm. Adam's first step is as long for a gradient that is nothing but rounding as for any other."""
DNN = {"model": "dnn", "width": 1.0}
TRAININGS: dict[str, dict[str, Any]] = {
    "cnn": {},
    "dnn, adamw, cosine, standardized": {
        **DNN, "optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine", "input_normalization": "standardize",
    },
    "dnn, adam, one cycle, per image": {**DNN, "schedule": "one_cycle", "input_normalization": "per_image"},
    "dnn, sgd, plateau, little momentum": {**DNN, "optimizer": "sgd", "schedule": "plateau", "momentum": 0.5},
    "dnn, adam, without penalties or dropout": {**DNN, "l1": 0.0, "l2": 0.0, "dropout": 0.0},
    "dnn, sgd, flip alone": {**DNN, "optimizer": "sgd", "augmentation": {"horizontal_flip": 0.5}},
    "dnn, adamw, plateau, without augmentation": {**DNN, "optimizer": "adamw", "schedule": "plateau", "augmentation": {}},
}  # fmt: skip
REPEATED: dict[str, dict[str, Any]] = {
    f"{model}, {optimizer}, {schedule}": {
        **(DNN if model == "dnn" else {}), "optimizer": optimizer, "schedule": schedule,
        "weight_decay": 0.0 if optimizer == "adam" else 0.1,
    }
    for model in ("cnn", "dnn")
    for optimizer in ("adam", "adamw", "sgd")
    for schedule in ("constant", "cosine", "one_cycle", "plateau")
}  # fmt: skip
WITH_NORM: dict[str, dict[str, Any]] = {
    "cnn": {"width": 0.1, "learning_rate": 1e-4},
    "dnn": {"model": "dnn", "width": 0.5, "learning_rate": 1e-4},
}
"""So small, and in steps so small, that 50 of them multiply little what float32 rounds, and an error of any other kind stands out."""


@pytest.fixture(autouse=True)
def _threads(one_thread: None) -> None:
    pass


def _config(device: str = "cpu", **settings: Any) -> Config:
    return Config.parse({**EVERYTHING, "epochs": EPOCHS, "batch_size": BATCH, "device": device, **settings})


@cache  # and no fixture of the module, which would run before there is one thread
def _exact() -> list[plain.PlainEpoch]:
    """Of the training that mistakes are made in."""
    return list(plain.train(_config(batch_norm=False, **DNN), DATA, torch.float64))


def _check_fifty_steps(config: Config) -> None:
    fast, exact = list(of_ferray(config, DATA)), list(plain.train(config, DATA, torch.float64))
    off = distance(fast, exact, first_weights(config, DATA))
    assert off.within(WITHOUT_NORM), asdict(off)
    assert [epoch.learning_rate for epoch in fast] == pytest.approx([epoch.learning_rate for epoch in exact])
    assert [epoch.penalty for epoch in fast] == pytest.approx([epoch.penalty for epoch in exact], rel=1e-3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAININGS)
def test_fifty_steps_without_batch_norm_end_where_the_plain_path_ends(name: str, device: str) -> None:
    _check_fifty_steps(_config(device, batch_norm=False, **TRAININGS[name]))


@pytest.mark.long
@pytest.mark.parametrize("name", REPEATED)
def test_every_schedule_of_every_optimizer_ends_where_the_plain_path_ends(name: str) -> None:
    _check_fifty_steps(_config(batch_norm=False, **REPEATED[name]))


def _times(name: str, seeds: Sequence[int], device: str, **settings: Any) -> dict[str, float]:
    """How many times as far from float64 as plain float32 is, in the median of seeds."""
    every = [ratios(*trained(_config(device, seed=seed, **{**WITH_NORM[name], **settings}), DATA)) for seed in seeds]
    return {what: float(np.median([one[what] for one in every])) for what in every[0]}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", WITH_NORM)
def test_fifty_steps_with_batch_norm_are_as_near_to_float64_as_plain_float32(name: str, device: str) -> None:
    times = _times(name, range(3), device)
    assert max(times.values()) <= TIMES, times


@pytest.mark.long
@pytest.mark.parametrize("name", WITH_NORM)
@pytest.mark.parametrize("settings", [{"optimizer": "sgd", "learning_rate": 1e-3}, {"l1": 0.0, "l2": 0.0}], ids=str)
def test_other_ways_with_batch_norm_are_as_near(name: str, settings: dict[str, Any]) -> None:
    times = _times(name, range(5), "cpu", **settings)
    assert max(times.values()) <= TIMES, times


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("model", [{}, DNN], ids=["cnn", "dnn"])
def test_single_steps_with_batch_norm_are_those_of_the_plain_path(model: dict[str, Any], optimizer: str, device: str) -> None:
    config = _config(device, **model, optimizer=optimizer, epochs=26, learning_rate=1e-3 if optimizer == "adam" else 1e-2)
    for off, _ in steps(config, ONE_BATCH, (0, 10, 25)):
        assert _is_right(off), off


def _is_right(off: StepDistance) -> bool:
    return all(own <= allowed for own, allowed in zip(astuple(off), astuple(ONE_STEP), strict=True))


def test_a_step_on_large_images_is_that_of_the_plain_path() -> None:
    """Where a channel has so many numbers that adding them up one by one would be off by a thousandth."""
    data = toy_data(train=BATCH, evaluation=10, size=96)
    ((off, plainly),) = steps(_config(width=0.1, epochs=1), data, (0,))
    assert off.statistics < 1e-5, off
    assert off.gradients < max(1e-4, TIMES * plainly.gradients), (off, plainly)


@pytest.mark.parametrize(
    "mistake",
    [
        {"l1": 0.0},
        {"l2": 5e-4},
        {"learning_rate": 1.1e-3},
        {"schedule": "cosine"},
        {"label_smoothing": 0.11},
        {"input_normalization": "standardize"},
        {"augmentation": {**EVERYTHING["augmentation"], "rotation": 29.0}},
        {"augmentation": {**EVERYTHING["augmentation"], "erasing": 0.2}},
        {"dropout": 0.25},
        {"seed": 1},
    ],
    ids=str,
)
def test_a_training_that_is_a_little_wrong_is_told_from_a_right_one(mistake: dict[str, Any]) -> None:
    right, wrong = _config(batch_norm=False, **DNN), _config(**{"batch_norm": False, **DNN, **mistake})
    off = distance(list(of_ferray(wrong, DATA)), _exact(), first_weights(right, DATA))
    assert not off.within(WITHOUT_NORM), asdict(off)


@pytest.mark.parametrize(
    "mistake",
    [{"l1": 9e-4}, {"l2": 0.0}, {"learning_rate": 1.01e-2}, {"label_smoothing": 0.101}, {"dropout": 0.29}, {"augmentation": {}}],
    ids=str,
)
def test_a_step_that_is_a_little_wrong_is_told_from_a_right_one(mistake: dict[str, Any]) -> None:
    right = {"optimizer": "sgd", "learning_rate": 1e-2, "epochs": 1}
    exact = next(plain.train(_config(**right), ONE_BATCH, torch.float64))
    wrong = next(of_ferray(_config(**{**right, **mistake}), ONE_BATCH))
    assert not _is_right(step_distance(wrong, exact, first_weights(_config(**right), ONE_BATCH)))


@pytest.mark.parametrize("name", [*EVERYTHING["augmentation"], "all"])
def test_a_batch_is_augmented_as_each_of_its_images_by_itself(name: str) -> None:
    settings = Augmentation(**(EVERYTHING["augmentation"] if name == "all" else {name: EVERYTHING["augmentation"][name]}))
    data = toy_data(train=200, size=15, channels=3).train
    draws = draw(settings, 200, seed=0, epoch=1)
    together = augment(torch.from_numpy(data.images.copy()).double(), settings, {name: one.double() for name, one in draws.items()})
    for place, image in enumerate(data.images):
        alone = augmented(image.astype(np.float64), settings, {name: one[place].numpy() for name, one in draws.items()})
        assert np.abs(together[place].numpy() - alone).max() < 1e-9
