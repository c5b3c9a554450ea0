"""bf16 by rounding, beside torch's own bf16."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from toy_data import toy_data

from benchmarks.rounded import Bf16, Network, rounded
from ferray.config import Config
from ferray.training import fit
from ferray.training.models import build

DATA = toy_data(train=64)


@pytest.fixture(autouse=True)
def _threads(one_thread: None) -> None:
    pass


def _step(way: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a batch, and the gradients of all parameters."""
    network = build(Config(width=0.25, dropout=0.0, seed=1), DATA.image_shape, 3).train()
    images, labels = torch.from_numpy(DATA.train.images.copy()) / 255, torch.from_numpy(DATA.train.labels)
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "bf16", cache_enabled=False):
        if way == "rounded":
            with Bf16():
                logits = network(images)
        else:
            logits = network(images)
    F.cross_entropy(logits.float(), labels).backward()
    return logits.detach().float(), torch.cat([one.grad.flatten() for one in network.parameters() if one.grad is not None])


def test_a_step_by_rounding_is_that_of_bf16_and_not_that_of_float32() -> None:
    (logits, gradients), (by_rounding, of_rounding), (in_float32, of_float32) = (_step(way) for way in ("bf16", "rounded", "fp32"))
    assert torch.equal(by_rounding, by_rounding.bfloat16().float())
    assert (by_rounding - logits).norm() < 0.1 * (in_float32 - logits).norm()
    assert (of_rounding - gradients).norm() < 0.2 * (of_float32 - gradients).norm()


def test_rounding_is_to_the_nearest_bf16_number_in_both_directions() -> None:
    numbers = torch.tensor([1.0, 1.0 + 2**-9, -3.14159], requires_grad=True)
    result = rounded(numbers)
    result.backward(torch.tensor([1.0 + 2**-9, 2.0, 0.1]))
    assert result.tolist() == [1.0, 1.0, -3.140625]
    assert numbers.grad is not None
    assert numbers.grad.tolist() == [1.0, 2.0, 0.10009765625]


def test_both_variants_of_the_study_begin_with_the_same_weights_and_train_differently() -> None:
    def losses(*, bf16: bool) -> list[float]:
        arguments = {"width": 0.1, "bf16": bf16}
        config = Config(
            model="benchmarks.rounded:Network", model_arguments=arguments, epochs=2, batch_size=16, precision="fp32", learning_rate=1e-3
        )
        return [epoch.row["train_loss"] for epoch in fit(config, DATA)]

    assert losses(bf16=True) == losses(bf16=True) != losses(bf16=False)
    assert losses(bf16=True) == pytest.approx(losses(bf16=False), rel=0.02)
    torch.manual_seed(3)
    first = Network(1, (12, 12), 3, width=0.1).state_dict()
    torch.manual_seed(3)
    second = Network(1, (12, 12), 3, width=0.1, bf16=True).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
