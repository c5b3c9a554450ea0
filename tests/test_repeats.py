"""The same bits again: in another process at the same time, beside other trainings in turns with it, and on several threads."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from toy_data import toy_data

from ferray.config import Config
from ferray.training import Epoch, fit
from ferray.training.state import dump_state, load_state

DATA = toy_data(train=20, evaluation=8)
CONFIGS = [
    {"optimizer": "adam", "schedule": "cosine", "dropout": 0.3},
    {"optimizer": "adamw", "schedule": "one_cycle", "weight_decay": 0.1, "threads": 2},
    {"optimizer": "sgd", "schedule": "plateau", "model": "dnn", "width": 0.5, "batch_norm": True},
    {"precision": "bf16", "model": "dnn", "width": 0.5, "augmentation": {"rotation": 10.0}, "threads": 2},
]
CHILD = "from test_repeats import config, digests; print(*digests(config({place})))"


@pytest.fixture(autouse=True)
def _process_state() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def config(place: int) -> Config:
    """One of CONFIGS."""
    return Config.parse({"width": 0.1, "batch_size": 8, "epochs": 3, "precision": "fp32", "l1": 1e-4, **CONFIGS[place]})


def digests(training: Config) -> list[str]:
    """Of each epoch of a training."""
    return list(map(_digest, fit(training, DATA)))


def _digest(epoch: Epoch) -> str:
    """Of the bytes of all weights and probabilities, and of the figures."""
    row = {name: value for name, value in epoch.row.items() if name not in ("seconds", "images_per_second")}
    content = hashlib.sha256(repr(row).encode())
    for value in [*epoch.weights().values(), *map(torch.from_numpy, epoch.probabilities.values())]:
        content.update(value.numpy().tobytes())
    return content.hexdigest()


def _in_turns(trainings: Iterable[Iterator[Epoch]]) -> list[list[str]]:
    return [list(of_all) for of_all in zip(*([_digest(epoch) for epoch in epochs] for epochs in zip(*trainings, strict=True)), strict=True)]


@pytest.fixture(scope="module")
def alone() -> list[list[str]]:
    """The digests of each training by itself."""
    return [digests(config(place)) for place in range(len(CONFIGS))]


def test_trainings_that_take_turns_epoch_by_epoch_have_the_bits_of_each_alone(alone: list[list[str]]) -> None:
    assert _in_turns(fit(config(place), DATA) for place in range(len(CONFIGS))) == alone
    assert len({digest for training in alone for digest in training}) == 3 * len(CONFIGS)


def test_a_training_that_is_resumed_at_every_epoch_beside_others_has_the_same_bits(alone: list[list[str]]) -> None:
    states: list[bytes | None] = [None] * len(CONFIGS)
    for number in range(3):
        for place in range(len(CONFIGS)):
            epoch = next(fit(config(place), DATA, None if (state := states[place]) is None else load_state(state)))
            assert _digest(epoch) == alone[place][number]
            states[place] = dump_state(epoch.state())


def test_processes_that_train_at_the_same_time_have_the_bits_of_this_one(alone: list[list[str]]) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", CHILD.format(place=place)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
        for place in (0, 1)
    ]
    assert digests(config(0)) == alone[0]
    printed = [process.communicate(timeout=200)[0].split() for process in processes]
    assert printed == alone[:2]
