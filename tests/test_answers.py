"""Fast training beside the plain path of benchmarks/peers/plain.py: the same answers after 50 steps, and mistakes that are seen."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from toy_data import toy_data

from benchmarks.answers import BATCH, EPOCHS, EVERYTHING, STEPS, TOLERANCES, deviation, first_weights, of_ferray
from benchmarks.peers import plain
from benchmarks.peers.plain_images import augmented
from ferray.config import Augmentation, Config
from ferray.training.augmentation import augment, draw

DATA = toy_data(train=STEPS // EPOCHS * BATCH)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]),
]
LARGER = {"batch_norm": False, "learning_rate": 1e-3}
"""Without batch norm, whose small batches multiply what rounding does: with SGD beyond any tolerance that would still see a mistake."""
TRAININGS: dict[str, dict[str, Any]] = {
    "cnn": {},
    "cnn, adamw, cosine": {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine"},
    "cnn, one cycle": {"schedule": "one_cycle"},
    "cnn, plateau": {"schedule": "plateau"},
    "cnn, standardized": {"input_normalization": "standardize"},
    "cnn, per image": {"input_normalization": "per_image"},
    "cnn, without penalties": {"l1": 0.0, "l2": 0.0},
    "cnn, without dropout": {"dropout": 0.0},
    "cnn, without augmentation": {"augmentation": {}},
    "cnn, flip alone": {"augmentation": {"horizontal_flip": 0.5}},
    "cnn, without batch norm": LARGER,
    "cnn, without batch norm, sgd": {**LARGER, "optimizer": "sgd", "weight_decay": 0.1, "schedule": "one_cycle"},
    "dnn": {"model": "dnn", "width": 1.0},
    "dnn without batch norm, little momentum": {**LARGER, "model": "dnn", "width": 1.0, "optimizer": "sgd", "momentum": 0.5},
    **{
        f"dnn without batch norm, {optimizer}, {schedule}": {
            **LARGER, "model": "dnn", "width": 1.0, "optimizer": optimizer, "schedule": schedule,
            "weight_decay": 0.0 if optimizer == "adam" else 0.1,
        }
        for optimizer in ("adam", "adamw", "sgd")
        for schedule in ("constant", "cosine", "one_cycle", "plateau")
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _threads(one_thread: None) -> None:
    pass


def _config(device: str = "cpu", **settings: Any) -> Config:
    return Config.parse({**EVERYTHING, "device": device, **settings})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAININGS)
def test_fifty_steps_end_where_the_plain_path_ends(name: str, device: str) -> None:
    config = _config(device, **TRAININGS[name])
    fast, exact = of_ferray(config, DATA), list(plain.train(config, DATA, torch.float64))
    off = deviation(fast, exact, first_weights(config, DATA))
    assert off.within(TOLERANCES["with batch norm" if config.batch_norm else "without batch norm"]), asdict(off)
    assert [epoch.learning_rate for epoch in fast] == pytest.approx([epoch.learning_rate for epoch in exact])
    assert [epoch.penalty for epoch in fast] == pytest.approx([epoch.penalty for epoch in exact], rel=1e-3)


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
    right, wrong = _config(**LARGER, model="dnn", width=1.0), _config(**{**LARGER, "model": "dnn", "width": 1.0, **mistake})
    exact = list(plain.train(right, DATA, torch.float64))
    off = deviation(of_ferray(wrong, DATA), exact, first_weights(right, DATA))
    assert not off.within(TOLERANCES["without batch norm"]), asdict(off)


@pytest.mark.parametrize("mistake", [{"batch_norm": False}, {"dropout": 0.2}, {"learning_rate": 1.2e-4}, {"augmentation": {}}], ids=str)
def test_with_batch_norm_mistakes_are_seen_too(mistake: dict[str, Any]) -> None:
    exact = list(plain.train(_config(), DATA, torch.float64))
    wrong = of_ferray(_config(**mistake), DATA)
    if "batch_norm" in mistake:
        assert max(abs(one.train_loss - other.train_loss) for one, other in zip(wrong, exact, strict=True)) > 1e-2
    else:
        assert not deviation(wrong, exact, first_weights(_config(), DATA)).within(TOLERANCES["with batch norm"])


def test_float32_alone_stays_within_the_tolerances_too() -> None:
    config = _config()
    off = deviation(list(plain.train(config, DATA)), list(plain.train(config, DATA, torch.float64)), first_weights(config, DATA))
    assert off.loss > 0
    assert off.within(TOLERANCES["with batch norm"]), asdict(off)


@pytest.mark.parametrize("name", [*EVERYTHING["augmentation"], "all"])
def test_a_batch_is_augmented_as_each_of_its_images_by_itself(name: str) -> None:
    settings = Augmentation(**(EVERYTHING["augmentation"] if name == "all" else {name: EVERYTHING["augmentation"][name]}))
    data = toy_data(train=200, size=15, channels=3).train
    draws = draw(settings, 200, seed=0, epoch=1)
    together = augment(torch.from_numpy(data.images.copy()).double(), settings, {name: one.double() for name, one in draws.items()})
    for place, image in enumerate(data.images):
        alone = augmented(image.astype(np.float64), settings, {name: one[place].numpy() for name, one in draws.items()})
        assert np.abs(together[place].numpy() - alone).max() < 1e-9
