from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ferray.config import Config
from ferray.training.models import BatchNorm, Dropout, build, kernels, parameter_count, pool_same, reseed_dropout

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("model", "count"), [("cnn", 1_919_079), ("dnn", 2_076_697)])
def test_the_networks_have_the_parameter_counts_of_the_reference(model: str, count: int) -> None:
    assert parameter_count(build(Config(model=model), (1, 48, 48), 7)) == count


@pytest.mark.parametrize("model", ["cnn", "dnn"])
@pytest.mark.parametrize("shape", [(1, 48, 48), (3, 50, 37), (1, 5, 5), (2, 1, 1)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_any_image_size_and_number_of_channels_gives_logits_in_training_and_evaluation(
    model: str, shape: tuple[int, int, int], batch_norm: bool
) -> None:
    network = build(Config(model=model, width=0.1, batch_norm=batch_norm), shape, 4)
    for n in (1, 3):
        assert network.train()(torch.rand(n, *shape)).shape == (n, 4)
        assert network.eval()(torch.rand(n, *shape)).isfinite().all()


@pytest.mark.parametrize("model", ["cnn", "dnn"])
def test_width_multiplies_filters_and_units_down_to_one(model: str) -> None:
    half = build(Config(model=model, width=0.5), (1, 48, 48), 7)
    shapes = [tuple(kernel.shape) for kernel in kernels(half)]
    if model == "cnn":
        assert shapes[:2] == [(16, 1, 5, 5), (16, 16, 4, 4)]
        assert shapes[-3:] == [(1024, 64), (256, 1024), (7, 256)]
    else:
        assert shapes == [(15, 1), (15, 15 * 48 * 48), (15, 15), (15, 15), (15, 15), (7, 15)]
    least = build(Config(model=model, width=1e-6), (1, 48, 48), 7)
    assert all(kernel.shape[0] == 1 for kernel in kernels(least)[:-1])


@pytest.mark.parametrize("model", ["cnn", "dnn"])
def test_kernels_are_glorot_uniform_and_everything_else_starts_neutral(model: str) -> None:
    network = build(Config(model=model, batch_norm=True), (1, 48, 48), 7)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            receptive = math.prod(module.weight.shape[2:])
            bound = math.sqrt(6 / ((module.weight.shape[0] + module.weight.shape[1]) * receptive))
            assert module.weight.abs().max() <= bound
            if module.weight.numel() > 500:
                assert module.weight.abs().max() > 0.98 * bound
                assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert not module.bias.any()
        elif isinstance(module, BatchNorm):
            assert (module.weight == 1).all()
            assert not module.bias.any()
            assert not module.running_mean.any()
            assert (module.running_var == 1).all()


@pytest.mark.parametrize("model", ["cnn", "dnn"])
def test_variants_of_one_seed_start_from_the_same_kernels(model: str) -> None:
    plain = build(Config(model=model, batch_norm=False, dropout=0.0, seed=5), (1, 12, 12), 7).state_dict()
    full = build(Config(model=model, batch_norm=True, dropout=0.5, seed=5), (1, 12, 12), 7).state_dict()
    other = build(Config(model=model, batch_norm=False, dropout=0.0, seed=6), (1, 12, 12), 7).state_dict()
    assert set(plain) < set(full)
    assert all(torch.equal(plain[name], full[name]) for name in plain)
    assert all(not torch.equal(plain[name], other[name]) for name in plain if name.endswith("weight"))


def test_building_a_network_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    build(Config(), (1, 12, 12), 7)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("model", ["cnn", "dnn"])
def test_the_penalised_kernels_leave_out_biases_and_normalization(model: str) -> None:
    network = build(Config(model=model, batch_norm=True), (1, 12, 12), 7)
    expected = [module.weight for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert [id(kernel) for kernel in kernels(network)] == [id(weight) for weight in expected]


def _pool_by_definition(features: Tensor) -> Tensor:
    """'same' pooling as TensorFlow defines it, with explicit borders of -infinity."""
    borders = []
    for size in reversed(features.shape[-2:]):
        missing = max((math.ceil(size / 4) - 1) * 4 + 4 - size, 0)
        borders += [missing // 2, missing - missing // 2]
    return F.max_pool2d(F.pad(features, borders, value=-math.inf), 4, 4)


@pytest.mark.parametrize("height", range(1, 14))
def test_pooling_pads_as_tensorflow_does_at_every_size(height: int) -> None:
    for width in range(1, 14):
        features = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height * 100 + width)) - 5
        assert torch.equal(pool_same(features), _pool_by_definition(features))


def test_dropout_drops_so_many_features_and_keeps_the_expectation() -> None:
    dropout = Dropout(0.3)
    dropout.reseed(1, torch.device("cpu"))
    dropped = dropout(torch.ones(200, 500))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_dropout_repeats_its_masks_when_reseeded_and_needs_no_global_generator() -> None:
    dropout, features = Dropout(0.5), torch.ones(64, 64)
    dropout.reseed(1, torch.device("cpu"))
    first, second = dropout(features), dropout(features)
    torch.manual_seed(99)
    dropout.reseed(1, torch.device("cpu"))
    assert torch.equal(dropout(features), first)
    assert torch.equal(dropout(features), second)
    assert not torch.equal(first, second)


def test_dropout_does_nothing_in_evaluation() -> None:
    features = torch.rand(3, 4)
    assert torch.equal(Dropout(0.5).eval()(features), features)


def test_each_dropout_layer_and_epoch_has_its_own_masks() -> None:
    network = build(Config(model="dnn", dropout=0.5), (1, 4, 4), 3)
    layers = [module for module in network.modules() if isinstance(module, Dropout)]
    masks = []
    for epoch in (1, 2):
        reseed_dropout(network, 0, epoch=epoch, device=torch.device("cpu"))
        masks += [layer(torch.ones(8, 32)) for layer in layers]
    assert len(layers) == 5
    assert len(torch.stack(masks).flatten(1).unique(dim=0)) == 10


def test_batch_normalization_of_a_single_value_per_channel_uses_the_running_statistics() -> None:
    norm = BatchNorm(3).train()
    features = torch.tensor([[1.0, -2.0, 0.5]])
    assert torch.allclose(norm(features), features / math.sqrt(1 + 1e-3))
    assert (norm.running_var == 1).all()


def test_the_cnn_works_with_channels_side_by_side_in_memory() -> None:
    network = build(Config(width=0.25), (1, 12, 12), 7)
    strides = []
    network.blocks[0].first.register_forward_hook(lambda _module, _inputs, output: strides.append(output.stride()))
    network(torch.rand(2, 1, 12, 12))
    assert strides[0][1] == 1
