"""The golden rule: whoever changes a training's numbers must also raise the engine's version, or older records pass for new ones."""

from __future__ import annotations

import pytest
import torch
from toy_data import toy_data

from ferray.config import ENGINE_VERSION, Config
from ferray.training import fit

PINNED = {
    "cnn": [(1.188360, 1.097981), (1.043631, 1.097962)],
    "dnn": [(1.729397, 1.104938), (1.501008, 1.098932)],
}
"""Training and validation loss of both epochs."""

RULE = (
    "the numbers of a training have changed. If that is on purpose, raise ENGINE_VERSION in ferray/config.py, so that no older record is "
    "taken for the new training's result, and pin the new losses and version here; if not, something is broken"
)


@pytest.mark.parametrize("model", ["cnn", "dnn"])
def test_a_pinned_training_has_the_losses_of_this_engine_version(model: str) -> None:
    threads = torch.get_num_threads()
    config = Config(
        model=model,
        width=0.25,
        batch_norm=True,
        dropout=0.2,
        input_normalization="standardize",
        augmentation={
            "rotation": 20.0,
            "horizontal_flip": 0.5,
            "shift": 0.1,
            "zoom": 0.1,
            "brightness": 0.1,
            "contrast": 0.1,
            "erasing": 0.5,
        },
        l1=1e-4,
        l2=1e-4,
        label_smoothing=0.1,
        schedule="cosine",
        epochs=2,
        batch_size=16,
        precision="fp32",
        threads=1,
        seed=7,
    )
    losses = [(epoch.row["train_loss"], epoch.row["validation_loss"]) for epoch in fit(config, toy_data())]
    torch.set_num_threads(threads)
    assert [pytest.approx(pair, rel=1e-4) for pair in PINNED[model]] == losses, RULE
    assert ENGINE_VERSION == "1", RULE
