"""Trainings of one process that give way to each other between steps, and steps that are recorded and replayed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from toy_data import toy_data

from ferray.attachments import Attachments
from ferray.config import Config
from ferray.training import Epoch, fit, steps
from ferray.training.epochs import turns
from ferray.training.state import dump_state, load_state

DATA = toy_data()
AUGMENTATION = {"rotation": 20.0, "horizontal_flip": 0.1, "shift": 0.05, "brightness": 0.1, "erasing": 0.2}
TIMES = ("seconds", "images_per_second")


def _config(**settings: Any) -> Config:
    of_networks = {"width": 0.1} if settings.get("model", "cnn") in ("cnn", "dnn") else {}
    return Config.parse({"batch_size": 16, "epochs": 3, "precision": "fp32", **of_networks, **settings})


def _numbers(epoch: Epoch) -> dict[str, Any]:
    row = {name: value for name, value in epoch.row.items() if name not in TIMES}
    return {**row, **{name: values.tolist() for name, values in epoch.probabilities.items()}}


def test_trainings_that_give_way_to_each_other_have_the_numbers_that_each_has_alone() -> None:
    configs = [
        _config(augmentation=AUGMENTATION, dropout=0.3, seed=1),
        _config(model="dnn", threads=2, optimizer="sgd", schedule="cosine", seed=2),
        _config(model="torchvision:squeezenet1_1", batch_size=20, epochs=2, seed=3),  # its dropout draws from the global generator
    ]
    data = toy_data(size=32, channels=3)
    attachments = [Attachments() for _ in configs]
    alone = [[_numbers(epoch) for epoch in fit(config, data)] for config in configs]
    together: list[list[dict[str, Any]]] = [[] for _ in configs]
    running = {number: turns(config, data, attachments=attachments[number]) for number, config in enumerate(configs)}
    given_way = 0
    while running:
        for number in list(running):
            random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
            epoch = next(running[number], "over")
            if epoch == "over":
                del running[number]
            elif isinstance(epoch, Epoch):
                together[number].append(_numbers(epoch))
            else:
                given_way += 1
    assert together == alone
    assert given_way > 30


def test_a_training_without_steps_to_give_way_after_yields_epochs_alone() -> None:
    assert all(isinstance(one, Epoch) for one in turns(_config(model="dnn"), DATA, attachments=Attachments(), steps=None))


def test_a_training_that_is_left_in_the_middle_of_an_epoch_leaves_the_generators_to_others() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    running = turns(_config(), DATA, attachments=Attachments())
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert torch.equal(torch.rand(2), expected)


SETTINGS: list[dict[str, Any]] = [
    {"augmentation": AUGMENTATION, "dropout": 0.3, "l1": 1e-4, "l2": 1e-4, "label_smoothing": 0.1},
    {"model": "dnn", "dropout": 0.2, "optimizer": "adamw", "weight_decay": 0.1, "schedule": "one_cycle"},
    {"optimizer": "sgd", "schedule": "cosine", "weight_decay": 0.01},
    {"batch_size": 15},
    {"batch_size": 64},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_recorded_steps_have_the_numbers_of_plain_ones_but_for_rounding(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    config = _config(**settings)
    plain = [_numbers(epoch) for epoch in fit(config, DATA)]
    monkeypatch.setattr(steps, "is_capturable", lambda config, device: True)
    recorded = [_numbers(epoch) for epoch in fit(config, DATA)]
    for one, other in zip(plain, recorded, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert one["learning_rate"] == other["learning_rate"]
        assert np.allclose(one["validation"], other["validation"], atol=2e-3)


def test_recorded_steps_go_on_from_a_state_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "is_capturable", lambda config, device: True)
    config = _config(**SETTINGS[0])
    epochs = fit(config, DATA)
    first = next(epochs)
    state = load_state(dump_state(first.state()))
    assert [_numbers(epoch) for epoch in epochs] == [_numbers(epoch) for epoch in fit(config, DATA, state)]


@pytest.mark.parametrize(("images", "size", "expected"), [(45, 16, [16, 16, 13]), (32, 16, [16, 16]), (5, 16, [5]), (33, 16, [16, 16, 1])])
def test_batches_have_one_size_but_for_a_rest(images: int, size: int, expected: list[int]) -> None:
    assert steps.batch_sizes(images, _config(batch_size=size)) == expected


def test_a_rest_of_one_image_joins_the_batch_before_where_a_network_may_refuse_it() -> None:
    assert steps.batch_sizes(33, _config(model="torchvision:resnet18", batch_size=16)) == [16, 17]
    assert steps.batch_sizes(3, _config(model="torchvision:resnet18", batch_size=1)) == [1, 1, 1]


def test_only_what_is_known_to_decide_nothing_on_the_processor_is_recorded() -> None:
    gpu = torch.device("cuda")
    assert steps.is_capturable(_config(), gpu)
    assert steps.is_capturable(_config(model="torchvision:resnet18"), gpu)
    assert not steps.is_capturable(_config(), torch.device("cpu"))
    assert not steps.is_capturable(_config(model="./own.py:net"), gpu)
    assert not steps.is_capturable(_config(loss="torch.nn:MultiMarginLoss"), gpu)
    assert not steps.is_capturable(_config(transform="torchvision.transforms.v2:RandomPerspective"), gpu)


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_gpu_has_the_numbers_of_its_plain_steps_in_recorded_ones(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], precision: str
) -> None:
    config = _config(**settings, device="cuda", precision=precision, epochs=6)
    recorded = [_numbers(epoch) for epoch in fit(config, DATA)]
    assert recorded == [_numbers(epoch) for epoch in fit(config, DATA)]
    monkeypatch.setattr(steps, "is_capturable", lambda config, device: False)
    for one, other in zip(recorded, [_numbers(epoch) for epoch in fit(config, DATA)], strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3 if precision == "fp32" else 0.05)
        assert one["learning_rate"] == other["learning_rate"]


@pytest.mark.gpu
@on_a_gpu
def test_recorded_steps_draw_other_dropout_masks_each_time() -> None:
    config = _config(model="dnn", dropout=0.5, learning_rate=1e-12, device="cuda", batch_size=45, epochs=8)
    losses = [epoch.row["train_loss"] for epoch in fit(config, DATA)]
    assert len(set(losses)) == len(losses)


@pytest.mark.gpu
@on_a_gpu
def test_trainings_that_share_a_gpu_have_the_numbers_that_each_has_alone() -> None:
    configs = [_config(augmentation=AUGMENTATION, dropout=0.3, seed=seed, device="cuda", epochs=6) for seed in range(4)]
    alone = [[_numbers(epoch) for epoch in fit(config, DATA)] for config in configs]
    running = [turns(config, DATA, attachments=Attachments(), steps=2) for config in configs]
    together: list[list[dict[str, Any]]] = [[] for _ in configs]
    while any(len(epochs) < 6 for epochs in together):
        for turn, epochs in zip(running, together, strict=True):
            told = next(turn, None)
            if isinstance(told, Epoch):
                epochs.append(_numbers(told))
    assert together == alone
