"""The reference networks beside Keras, in which their author built them: the same weights, outputs, loss and Adam step.

Dropout is at rate 0 on both sides, since its masks cannot be shared; everything else is as in the reference study. The step is
computed in float64: Adam's first step is the learning rate times the gradient's sign, so that a gradient near zero moves a weight one
way or the other by rounding alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ferray.config import Config
from ferray.training.models import build
from ferray.training.optimization import Optimization

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="Keras is not installed: it is in the test extra")
pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="Keras runs on another backend here than torch"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras of NumPy
]

TOLERANCE = 1e-4
L1, L2 = 3e-5, 5e-5
Weights = dict[str, np.ndarray]


class Pair(NamedTuple):
    """One network in both libraries, with the same random weights, and a batch for it."""

    reference: Any
    model: nn.Module
    optimization: Optimization
    images: np.ndarray
    labels: np.ndarray


REFERENCES = {"cnn": ("cnn", 48, 1, 1.0), "dnn": ("dnn", 48, 1, 1.0), "small cnn, 72x72 rgb": ("cnn", 72, 3, 0.25)}


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx("float32")


@pytest.fixture(params=list(REFERENCES))
def pair(request: pytest.FixtureRequest, dtype: str) -> Pair:
    name, size, channels, width = REFERENCES[request.param]
    config = Config(model=name, dropout=0.0, l1=L1, l2=L2, learning_rate=1e-3, width=width)
    reference = _cnn(size, channels, width) if name == "cnn" else _dnn(size)
    generator = np.random.default_rng(0)
    for layer in reference.layers:
        layer.set_weights([_random(generator, weight.path.rsplit("/", 1)[-1], weight.shape) for weight in layer.weights])
    model = build(config, (channels, size, size), 7).to(getattr(torch, dtype))
    model.load_state_dict({key: torch.from_numpy(value) for key, value in _from_keras(reference, model).items()}, strict=False)
    patches = generator.normal(0, 3, (32, size // 8, size // 8, channels))
    images = patches.repeat(8, axis=1).repeat(8, axis=2).astype(dtype)
    reference.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy())
    return Pair(reference, model, Optimization(model, config), images, generator.integers(0, 7, len(images)))


def test_the_networks_have_as_many_trainable_parameters_as_in_keras(pair: Pair) -> None:
    count = sum(int(np.prod(weight.shape)) for weight in pair.reference.trainable_weights)
    assert sum(parameter.numel() for parameter in pair.model.parameters()) == count


def test_inference_gives_the_probabilities_of_keras(pair: Pair) -> None:
    with torch.inference_mode():
        ours = pair.model.eval()(_inputs(pair)).softmax(dim=1).numpy()
    reference = pair.reference.predict(pair.images, verbose=0)
    assert reference.std(axis=0).max() > 10 * TOLERANCE  # the images are told apart
    assert np.abs(ours - reference).max() < TOLERANCE


def test_the_training_loss_with_its_penalty_is_that_of_keras(pair: Pair) -> None:
    loss = F.cross_entropy(pair.model.train()(_inputs(pair)), torch.from_numpy(pair.labels)).item()
    penalty = pair.optimization.penalty().item()
    assert penalty > 0.05
    assert abs(loss + penalty - float(pair.reference.train_on_batch(pair.images, pair.labels))) < TOLERANCE


@pytest.mark.parametrize("dtype", ["float64"], indirect=True)
def test_one_adam_step_moves_weights_and_running_statistics_as_in_keras(pair: Pair) -> None:
    before = {key: value.clone() for key, value in pair.model.state_dict().items()}
    loss = F.cross_entropy(pair.model.train()(_inputs(pair)), torch.from_numpy(pair.labels))
    loss.backward()
    pair.optimization.step(pair.optimization.config.learning_rate)
    pair.reference.train_on_batch(pair.images, pair.labels)
    expected = _from_keras(pair.reference, pair.model)
    for key, value in pair.model.state_dict().items():
        if key.endswith("num_batches_tracked"):  # PyTorch's own count, which a fixed momentum makes no use of
            continue
        assert (value - before[key]).abs().max() > 5 * TOLERANCE, f"{key} has not moved"
        assert np.abs(value.numpy() - expected[key]).max() < TOLERANCE, key


def _inputs(pair: Pair) -> torch.Tensor:
    return torch.from_numpy(pair.images).movedim(-1, 1).contiguous()


def _random(generator: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "kernel":
        receptive = int(np.prod(shape[:-2]))
        bound = np.sqrt(6 / ((shape[-2] + shape[-1]) * receptive))
        return generator.uniform(-bound, bound, shape)
    if kind in ("gamma", "moving_variance"):
        return generator.uniform(0.5, 1.5, shape)
    return generator.normal(0, 0.2, shape)


def _kernel_settings() -> dict[str, Any]:
    return {"kernel_regularizer": keras.regularizers.L1L2(l1=L1, l2=L2)}


def _cnn(size: int, channels: int, width: float) -> Any:
    layers = keras.layers
    sequence: list[Any] = [keras.Input((size, size, channels))]
    for filters in (32, 64, 128):
        for kernel in (5, 4):
            sequence += [layers.Conv2D(int(filters * width), kernel, padding="same", activation="relu", **_kernel_settings())]
            sequence += [layers.BatchNormalization()]
        sequence += [layers.MaxPooling2D(4, strides=4, padding="same")]
    sequence += [layers.Flatten()]
    for units in (2048, 512):
        sequence += [layers.Dense(int(units * width), activation="relu", **_kernel_settings())]
    return keras.Sequential([*sequence, layers.Dense(7, activation="softmax", **_kernel_settings())])


def _dnn(size: int) -> Any:
    layers = keras.layers
    sequence: list[Any] = [keras.Input((size, size, 1)), layers.Dense(30, activation="relu", **_kernel_settings()), layers.Flatten()]
    sequence += [layers.Dense(30, activation="relu", **_kernel_settings()) for _ in range(4)]
    return keras.Sequential([*sequence, layers.Dense(7, activation="softmax", **_kernel_settings())])


def _from_keras(reference: Any, model: nn.Module) -> Weights:
    """Keras' weights under our names and in our layout, by the order of the layers."""
    ours = [(name, module) for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))]
    order = [name for name, _ in ours]
    theirs = [layer for layer in reference.layers if layer.weights]
    assert len(order) == len(theirs)
    weights: Weights = {}
    rows, columns, channels = 0, 0, 0
    for layer in reference.layers:
        if isinstance(layer, keras.layers.Flatten):
            _, rows, columns, channels = layer.input.shape
    flattened = isinstance(ours[0][1], nn.Conv2d)  # our DNN flattens with channels last, as Keras does; our CNN channels first
    for (name, module), layer in zip(ours, theirs, strict=True):
        values = [np.array(value) for value in layer.get_weights()]
        if isinstance(module, nn.BatchNorm2d):
            names = ("weight", "bias", "running_mean", "running_var")
            weights |= {f"{name}.{kind}": value for kind, value in zip(names, values, strict=True)}
            continue
        kernel, bias = values
        if isinstance(module, nn.Conv2d):
            kernel = kernel.transpose(3, 2, 0, 1)
        else:
            if flattened and kernel.shape[0] == rows * columns * channels:
                kernel = kernel.reshape(rows, columns, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
                flattened = False  # the first dense layer alone follows the flattening
            kernel = kernel.T
        weights |= {f"{name}.weight": np.ascontiguousarray(kernel), f"{name}.bias": bias}
    return weights
