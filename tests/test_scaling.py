"""The scaling model: its bounds, its limits, and where it says that a run fills up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import scaling
from benchmarks.capacity import costs_of
from benchmarks.figures import Figure, Spread
from benchmarks.scaling import Costs, Work
from benchmarks.scaling_chart import scaling_chart

COSTS = Costs(report=0.004, trial=0.05, append=0.003, record=0.02, hand_over=0.2, start=15.0, node=40.0)
NOTHING = Costs(report=0.0, trial=0.0, append=0.0, record=0.0)


def test_one_trial_at_a_time_pays_for_everything_once() -> None:
    seconds = scaling.loop_seconds(COSTS, Work(3, 10, 2.0), 1)
    assert seconds == pytest.approx(3 * (10 * (2.0 + 0.004 + 0.003) + 0.05 + 0.02 + 0.2))


def test_what_costs_nothing_takes_as_long_as_the_training_alone() -> None:
    work = Work(100, 5, 2.0)
    assert scaling.loop_seconds(NOTHING, work, 30) == pytest.approx(4 * 5 * 2.0), "four waves of 25"
    assert scaling.forecast(NOTHING, work, gpus=10, per_gpu=3).efficiency == pytest.approx(1.0)
    assert scaling.saturation(NOTHING, work) == float("inf")


@pytest.mark.parametrize("slots", [1, 2, 10, 100, 1000])
def test_a_circle_lies_within_the_bounds_of_operational_analysis(slots: int) -> None:
    delay, driver, writer = 1.0, 0.02, 0.01
    seconds, _, _ = scaling.cycle(slots, delay, driver, writer)
    throughput = slots / seconds
    assert throughput <= min(slots / (delay + driver + writer), 1 / driver) * (1 + 1e-9)
    assert seconds <= delay + slots * (driver + writer) + 1e-9, "no worse than waiting for all others at both"


def test_two_trials_and_one_queue_are_as_the_textbook_has_them() -> None:
    delay, service = 3.0, 1.0  # of two, one finds the other waiting with probability 1 / 4
    assert scaling.cycle(2, delay, service, 0.0)[0] == pytest.approx(delay + service * 1.25)


def test_beyond_saturation_more_gpus_go_no_faster_and_cost_more() -> None:
    work = Work(8000, 50, 1.0)
    limit = scaling.saturation(COSTS, work)
    assert limit == pytest.approx((1.0 + 0.2 / 50 + 0.005 + 0.0034) / 0.005)
    few, many = (scaling.forecast(COSTS, work, gpus=gpus) for gpus in (20, 1000))
    assert few.efficiency > 0.95
    assert (few.bottleneck, many.bottleneck) == ("training", "driver")
    assert many.uses["driver"] == pytest.approx(1.0, abs=0.01)
    assert many.wall >= 8000 * 50 * 0.005
    assert many.gpu_hours > 4 * few.gpu_hours


def test_epochs_of_twice_the_length_saturate_at_about_twice_as_many_trials() -> None:
    short, long = (scaling.saturation(COSTS, Work(1000, 50, seconds)) for seconds in (10.0, 20.0))
    assert long / short == pytest.approx(2.0, rel=0.01)


def test_checkpoints_become_rarer_where_the_writer_is_full_and_never_take_more_than_their_share() -> None:
    costs, work = replace(COSTS, checkpoint=0.1), Work(4000, 50, 20.0)
    assert scaling.checkpoints(COSTS, work, 100) == 0.0
    assert scaling.checkpoints(costs, work, 1) == pytest.approx(1.0, abs=1e-6)
    few, many = (scaling.checkpoints(costs, work, slots) for slots in (100, 1000))
    assert 1 > few > many > 0
    assert scaling.forecast(costs, work, gpus=1000).efficiency > 0.9
    assert scaling.forecast(costs, work, gpus=1000).bottleneck == "writer"


@pytest.mark.parametrize("field", ["report", "trial"])
def test_costs_are_found_again_in_the_time_that_they_make(field: scaling.Fitted) -> None:
    work = Work(64, 4, 0.0)
    costs = replace(COSTS, hand_over=0.0)
    seconds = scaling.loop_seconds(costs, work, 8)
    found = scaling.fitted(replace(costs, **{field: 0.0}), field, work, 8, seconds)
    assert getattr(found, field) == pytest.approx(getattr(costs, field), rel=1e-6)
    assert getattr(scaling.fitted(costs, field, work, 8, 1e-6), field) == pytest.approx(0.0, abs=1e-9)


def test_half_the_width_of_an_interval_costs_four_times_as_much() -> None:
    one, four = (scaling.forecast(NOTHING, Work.of_study(6, seeds, 50, 1.0), gpus=1) for seeds in (5, 20))
    assert four.gpu_hours == pytest.approx(4 * one.gpu_hours)


def test_data_reach_twice_as_many_nodes_in_one_more_round() -> None:
    assert [scaling.broadcast_seconds(100.0, nodes, 50.0) for nodes in (0, 1, 3, 7, 125)] == [0.0, 2.0, 4.0, 6.0, 14.0]


def test_the_costs_are_read_from_the_figures_in_seconds_and_drawn() -> None:
    keys = ("report", "trial", "append", "record", "checkpoint")
    figures = [Figure(key, key, "ms", Spread.of([4.0])) for key in keys] + [Figure("node", "node", "s", Spread.of([12.0]))]
    costs = costs_of(figures)
    assert (costs.report, costs.checkpoint, costs.node) == (0.004, 0.004, 12.0)
    assert scaling_chart(costs).startswith(b"\x89PNG")
