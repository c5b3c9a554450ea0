"""Seeds are blocks: with the same seed, variants share every draw of what they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_data import toy_data

from ferray import Study
from ferray.attachments import Finder
from ferray.config import Config, overlay
from ferray.data import load
from ferray.data_source import DataSource
from ferray.training import fit, steps
from ferray.training.augmentation import augment
from ferray.training.models import Dropout, build
from ferray.training.transforms import Transform

DATA = toy_data()
BASE: dict[str, Any] = {
    "width": 0.1, "epochs": 2, "batch_size": 16, "precision": "fp32", "dropout": 0.3, "batch_norm": True,
    "input_normalization": "per_image", "l1": 1e-4, "l2": 1e-4, "label_smoothing": 0.1, "schedule": "cosine",
    "optimizer": "adamw", "weight_decay": 0.01, "transform": "./noise.py:make",
    "augmentation": {"rotation": 20.0, "horizontal_flip": 0.5, "shift": 0.1, "erasing": 0.2},
}  # fmt: skip
NOISE = """
import torch

def make():
    return lambda images, generator: torch.rand(images.shape, generator=generator)
"""
REMOVE = [
    "augmentation", "augmentation.rotation", "augmentation.horizontal_flip", "augmentation.shift", "augmentation.erasing", "transform",
    "input_scaling", "batch_norm", "dropout", "l1", "l2", "weight_decay", "label_smoothing", "schedule",
]  # fmt: skip
STUDY = Study(name="blocks", base=BASE, ablate={"design": "leave_one_out", "remove": REMOVE})


@dataclass
class Seen:
    """What a training drew, in the order of its steps."""

    images: list[Tensor] = field(default_factory=list)  # as they lie in the data, so that they show the order
    draws: dict[str, list[Tensor]] = field(default_factory=dict)  # of each transform
    noise: list[Tensor] = field(default_factory=list)  # of the transform of the user's own, which is noise alone
    masks: list[Tensor] = field(default_factory=list)  # states of the generators of dropout
    start: dict[str, Tensor] = field(default_factory=dict)  # parameters before the first step


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def watch(config: Config, folder: Path) -> Seen:
    """A training under observation."""
    seen = Seen()
    (folder / "noise.py").write_text(NOISE)
    attachments = Finder([folder]).attach(config)
    drops, changes = Dropout.forward, Transform.__call__

    def watched_augment(images: Tensor, settings: Any, draws: dict[str, Tensor]) -> Tensor:
        seen.images.append(images.clone())
        for name, values in draws.items():
            seen.draws.setdefault(name, []).append(values.clone())
        return augment(images, settings, draws)

    def watched_dropout(self: Dropout, features: Tensor) -> Tensor:
        if self.training:
            seen.masks.append(self.generator.get_state())
        return drops(self, features)

    def watched_transform(self: Transform, images: Tensor, *, epoch: int, step: int) -> Tensor:
        seen.noise.append(changes(self, images, epoch=epoch, step=step))
        return seen.noise[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "augment", watched_augment)
        patch.setattr(Dropout, "forward", watched_dropout)
        patch.setattr(Transform, "__call__", watched_transform)
        for _ in fit(config, DATA, attachments=attachments):
            pass
    seen.start = dict(build(config, DATA.image_shape, len(DATA.classes), attachments).state_dict())
    return seen


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) > 0 and all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return watch(Config.parse(BASE), tmp_path_factory.mktemp("baseline"))


@pytest.mark.parametrize("variant", STUDY.all_variants()[1:], ids=lambda variant: variant.name)
def test_a_variant_shares_all_draws_of_what_it_keeps(variant: Any, baseline: Seen, tmp_path: Path) -> None:
    config = Config.parse(overlay(BASE, variant.overrides))
    seen = watch(config, tmp_path)
    assert same(seen.images, baseline.images)  # the order of the images
    kept = {name for name in baseline.draws if getattr(config.augmentation, name)}
    assert seen.draws.keys() == kept
    assert all(same(seen.draws[name], baseline.draws[name]) for name in kept)
    assert same(seen.noise, baseline.noise) if config.transform else seen.noise == []
    assert same(seen.masks, baseline.masks) if config.dropout else seen.masks == []
    assert seen.start.keys() == {name for name in baseline.start if "_norm." not in name or config.batch_norm}
    assert all(torch.equal(value, baseline.start[name]) for name, value in seen.start.items())


def test_another_seed_shares_none_of_them(baseline: Seen, tmp_path: Path) -> None:
    seen = watch(Config.parse({**BASE, "seed": 1}), tmp_path)
    assert not same(seen.images, baseline.images)
    assert not any(same(seen.draws[name], baseline.draws[name]) for name in seen.draws)
    assert not same(seen.noise, baseline.noise)
    assert not same(seen.masks, baseline.masks)
    assert not torch.equal(seen.start["first.weight"], baseline.start["first.weight"])


def test_the_draws_of_epochs_and_transforms_differ(baseline: Seen) -> None:
    assert not torch.equal(baseline.images[0], baseline.images[3])  # the first batches of two epochs
    assert not same(baseline.draws["rotation"], baseline.draws["horizontal_flip"])


def test_every_variant_and_seed_has_the_split_that_was_drawn_once_from_the_seed_of_the_data() -> None:
    base = {name: value for name, value in BASE.items() if name != "transform"}
    study = Study(name="x", data={"images": 70}, base=base, seeds=3, ablate={"design": "factorial", "remove": ["augmentation", "l1"]})
    plan = study.plan()
    assert len(plan) == 12
    assert {trial.data for trial in plan} == {load(study.data).fingerprint} != {load(DataSource(images=70, seed=1)).fingerprint}


NETWORK = """
from torch import nn

def make(num_classes, attention):
    first, between = nn.Linear(144, 8), nn.Linear(8, 8) if attention else nn.Identity()
    return nn.Sequential(nn.Flatten(), first, between, nn.Linear(8, num_classes))
"""


def test_a_network_of_the_users_own_starts_the_same_up_to_the_layer_that_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text(NETWORK)
    whole, without = (
        build(config, DATA.image_shape, len(DATA.classes), Finder([tmp_path]).attach(config)).state_dict()
        for config in (Config(model="./network.py:make", model_arguments={"attention": attention}) for attention in (True, False))
    )
    assert torch.equal(whole["1.weight"], without["1.weight"])
    assert not torch.equal(whole["3.weight"], without["3.weight"])  # one stream for the whole network; docs/ablation.md says so
