from __future__ import annotations

import math
from typing import Any

import pytest

from ferray.config import Config
from ferray.training.schedule import Schedule


def _rates(schedule: str, steps: int, **settings: Any) -> list[float]:
    epochs = Schedule(Config(model="dnn", schedule=schedule, epochs=steps // 10, **settings), 10)
    return [rate for _ in range(steps // 10) for rate in epochs.epoch()]


def test_the_constant_schedule_keeps_the_learning_rate() -> None:
    assert set(_rates("constant", 20, learning_rate=0.25)) == {0.25}


def test_the_cosine_schedule_falls_from_the_learning_rate_towards_zero_step_by_step() -> None:
    expected = [0.5 * (1 + math.cos(math.pi * step / 40)) / 8 for step in range(40)]
    assert _rates("cosine", 40, learning_rate=1 / 8) == pytest.approx(expected)


def test_the_one_cycle_schedule_rises_to_the_learning_rate_and_falls_to_nearly_zero() -> None:
    rates = _rates("one_cycle", 40, learning_rate=0.1)
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.1)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert 10 <= peak <= 12
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-5


def test_the_plateau_schedule_halves_the_rate_after_five_epochs_without_a_lower_validation_loss() -> None:
    schedule = Schedule(Config(model="dnn", schedule="plateau", learning_rate=0.1), 1)
    rates = []
    for loss in (2.0, 1.0, *[1.0] * 5, 1.5, 0.5):
        schedule.end_epoch(loss)
        rates += schedule.epoch()
    assert rates == pytest.approx([0.1] * 7 + [0.05] * 2)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "plateau"])
def test_a_schedule_goes_on_from_a_state_as_if_nothing_had_happened(schedule: str) -> None:
    config = Config(model="dnn", schedule=schedule, epochs=20)
    whole, first, second = (Schedule(config, 3) for _ in range(3))
    losses = [1.0 + (epoch > 1) for epoch in range(20)]
    expected, got = [], []
    for epoch, loss in enumerate(losses):
        expected += whole.epoch()
        whole.end_epoch(loss)
        one = first if epoch < 9 else second
        if epoch == 9:
            second.load(first.state())
        got += one.epoch()
        one.end_epoch(loss)
    assert got == expected
    assert (len(set(expected)) > 1) == (schedule != "constant")
