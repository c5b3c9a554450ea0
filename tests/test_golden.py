"""The golden rule: whoever changes a training's numbers must also raise the engine's version, or older records pass for new ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toy_data import toy_data

from ferray.config import ENGINE_VERSION, Config
from ferray.training import fit

ALL_TRANSFORMS = {
    "rotation": 20.0, "horizontal_flip": 0.5, "shift": 0.1, "zoom": 0.1, "brightness": 0.1, "contrast": 0.1, "erasing": 0.5,
}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "batch_norm": True, "dropout": 0.2, "input_normalization": "standardize", "augmentation": ALL_TRANSFORMS,
    "l1": 1e-4, "l2": 1e-4, "label_smoothing": 0.1, "schedule": "cosine",
}  # fmt: skip
TRAININGS: dict[str, dict[str, Any]] = {
    "cnn": {"model": "cnn", **EVERYTHING},
    "dnn": {"model": "dnn", **EVERYTHING},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 1e-3, "schedule": "one_cycle", "input_normalization": "per_image"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "plateau", "input_normalization": "none", "batch_norm": False},
    "adam": {"input_normalization": "scale", "augmentation": {"horizontal_flip": 0.5}},
}
PINNED = {
    "1": {
        "cnn": [(1.188360, 1.097981), (1.043631, 1.097962)],
        "dnn": [(1.729397, 1.104938), (1.501008, 1.098932)],
        "sgd": [(1.248666, 1.098479), (1.201435, 1.098223)],
        "adamw": [(1.102824, 1.083134), (1.082973, 1.045935)],
        "adam": [(1.251457, 1.097735), (1.072472, 1.097655)],
    },
    "2": {
        "cnn": [(1.188360, 1.097981), (1.043631, 1.097962)],
        "dnn": [(1.729397, 1.104938), (1.501008, 1.098932)],
        "sgd": [(1.248666, 1.098479), (1.201435, 1.098223)],
        "adamw": [(1.102824, 1.083134), (1.082973, 1.045935)],
        "adam": [(1.251457, 1.097735), (1.072472, 1.097655)],
    },
    "3": {
        "cnn": [(1.188359, 1.097981), (1.043633, 1.097962)],
        "dnn": [(1.729395, 1.104939), (1.501007, 1.098932)],
        "sgd": [(1.248668, 1.098479), (1.201442, 1.098223)],
        "adamw": [(1.102824, 1.083134), (1.082974, 1.045935)],
        "adam": [(1.251595, 1.097734), (1.072313, 1.097634)],
    },
}
"""By engine version and training: training and validation loss of both epochs. A version's numbers never change; a new one is added."""

RULE = (
    "the numbers of a training have changed. If that is on purpose, raise ENGINE_VERSION in ferray/config.py, so that no older record is "
    "taken for the new training's result, and pin the new losses and version here; if not, something is broken"
)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_pinned_training_has_the_losses_of_this_engine_version(name: str) -> None:
    threads = torch.get_num_threads()
    config = Config(width=0.25, epochs=2, batch_size=16, precision="fp32", threads=1, seed=7, **TRAININGS[name])
    losses = [(epoch.row["train_loss"], epoch.row["validation_loss"]) for epoch in fit(config, toy_data())]
    torch.set_num_threads(threads)
    assert ENGINE_VERSION in PINNED, RULE
    assert [pytest.approx(pair, rel=1e-4) for pair in PINNED[ENGINE_VERSION][name]] == losses, RULE
