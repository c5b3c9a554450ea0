"""Networks of the user's own: built from the seed, tried before they are trained, and trained bit for bit the same."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_code import NETWORK, outcomes, train, write
from toy_data import toy_data

from ferray.attachments import Finder
from ferray.config import Config
from ferray.errors import ConfigError
from ferray.training import fit
from ferray.training.models import build, kernels
from ferray.training.state import dump_state, load_state

OWN = {"model": "./net.py:Net"}
ODD = """
    import torch
    from torch import nn
    class Net(nn.Module):
        def __init__(self, num_classes, in_channels):
            super().__init__()
            self.first = nn.LazyConv2d(4, 3)
            self.second = nn.Conv2d(4, 4, 3, bias=False)
            self.tied = nn.Conv2d(4, 4, 3, bias=False)
            self.tied.weight = self.second.weight
            self.unused = nn.Linear(3, 3)
            self.frozen = nn.Conv2d(4, 4, 1).requires_grad_(False)
            self.places = nn.Parameter(torch.arange(4), requires_grad=False)
            self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
            self.register_buffer("mean", torch.zeros(4), persistent=False)
            self.head = nn.LazyLinear(num_classes)
        def forward(self, images):
            features = self.frozen(self.tied(self.second(self.first(images).relu()).relu())).mean((2, 3))
            if self.training:
                self.seen += len(images)
                self.mean.mul_(0.9).add_(0.1 * features.detach().mean(0))
            return self.head((features - self.mean)[:, self.places])
"""


def _network(folder: Path, shape: tuple[int, int, int] = (1, 12, 12), **settings: Any) -> torch.nn.Module:
    config = Config.parse({**OWN, **settings})
    return build(config, shape, 3, Finder([folder]).attach(config))


def test_a_factory_gets_the_arguments_and_what_its_signature_asks_for(tmp_path: Path) -> None:
    source = """
        from torch import nn
        def make(num_classes, *, image_size, depth=1, **others):
            assert (num_classes, image_size, others) == (3, (12, 10), {"extra": 2}), (num_classes, image_size, others)
            return nn.Sequential(nn.Flatten(), nn.Linear(120, depth), nn.Linear(depth, num_classes))
    """
    config = Config(model="./own.py:make", model_arguments={"depth": 5, "extra": 2})
    network = build(config, (1, 12, 10), 3, Finder([write(tmp_path, own=source)]).attach(config))
    assert network[1].out_features == 5  # type: ignore[index, union-attr]


def test_arguments_that_are_given_win_over_what_ferray_knows(tmp_path: Path) -> None:
    write(tmp_path, net=NETWORK)
    with pytest.raises(ConfigError, match=r"here \[2, 3\], for images \[2, 1, 12, 12\], not a tensor float32 \[2, 4\]"):
        _network(tmp_path, model_arguments={"num_classes": 4})


def test_a_networks_first_weights_follow_from_the_seed_alone(tmp_path: Path) -> None:
    write(tmp_path, net=NETWORK)
    first = _network(tmp_path, seed=1).state_dict()
    torch.rand(3)
    again, other = _network(tmp_path, seed=1).state_dict(), _network(tmp_path, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["body.0.weight"], other["body.0.weight"])


@pytest.mark.parametrize("source", [NETWORK, ODD], ids=["plain", "odd"])
def test_a_training_repeats_and_goes_on_from_any_epoch_bit_by_bit(tmp_path: Path, source: str) -> None:
    config = Config.parse({**OWN, "epochs": 3, "batch_size": 16, "precision": "fp32", "l1": 1e-4, "l2": 1e-4, "schedule": "one_cycle"})
    attachments = Finder([write(tmp_path, net=source)]).attach(config)
    data, expected, states = toy_data(train=33), [], []
    for epoch in fit(config, data, attachments=attachments, keep_weights=True):
        expected += outcomes([epoch])
        states.append(dump_state(epoch.state()))
        assert {name for name in epoch.selected_weights if not name.startswith("input.")} == epoch.weights().keys()
        torch.rand(5), np.random.random(5), random.random()  # noqa: NPY002
    assert outcomes(list(fit(config, data, attachments=attachments))) == expected
    for done in (1, 2):
        assert outcomes(list(fit(config, data, load_state(states[done - 1]), attachments=attachments))) == expected[done:]


def test_what_a_module_draws_as_it_is_imported_is_the_same_whichever_trial_comes_first(tmp_path: Path) -> None:
    source = NETWORK.replace("from torch import nn", "import torch\n    from torch import nn\n    OFFSET = torch.randn(3)")
    source = source.replace("mean((2, 3)))", "mean((2, 3))) + OFFSET")
    first = outcomes(train(write(tmp_path, net=source), **OWN, seed=1))
    write(tmp_path, net=source + "    # imported anew\n")
    train(tmp_path, **OWN, seed=2)
    assert outcomes(train(tmp_path, **OWN, seed=1)) == first


def test_a_factory_may_change_the_arguments_that_it_gets(tmp_path: Path) -> None:
    source = """
        from torch import nn
        def make(sizes, num_classes):
            sizes.append(num_classes)
            return nn.Sequential(nn.Flatten(), *(nn.Linear(*pair) for pair in zip(sizes, sizes[1:])))
    """
    config = Config(model="./own.py:make", model_arguments={"sizes": [144, 5]})
    attachments = Finder([write(tmp_path, own=source)]).attach(config)
    networks = [build(config, (1, 12, 12), 3, attachments) for _ in range(2)]
    assert [len(list(network.parameters())) for network in networks] == [4, 4]
    assert config.model_arguments == {"sizes": [144, 5]}


def test_infinities_that_a_network_has_from_the_beginning_are_no_divergence(tmp_path: Path) -> None:
    masked = NETWORK.replace("self.body =", "self.register_buffer('mask', torch.full((2, 2), -torch.inf).triu(1))\n            self.body =")
    write(tmp_path, net=masked.replace("from torch import nn", "import torch\n    from torch import nn"))
    assert [epoch.diverged for epoch in train(tmp_path, **OWN)] == [False, False]
    assert train(tmp_path, **OWN, learning_rate=1e30, optimizer="sgd")[-1].diverged


def test_a_network_that_gives_something_else_in_training_is_told(tmp_path: Path) -> None:
    pair = NETWORK.replace("return self.head", "return (images, 1) if self.training else self.head")
    write(tmp_path, net=pair)
    with pytest.raises(ConfigError, match=r"Net: must return logits \[n, classes\], here \[16, 3\], .* not a tuple"):
        train(tmp_path, **OWN)


def test_a_module_that_sets_the_default_type_does_not_change_other_trainings(tmp_path: Path) -> None:
    before = outcomes(train(tmp_path, model="dnn", width=0.2))
    write(tmp_path, net="import torch\ntorch.set_default_dtype(torch.float64)\ndef make(): return torch.nn.Flatten()\n")
    try:
        with pytest.raises(ConfigError):
            train(tmp_path, model="./net.py:make")
        assert outcomes(train(tmp_path, model="dnn", width=0.2)) == before
        assert torch.get_default_dtype() == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_callers_generators_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, net=NETWORK)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    train(tmp_path, **OWN)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2][1])  # noqa: NPY002


def test_a_rest_of_one_image_joins_the_batch_before(tmp_path: Path) -> None:
    write(tmp_path, net=NETWORK)
    assert len(train(tmp_path, data=toy_data(train=33), **OWN)) == 2
    with pytest.raises(ValueError, match="Expected more than 1 value"):
        torch.nn.BatchNorm1d(2).train()(torch.zeros(1, 2))


def test_penalties_are_on_what_is_trained_and_has_two_dimensions(tmp_path: Path) -> None:
    network = _network(write(tmp_path, net=ODD))
    names = {name for name, parameter in network.named_parameters() if any(parameter is kernel for kernel in kernels(network))}
    assert names == {"first.weight", "second.weight", "unused.weight", "head.weight"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def make(): return 3", "model: ./own.py:make: must return a torch.nn.Module, not an int"),
        ("def make(): pass", "must return a torch.nn.Module, not None"),
        ("def make(): raise RuntimeError('no luck')", "called with (), it raises RuntimeError: no luck (own.py, line 2)"),
        ("def make(width): return nn.Flatten()", "missing a required argument: 'width'; ferray calls it with model_arguments"),
        ("def make(): return nn.Flatten()", "here [2, 3], for images [2, 1, 12, 12], not a tensor float32 [2, 144]"),
        (
            "def make(): return nn.Linear(5, 3)",
            "on images [2, 1, 12, 12] it raises RuntimeError: ",
        ),
        ("class make(nn.Module):\n    def forward(self, images): return images, 1", "not a tuple"),
        ("def make(): raise SystemExit('no GPU')", "called with (), it raises SystemExit: no GPU (own.py, line 2)"),
        (
            "class make(nn.Module):\n    def forward(self, images): return images.flatten(1)[:, :3].squeeze()",
            "here [1, 3], for images [1, 1, 12, 12], not a tensor float32 [3]",
        ),
        ("class make(nn.Module):\n    def forward(self, images): return images.flatten(1)[:, :3].argmax(1)", "not a tensor int64 [2]"),
        ("class make(nn.Module):\n    def forward(self, images): return images.flatten(1)[:, :3]", "has no parameter that can be trained"),
    ],
)
def test_a_factory_that_gives_no_usable_network_is_told(tmp_path: Path, body: str, message: str) -> None:
    write(tmp_path, own=f"from torch import nn\n{body}\n")
    with pytest.raises(ConfigError) as raised:
        _network(tmp_path, model="./own.py:make")
    assert message in str(raised.value)


def test_an_argument_that_a_factory_does_not_take_is_told_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, net=NETWORK)
    with pytest.raises(ConfigError, match=r"model_arguments.dropuot: it takes no such argument; did you mean 'dropout'\? \(it takes: num_"):
        _network(tmp_path, model_arguments={"dropuot": 0.1})
