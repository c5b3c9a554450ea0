"""Weights to begin from: what fits is taken, what was taken is told, and no code of a file runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from own_code import train
from safetensors.torch import save_file
from torch import nn
from toy_data import toy_data

from ferray.attachments import Finder, Weights
from ferray.config import Config
from ferray.errors import ConfigError
from ferray.training import fit
from ferray.training.pretrained import begin_from


def _network(channels: int = 1, classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def _weights(folder: Path, tensors: Any, name: str = "w.pt") -> Weights:
    if name.endswith(".safetensors"):
        save_file(tensors, folder / name)
    else:
        torch.save(tensors, folder / name)
    content = (folder / name).read_bytes()
    return Weights(name, "", content)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_all_that_fits_is_taken(tmp_path: Path, name: str) -> None:
    old, new = _network(), _network()
    told = begin_from(new, _weights(tmp_path, old.state_dict(), name))
    assert told == f"taken 9 of the network's 9 tensors from {name}"
    assert all(torch.equal(value, new.state_dict()[place]) for place, value in old.state_dict().items())


def test_a_last_layer_of_another_size_is_left_and_told(tmp_path: Path) -> None:
    network = _network()
    last = network[4].weight.clone()  # type: ignore[index, operator, union-attr]
    told = begin_from(network, _weights(tmp_path, {**_network(classes=10).state_dict(), "more": torch.ones(1)}))
    assert told == (
        "taken 7 of the network's 9 tensors from w.pt; left as initialised: 4.weight (there [10, 4], here [3, 4]), "
        "4.bias (there [10], here [3]); not used: more"
    )
    assert torch.equal(network[4].weight, last)  # type: ignore[index, arg-type, union-attr]


def test_a_colour_networks_first_convolution_answers_a_grey_image_as_it_did_its_colour_copy(tmp_path: Path) -> None:
    colour, grey = _network(channels=3).eval(), _network(channels=1).eval()
    told = begin_from(grey, _weights(tmp_path, colour.state_dict()))
    assert "taken 9 of the network's 9 tensors from w.pt; changed 0.weight from 3 channels to 1" in told
    image = torch.rand(2, 1, 8, 8)
    assert torch.allclose(grey(image), colour(image.expand(-1, 3, -1, -1)), atol=1e-6)
    back = _network(channels=3).eval()
    begin_from(back, _weights(tmp_path, grey.state_dict()))
    assert torch.allclose(grey(image), back(image.expand(-1, 3, -1, -1)), atol=1e-6)


@pytest.mark.parametrize("wrap", [lambda one: {"epoch": 3, "state_dict": one}, lambda one: {f"module.{name}": one[name] for name in one}])
def test_what_training_scripts_wrap_around_the_tensors_is_taken_off(tmp_path: Path, wrap: Any) -> None:
    assert begin_from(_network(), _weights(tmp_path, wrap(_network().state_dict()))).startswith("taken 9 of the network's 9")


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    for content in (pickle.dumps(Trap(trap)), _weights(tmp_path, {"0.weight": Trap(trap)}).content):
        with pytest.raises(ConfigError, match=r"pretrained: w.pt: is no file of tensors alone, and nothing else is loaded"):
            begin_from(_network(), Weights("w.pt", "", content))
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.safetensors", b"nothing of the kind", "w.safetensors: cannot be read as safetensors"),
        ("w.pt", b"", "w.pt: is no file of tensors alone"),
        ("w.onnx", b"", "w.onnx: must end in .safetensors, .pt or .pth"),
    ],
)
def test_a_file_that_is_none_is_told(name: str, content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        begin_from(_network(), Weights(name, "", content))


def test_a_file_of_another_network_or_of_no_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none of its 1 tensors fits the network's 9; the file has a \[2\]; the network has 0.w"):
        begin_from(_network(), _weights(tmp_path, {"a": torch.zeros(2)}))
    with pytest.raises(ConfigError, match=r"holds a list, not tensors by name; save network.state_dict\(\)"):
        begin_from(_network(), _weights(tmp_path, [torch.zeros(2)]))


def test_a_missing_file_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    with pytest.raises(ConfigError, match=r"pretrained: no file 'weigths.pt'; did you mean 'weights.pt'\?; looked in "):
        Finder([tmp_path]).attach(Config(pretrained="weigths.pt"))


@pytest.mark.parametrize("model", ["cnn", "dnn"])
def test_ferrays_own_networks_go_on_from_weights_that_ferray_kept(tmp_path: Path, model: str) -> None:
    small = {"model": model, "width": 0.1, "input_normalization": "standardize"}
    before = train(tmp_path, **small)[-1]
    settings = Config.parse({**small, "epochs": 1, "precision": "fp32"})
    kept = list(fit(settings, toy_data(train=33), keep_weights=True))[-1].selected_weights
    save_file(kept, tmp_path / "kept.safetensors")
    after = train(tmp_path, **small, pretrained="kept.safetensors", epochs=1, optimizer="sgd", learning_rate=1e-12)[-1]
    assert after.pretrained is not None
    assert after.pretrained.startswith(f"taken {len(before.weights())} of the network's {len(before.weights())} tensors")
    assert "not used" not in after.pretrained
    kernel = next(name for name in kept if name.endswith("weight") and kept[name].dim() > 1)
    assert torch.allclose(after.weights()[kernel], kept[kernel], atol=1e-6)
    assert before.pretrained is None
