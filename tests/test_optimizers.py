from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import optim

from ferray.training import optimizers


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        ("Adam", {"eps": 1e-7}),
        ("AdamW", {"eps": 1e-7, "weight_decay": 0.01}),
    ],
)
def test_an_optimizer_takes_torchs_own_steps_also_from_a_saved_state(kind: str, settings: dict[str, Any]) -> None:
    def trained(module: Any) -> tuple[list[torch.Tensor], dict[str, Any]]:
        generator = torch.Generator().manual_seed(0)
        weights = [torch.randn(3, 4, generator=generator, requires_grad=True), torch.randn(5, generator=generator, requires_grad=True)]
        state = None
        for _ in range(2):
            optimizer = getattr(module, kind)(weights, lr=0.1, fused=True, **settings)
            if state is not None:
                optimizer.load_state_dict(state)
            for _ in range(3):
                for weight in weights:
                    weight.grad = torch.randn(weight.shape, generator=generator)
                optimizer.step()
                optimizer.zero_grad()
                assert all(weight.grad is None for weight in weights)
            state = optimizer.state_dict()
        assert state is not None
        return weights, state

    (own, own_state), (torchs, state) = trained(optimizers), trained(optim)
    assert all(torch.equal(one, other) for one, other in zip(own, torchs, strict=True))
    assert own_state["param_groups"] == state["param_groups"]


def test_a_training_does_not_load_torchs_compiler() -> None:
    program = """
import sys
from ferray import Config, Study, fit
data = Study(name="small", data={"source": "synthetic", "images": 70}).load_data()
for config in (Config(model="cnn", width=0.05, epochs=1), Config(model="dnn", optimizer="sgd", schedule="one_cycle", epochs=1)):
    for epoch in fit(config, data):
        epoch.state()
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", "the first trial of every process waits for it"
