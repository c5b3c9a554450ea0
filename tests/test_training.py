from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy_data import toy_data

from ferray.config import Config
from ferray.data import Dataset, Split
from ferray.data.dataset import UNKNOWN
from ferray.errors import ResourceError
from ferray.training import Epoch, fit
from ferray.training.state import dump_state, load_state

DATA = toy_data()
AUGMENTATION = {
    "rotation": 20.0,
    "horizontal_flip": 0.1,
    "shift": 0.05,
    "zoom": 0.1,
    "brightness": 0.1,
    "contrast": 0.1,
    "erasing": 0.2,
}
TIMES = ("seconds", "images_per_second")
Outcome = tuple[dict[str, float | int], list[list[float]]]


@pytest.fixture(autouse=True)
def _process_state() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def _config(**settings: Any) -> Config:
    return Config.parse({"width": 0.1, "batch_size": 16, "epochs": 3, "precision": "fp32", **settings})


def _everything(**settings: Any) -> Config:
    return _config(augmentation=AUGMENTATION, dropout=0.3, batch_norm=True, l1=1e-4, l2=1e-4, label_smoothing=0.1, **settings)


def _outcome(epoch: Epoch) -> Outcome:
    """All numbers of an epoch but its times."""
    row = {name: value for name, value in epoch.row.items() if name not in TIMES}
    probabilities = [*epoch.probabilities.values(), *epoch.selected_probabilities.values()]
    return {**row, "selected": epoch.selected_epoch}, [values.tolist() for values in probabilities]


def _outcomes(config: Config, resume: Any = None, data: Any = DATA) -> list[Outcome]:
    return [_outcome(epoch) for epoch in fit(config, data, resume)]


@pytest.mark.parametrize("model", ["cnn", "dnn"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_networks_learn_an_easy_task(model: str, precision: str) -> None:
    width = 0.25 if model == "cnn" else 1.0
    # Small batches, hence many steps: the running statistics of batch normalization need a few hundred.
    config = _config(model=model, width=width, precision=precision, epochs=12, batch_size=6, input_normalization="standardize")
    last = list(fit(config, toy_data(train=240)))[-1]
    assert last.row["train_accuracy"] >= 0.9
    assert last.row["validation_accuracy"] >= 0.95
    assert last.row["test_accuracy"] >= 0.95
    assert last.row["test_macro_f1"] >= 0.95


def test_the_rows_have_the_ledgers_names_in_its_order() -> None:
    rows = [epoch.row for epoch in fit(_config(), DATA)]
    splits = [f"{split}_{figure}" for split in ("train", "validation", "test") for figure in ("loss", "accuracy", "macro_f1")]
    assert list(rows[0]) == ["epoch", *splits, "penalty", "learning_rate", *TIMES]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(type(value) in (int, float) for row in rows for value in row.values())


def test_the_figures_are_those_of_the_probabilities() -> None:
    for epoch in fit(_everything(), DATA):
        for name, split in (("validation", DATA.validation), ("test", DATA.test)):
            probabilities = epoch.probabilities[name]
            assert probabilities.dtype == np.float32
            assert probabilities.shape == (len(split.labels), 3)
            assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
            of_the_truth = probabilities[np.arange(len(split.labels)), split.labels]
            assert epoch.row[f"{name}_loss"] == pytest.approx(-np.log(of_the_truth).mean(), rel=1e-4)
            assert epoch.row[f"{name}_accuracy"] == pytest.approx((probabilities.argmax(axis=1) == split.labels).mean())


@pytest.mark.parametrize("model", ["cnn", "dnn"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("optimizer", "schedule"), list(itertools.product(["adam", "adamw", "sgd"], ["constant", "cosine", "one_cycle", "plateau"]))
)
def test_a_training_repeats_and_goes_on_from_any_epoch_bit_by_bit(model: str, precision: str, optimizer: str, schedule: str) -> None:
    decay = 0.0 if optimizer == "adam" else 0.01
    config = _everything(model=model, precision=precision, optimizer=optimizer, schedule=schedule, weight_decay=decay)
    expected, states = [], [None]
    for epoch in fit(config, DATA):
        expected.append(_outcome(epoch))
        states.append(dump_state(epoch.state()))
    for done in range(config.epochs):  # 0 is the repetition
        resumed = _outcomes(config, load_state(states[done]) if done else None)
        assert resumed == expected[done:]
    assert _outcomes(config, load_state(states[-1])) == []


def test_where_each_seed_draws_its_split_a_training_repeats_and_goes_on_bit_by_bit() -> None:
    data = Dataset.build("toy", DATA.classes, DATA.splits, synthetic=True, splits_by_seed=True)
    config = _everything()
    expected, states = [], []
    for epoch in fit(config, data):
        expected.append(_outcome(epoch))
        states.append(dump_state(epoch.state()))
    assert _outcomes(config, data=data) == expected
    assert _outcomes(config, data=data.for_seed(config.seed)) == expected
    assert _outcomes(config, load_state(states[0]), data=data) == expected[1:]
    assert _outcomes(config, data=data.for_seed(config.seed + 1)) != expected
    assert _outcomes(config) != expected


def test_resuming_twice_from_one_state_gives_the_same_numbers_twice() -> None:
    config = _everything()
    epochs = fit(config, DATA)
    state = next(epochs).state()
    rest = [_outcome(epoch) for epoch in epochs]
    assert _outcomes(config, state) == rest
    assert _outcomes(config, state) == rest


def test_the_selected_epoch_survives_a_resume_bit_by_bit() -> None:
    config = _config(epochs=6)
    epochs = list(itertools.islice(fit(config, DATA), 5))
    selected = epochs[-1].selected_epoch
    state = load_state(dump_state(epochs[-1].state()))
    after = next(fit(config, DATA, state))
    assert after.selected_epoch in (selected, 6)
    if after.selected_epoch == selected:
        assert np.array_equal(after.selected_probabilities["test"], epochs[selected - 1].probabilities["test"])


def test_the_global_generator_neither_matters_nor_moves() -> None:
    torch.manual_seed(1)
    expected = _outcomes(_everything())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert _outcomes(_everything()) == expected
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_else_runs_in_the_process_leaves_the_numbers_alone(precision: str) -> None:
    first, second = _everything(precision=precision), _config(model="dnn", threads=2, precision="bf16", seed=3)
    expected = _outcomes(first), _outcomes(second)
    between = list(zip(fit(first, DATA), fit(second, DATA), strict=True))
    assert ([_outcome(epoch) for epoch, _ in between], [_outcome(epoch) for _, epoch in between]) == expected
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(True)
        assert _outcomes(first) == expected[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_each_epoch_runs_on_the_threads_of_its_config(threads: int) -> None:
    for _ in fit(_config(threads=threads), DATA):
        assert torch.get_num_threads() == threads
        torch.set_num_threads(3 - threads)


def test_bf16_stays_close_to_fp32() -> None:
    rows = [next(fit(_config(precision=precision, learning_rate=0.01), DATA)).row for precision in ("fp32", "bf16")]
    assert rows[0]["train_loss"] != rows[1]["train_loss"]
    assert rows[1]["train_loss"] == pytest.approx(rows[0]["train_loss"], rel=0.05)
    assert rows[1]["validation_loss"] == pytest.approx(rows[0]["validation_loss"], rel=0.05)


def test_seeds_differ() -> None:
    assert _outcomes(_config(seed=0)) != _outcomes(_config(seed=1))


@pytest.mark.parametrize("name", ["rotation", "horizontal_flip", "erasing"])
def test_augmentation_reaches_the_training(name: str) -> None:
    plain, augmented = (_outcomes(_config(augmentation=augmentation)) for augmentation in ({}, {name: AUGMENTATION[name]}))
    assert plain != augmented


@pytest.mark.parametrize("kind", ["none", "scale", "standardize", "per_image"])
def test_every_input_normalization_trains_to_finite_figures(kind: str) -> None:
    rows = [epoch.row for epoch in fit(_config(input_normalization=kind, l1=1e-5), DATA)]
    assert all(math.isfinite(value) for row in rows for value in row.values())


def test_the_test_split_influences_nothing_else() -> None:
    def others(outcomes: list[Outcome]) -> list[dict[str, float | int]]:
        return [{name: value for name, value in row.items() if not name.startswith("test_")} for row, _ in outcomes]

    assert others(_outcomes(_everything())) == others(_outcomes(_everything(), data=toy_data(test_seed=77)))


def test_the_selected_epoch_is_the_first_of_highest_validation_accuracy() -> None:
    epochs = list(fit(_config(model="dnn", width=1.0, epochs=8, batch_size=8, seed=1), DATA))
    accuracies = [epoch.row["validation_accuracy"] for epoch in epochs]
    assert len(set(accuracies)) > 1
    for count, epoch in enumerate(epochs, 1):
        assert epoch.selected_epoch == 1 + int(np.argmax(accuracies[:count]))
        for split in ("validation", "test"):
            assert np.array_equal(epoch.selected_probabilities[split], epochs[epoch.selected_epoch - 1].probabilities[split])


def test_recorded_losses_are_free_of_label_smoothing_and_penalty() -> None:
    still: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1e-12, "momentum": 0.0, "epochs": 1}
    plain = next(fit(_config(**still), DATA)).row
    burdened = next(fit(_config(**still, label_smoothing=0.5, l1=0.1, l2=0.1), DATA)).row
    for split in ("train", "validation", "test"):
        assert burdened[f"{split}_loss"] == pytest.approx(plain[f"{split}_loss"], rel=1e-5)
    assert plain["penalty"] == 0


def test_the_penalty_is_that_of_the_kernels_at_the_end_of_the_epoch() -> None:
    epoch = next(fit(_config(l1=0.01, l2=0.02), DATA))
    kernels = [value.double() for value in epoch.weights().values() if value.dim() >= 2]
    expected = sum(0.01 * kernel.abs().sum().item() + 0.02 * kernel.square().sum().item() for kernel in kernels)
    assert epoch.row["penalty"] == pytest.approx(expected, rel=1e-6)


def test_the_last_short_batch_is_used_and_may_hold_a_single_image() -> None:
    for model in ("cnn", "dnn"):
        row = list(fit(_config(model=model, batch_norm=True), toy_data(train=33)))[-1].row
        assert row["train_accuracy"] * 33 == pytest.approx(round(row["train_accuracy"] * 33))
        assert math.isfinite(row["validation_loss"])
    steps = next(fit(_config(), toy_data(train=33))).state()["optimization"]["steps"]
    assert steps == 3


def test_images_of_several_channels_and_odd_sizes_are_trained_on() -> None:
    assert len(_outcomes(_everything(input_normalization="standardize"), data=toy_data(size=15, channels=3))) == 3


def test_read_only_images_are_used_as_they_are_without_a_warning() -> None:
    assert not DATA.train.images.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        next(fit(_everything(), DATA))


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 1e30), ("adam", 1e30), ("adamw", 1e38)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_divergence_ends_a_training_without_an_exception(optimizer: str, rate: float, precision: str) -> None:
    epochs = list(fit(_config(optimizer=optimizer, learning_rate=rate, precision=precision, batch_norm=False, epochs=9, l1=1e-3), DATA))
    assert [epoch.diverged for epoch in epochs] == [False] * (len(epochs) - 1) + [True]
    assert len(epochs) < 9
    if len(epochs) == 1:
        assert epochs[0].selected_epoch == 0
        assert epochs[0].selected_probabilities == {}
    assert dump_state(epochs[-1].state())


def test_a_diverged_epoch_leaves_the_selection_of_the_epochs_before_it() -> None:
    config = _config(epochs=2, optimizer="sgd")
    state = next(fit(config, DATA)).state()
    state["model"]["output.bias"][0] = math.nan
    after = list(fit(config, DATA, state))
    assert [epoch.diverged for epoch in after] == [True]
    assert after[0].selected_epoch == 1
    assert np.isfinite(after[0].selected_probabilities["validation"]).all()


def test_a_state_can_only_be_taken_of_the_current_epoch() -> None:
    epochs = fit(_config(), DATA)
    first, second = next(epochs), next(epochs)
    assert second.state()["epoch"] == 2
    with pytest.raises(RuntimeError, match="epoch 1 is over"):
        first.state()
    with pytest.raises(RuntimeError, match="before asking for the next epoch"):
        first.weights()


def test_weights_and_states_are_copies_that_later_epochs_leave_alone() -> None:
    epochs = fit(_config(), DATA)
    first = next(epochs)
    weights, state = first.weights(), dump_state(first.state())
    kept = {name: value.clone() for name, value in weights.items()}
    list(epochs)
    assert all(torch.equal(weights[name], kept[name]) for name in weights)
    assert all(torch.equal(load_state(state)["model"][name], kept[name]) for name in weights)


def test_the_recorded_learning_rate_is_that_of_the_epochs_last_step() -> None:
    rates = [epoch.row["learning_rate"] for epoch in fit(_config(schedule="cosine", learning_rate=0.01), DATA)]
    steps = 3 * math.ceil(len(DATA.train.labels) / 16)
    expected = [0.005 * (1 + math.cos(math.pi * (steps / 3 * epoch - 1) / steps)) for epoch in (1, 2, 3)]
    assert rates == pytest.approx(expected)


def test_the_plateau_schedule_hears_of_the_validation_loss() -> None:
    config = _config(model="dnn", optimizer="sgd", schedule="plateau", learning_rate=1e-7, epochs=9)
    assert [epoch.row["learning_rate"] for epoch in fit(config, DATA)] == pytest.approx([1e-7] * 7 + [5e-8] * 2, rel=1e-6, abs=0)


def test_the_parameters_are_counted() -> None:
    epoch = next(fit(_config(), DATA))
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert epoch.parameters == sum(value.numel() for name, value in epoch.weights().items() if not name.endswith(statistics))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_a_resource_error_that_says_what_to_do() -> None:
    with pytest.raises(ResourceError, match="device 'cpu'"):
        fit(_config(device="cuda"), DATA)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_repeats_and_resumes_bit_by_bit_and_agrees_with_a_processor(precision: str) -> None:
    config = _everything(device="cuda", precision=precision)
    epochs = fit(config, DATA)
    first = next(epochs)
    state = load_state(dump_state(first.state()))
    expected = [_outcome(first), *(_outcome(epoch) for epoch in epochs)]
    assert _outcomes(config) == expected
    assert _outcomes(config, state) == expected[1:]
    on_processor = next(fit(config.model_copy(update={"device": "cpu"}), DATA)).row
    assert first.row["train_loss"] == pytest.approx(on_processor["train_loss"], rel=0.2)


def _with_test(split: Split) -> Dataset:
    return replace(DATA, test=split)


def test_without_a_test_split_nothing_is_said_of_it() -> None:
    whole = [epoch.row for epoch in fit(_config(), DATA)]
    absent = _with_test(DATA.test.take(np.empty(0, dtype=np.int64)))
    for epoch, row in zip(fit(_config(), absent), whole, strict=True):
        assert list(epoch.row) == [name for name in row if not name.startswith("test_")]
        assert all(epoch.row[name] == row[name] for name in epoch.row if name not in TIMES)
        assert set(epoch.probabilities) == set(epoch.selected_probabilities) == {"validation"}


def test_a_test_split_without_labels_has_probabilities_and_no_figures() -> None:
    whole = list(fit(_config(), DATA))
    unlabelled = _with_test(Split(DATA.test.images, np.full(len(DATA.test), UNKNOWN, dtype=np.int64)))
    for epoch, expected in zip(fit(_config(), unlabelled), whole, strict=True):
        assert list(epoch.row) == [name for name in expected.row if not name.startswith("test_")]
        assert np.array_equal(epoch.probabilities["test"], expected.probabilities["test"])


def test_the_selected_epochs_weights_are_kept_where_they_are_asked_for() -> None:
    config = _config(epochs=5, input_normalization="standardize")
    kept, expected = {}, []
    for epoch in fit(config, DATA, keep_weights=True):
        kept[epoch.row["epoch"]] = epoch.weights()
        expected.append(epoch.selected_epoch)
        weights = dict(epoch.selected_weights)
        assert torch.equal(weights.pop("input.mean").round(), torch.tensor([[[DATA.train.images.mean()]]]).float().round())
        assert weights.pop("input.deviation").shape == (1, 1, 1)
        assert weights.keys() == kept[epoch.selected_epoch].keys()
        assert all(torch.equal(value, kept[epoch.selected_epoch][name]) for name, value in weights.items())
    assert len(set(expected)) > 1, "the test needs more than one selected epoch"
    assert all(not epoch.selected_weights and "selected_weights" not in epoch.state() for epoch in fit(config, DATA))


def test_the_selected_weights_survive_a_resume() -> None:
    config = _config(epochs=5)
    whole = list(fit(config, DATA, keep_weights=True))
    for done in range(1, 5):
        epochs = itertools.islice(fit(config, DATA, keep_weights=True), done)
        state = load_state(dump_state([epoch.state() for epoch in epochs][-1]))
        last = list(fit(config, DATA, state, keep_weights=True))[-1]
        assert last.selected_weights.keys() == whole[-1].selected_weights.keys()
        assert all(torch.equal(value, whole[-1].selected_weights[name]) for name, value in last.selected_weights.items())
    assert [_outcome(epoch) for epoch in whole] == _outcomes(config), "keeping them changes no number"


def test_test_labels_choose_nothing() -> None:
    garbage = replace(DATA, test=replace(DATA.test, labels=(DATA.test.labels + 1) % len(DATA.classes)))
    config = _config(schedule="plateau")
    test_figures = []
    for (row, probabilities), (other, others) in zip(_outcomes(config), _outcomes(config, data=garbage), strict=True):
        names = [name for name in row if not name.startswith("test_")]
        assert [row[name] for name in names] == [other[name] for name in names]
        assert probabilities == others
        test_figures.append(row["test_loss"] != other["test_loss"])
    assert all(test_figures)
