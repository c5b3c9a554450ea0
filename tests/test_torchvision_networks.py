"""torchvision's classifiers by name, for images of any channels, classes and size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from own_code import outcomes, train
from torch import nn
from torchvision import models

from ferray.config import Config
from ferray.errors import ConfigError
from ferray.training.models import build
from ferray.training.pretrained import _fitted
from ferray.training.torchvision_networks import build as build_torchvision

QUICK = ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5"]
GREY, COLOUR = (1, 48, 48), (3, 28, 28)
SLOW = {
    "densenet121": COLOUR, "googlenet": COLOUR, "mnasnet0_5": GREY, "efficientnet_b0": COLOUR, "mobilenet_v2": COLOUR,
    "mobilenet_v3_small": GREY, "alexnet": GREY, "vgg11_bn": GREY, "inception_v3": COLOUR, "regnet_x_400mf": COLOUR,
    "convnext_tiny": COLOUR, "swin_t": GREY, "vit_b_32": COLOUR,
}  # fmt: skip
"""One of each other family, and the shape of its images: large networks get small ones."""


pytestmark = pytest.mark.usefixtures("one_thread")


def _step(name: str, shape: tuple[int, int, int]) -> nn.Module:
    network = build_torchvision(name, {}, shape, 7).train()
    logits = network(torch.rand(2, *shape).contiguous(memory_format=torch.channels_last))
    assert logits.shape == (2, 7)
    logits.logsumexp(1).mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(logits.isfinite().flatten())
    return network


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("name", QUICK)
def test_a_network_takes_small_images_of_any_channels(name: str, shape: tuple[int, int, int]) -> None:
    _step(name, shape)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), SLOW.items())
def test_every_family_takes_small_images(name: str, shape: tuple[int, int, int]) -> None:
    _step(name, shape)


def test_every_name_of_torchvision_is_known_to_be_adapted() -> None:
    families = {models.get_model_builder(name).__module__ for name in models.list_models(module=models)}
    tested = {models.get_model_builder(name).__module__ for name in [*QUICK, *SLOW, "maxvit_t"]}
    assert families == tested


def test_small_images_meet_a_gentle_beginning_and_large_ones_torchvisions() -> None:
    small, large = (build_torchvision("resnet18", {}, (3, size, size), 7) for size in (63, 64))
    assert (small.conv1.kernel_size, small.conv1.stride) == ((3, 3), (1, 1))
    assert isinstance(small.maxpool, nn.Identity)
    assert (large.conv1.kernel_size, large.conv1.stride) == ((7, 7), (2, 2))
    assert isinstance(large.maxpool, nn.MaxPool2d)
    theirs = models.resnet18(num_classes=7).state_dict()
    assert {name: value.shape for name, value in large.state_dict().items()} == {name: value.shape for name, value in theirs.items()}


def test_an_exchanged_convolution_keeps_the_variance_of_its_features() -> None:
    torch.manual_seed(0)
    ours, theirs = build_torchvision("resnet18", {}, (1, 48, 48), 7).conv1, models.resnet18().conv1
    assert isinstance(ours, nn.Conv2d)
    noise = torch.randn(4, 3, 48, 48)
    assert float(ours(noise[:, :1]).std()) == pytest.approx(float(theirs(noise).std()), rel=0.15)


def test_colour_weights_fit_all_but_the_changed_parts() -> None:
    ours, theirs = build_torchvision("resnet18", {}, (1, 64, 64), 7).state_dict(), models.resnet18().state_dict()
    unfit = [name for name in ours if _fitted(theirs[name], ours[name]) is None]
    assert unfit == ["fc.weight", "fc.bias"]


def test_model_arguments_go_to_torchvision(tmp_path: Path) -> None:
    config = Config(model="torchvision:mobilenet_v2", model_arguments={"width_mult": 0.25, "dropout": 0.4})
    network = build(config, (1, 32, 32), 3)
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0.4]


def test_a_network_of_torchvisions_repeats_and_its_first_weights_follow_from_the_seed(tmp_path: Path) -> None:
    settings = {"model": "torchvision:shufflenet_v2_x0_5", "epochs": 1}
    first = outcomes(train(tmp_path, **settings))
    torch.rand(3)
    assert outcomes(train(tmp_path, **settings)) == first
    assert outcomes(train(tmp_path, **settings, seed=1)) != first


@pytest.mark.parametrize(
    ("name", "arguments", "shape", "message"),
    [
        ("resnet81", {}, (1, 48, 48), "torchvision:resnet81: torchvision has no classifier of this name; did you mean 'resnet18'?"),
        ("resnet18", {"zero_init": True}, (1, 48, 48), "model_arguments.zero_init: it takes no such argument; did you mean 'zero_init_res"),
        ("resnet18", {"weights": "DEFAULT"}, (1, 48, 48), "model_arguments.weights: nothing is downloaded; write pretrained: FILE"),
        ("resnet18", {"layers": [1]}, (1, 48, 48), "model_arguments: torchvision refuses them: TypeError"),
        ("vit_b_16", {}, (1, 48, 40), "takes square images, not 48x40"),
        ("vit_b_16", {}, (1, 70, 70), "takes images whose sides are multiples of 16, not 70x70"),
        ("maxvit_t", {}, (1, 48, 48), "takes images whose sides are multiples of 224, not 48x48"),
    ],
)
def test_what_a_network_cannot_take_is_told(name: str, arguments: dict[str, object], shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build_torchvision(name, arguments, shape, 7)
    assert message in str(raised.value)
