"""How wall time and cost grow with trials, GPUs and nodes, and what fills up first: a model on paper, of what the machine costs.

Every trial that runs goes in a circle: it trains for an epoch, then waits until the ledger's writer has its row on disk, then until the
driver's event loop (Ray Tune's) has taken its report. Writer and driver serve one trial at a time, training serves all at once. That is a
closed network of two queues and a delay, which exact mean value analysis solves (Reiser and Lavenberg 1980, J. ACM 27, 313), and whose
bounds are those of operational analysis (Denning and Buzen 1978, ACM Computing Surveys 10, 225).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

Station = Literal["training", "driver", "writer"]
Fitted = Literal["report", "trial"]


@dataclass(frozen=True)
class Costs:
    """What orchestration costs, each in seconds of the one who does it: measured by ``python -m benchmarks scaling``."""

    report: float  # of the driver, for each epoch that a trial reports
    trial: float  # of the driver, for each trial: to start it, to end it
    append: float  # of the writer, for each epoch: a row on disk
    record: float  # of the writer, for each trial: begun and finished
    hand_over: float = 0.0  # of a slot, between two trials
    start: float = 0.0  # from the command to the first trial on the driver's machine
    node: float = 0.0  # from a node that is there to its first trial
    checkpoint: float = 0.0  # of the writer, for each checkpoint
    checkpoint_share: float = 0.05  # of a trial's time goes into checkpoints at most; ferray.running.trainable


@dataclass(frozen=True)
class Work:
    """So many trials of so many epochs of so many seconds each, evaluation included, where nothing else took time."""

    trials: int
    epochs: int
    seconds: float

    @classmethod
    def of_study(cls, variants: int, seeds: int, epochs: int, seconds: float) -> Work:
        """Trials are variants times seeds, so that an interval half as wide, which takes four times the seeds, costs four times as much."""
        return cls(variants * seeds, epochs, seconds)


@dataclass(frozen=True)
class Forecast:
    """What a run comes to: ``wall`` seconds from the command on, ``ideal`` ones if nothing but training took time.

    ``efficiency`` is their ratio, ``gpu_hours`` what is paid for GPUs that are held all the while, ``uses`` by station how much of the time
    it is at work while all slots are full, and ``bottleneck`` the one that is at work most.
    """

    wall: float
    ideal: float
    gpu_hours: float
    uses: dict[Station, float]

    @property
    def efficiency(self) -> float:
        """1 where nothing but training takes time."""
        return self.ideal / self.wall

    @property
    def bottleneck(self) -> Station:
        """The queue that limits the run; training where neither queue is at work for more of the time than a slot is."""
        return max(self.uses, key=lambda station: self.uses[station])


def demands(costs: Costs, work: Work, checkpoints: float = 0.0) -> tuple[float, float, float]:
    """Seconds that an epoch asks of its slot, the driver and the writer, with its part of what each trial costs.

    ``checkpoints`` is how many each epoch leaves, at most one.
    """
    each = 1 / work.epochs
    slot = work.seconds + each * costs.hand_over
    return slot, costs.report + each * costs.trial, costs.append + each * costs.record + checkpoints * costs.checkpoint


@cache
def cycle(slots: int, delay: float, driver: float, writer: float) -> tuple[float, float, float]:
    """Seconds of one circle, and of it at the driver and at the writer, waiting included, with so many trials on their way."""
    waiting = [0.0, 0.0]  # trials at the driver and at the writer, on the mean
    seconds, own = delay, [0.0, 0.0]
    for population in range(1, slots + 1):
        own = [driver * (1 + waiting[0]), writer * (1 + waiting[1])]
        seconds = delay + sum(own)
        waiting = [population * one / seconds if seconds else 0.0 for one in own]
    return seconds, own[0], own[1]


def checkpoints(costs: Costs, work: Work, slots: int) -> float:
    """How many checkpoints an epoch leaves: one, unless that took a trial more than its share, as the queue before the writer grows.

    The rule of ferray.running.trainable: at an epoch's end where the last one's cost is at most ``checkpoint_share`` of the time since.
    """
    if not costs.checkpoint:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(40):  # the more of them, the longer each waits: halved until both agree
        guess = (low + high) / 2
        delay, driver, writer = demands(costs, work, guess)
        seconds, _, at_writer = cycle(slots, delay, driver, writer)
        one = at_writer / writer * costs.checkpoint if writer else costs.checkpoint
        allowed = min(1.0, costs.checkpoint_share * seconds / one)
        low, high = (guess, high) if allowed > guess else (low, guess)
    return (low + high) / 2


def saturation(costs: Costs, work: Work) -> float:
    """How many trials at a time keep the busier of driver and writer at work all the time: beyond, more of them go no faster."""
    delay, driver, writer = demands(costs, work)
    most = max(driver, writer)
    return (delay + driver + writer) / most if most else math.inf


def full(work: Work, slots: int) -> tuple[int, int]:
    """Equal trials run in waves: how many waves so many slots need, and how many trials a wave then has, the last as many as the others."""
    waves = math.ceil(work.trials / min(slots, work.trials))
    return waves, math.ceil(work.trials / waves)


def loop_seconds(costs: Costs, work: Work, slots: int) -> float:
    """From the first trial's beginning to the last one's end, so many at a time."""
    waves, together = full(work, slots)
    return waves * work.epochs * cycle(together, *demands(costs, work, checkpoints(costs, work, together)))[0]


def forecast(costs: Costs, work: Work, *, gpus: int, per_gpu: int = 1, gpus_per_node: int = 8) -> Forecast:
    """A run on so many GPUs that each train so many trials at a time, in epochs of ``work.seconds`` there; nodes start side by side."""
    waves, slots = full(work, gpus * per_gpu)
    delay, driver, writer = demands(costs, work, checkpoints(costs, work, slots))
    seconds, _, _ = cycle(slots, delay, driver, writer)
    wall = costs.start + (costs.node if gpus > gpus_per_node else 0.0) + loop_seconds(costs, work, slots)
    uses: dict[Station, float] = {
        "training": delay / seconds,
        "driver": slots * driver / seconds,
        "writer": slots * writer / seconds,
    }
    return Forecast(wall, waves * work.epochs * work.seconds, gpus * wall / 3600, uses)


def fitted(costs: Costs, field: Fitted, work: Work, slots: int, seconds: float) -> Costs:
    """The costs with the driver's ``report`` or ``trial`` such that so many trials at a time need the measured seconds, without the start.

    Zero where they need less than that even without it.
    """
    low, high = 0.0, max(1e-9, seconds)
    for _ in range(50):
        guess = (low + high) / 2
        short = loop_seconds(replace(costs, **{field: guess}), work, slots) < seconds
        low, high = (guess, high) if short else (low, guess)
    return replace(costs, **{field: low})


def broadcast_seconds(size: float, nodes: int, bandwidth: float) -> float:
    """Until ``size`` bytes are on every node, at ``bandwidth`` bytes/s each: in every round each node that has them serves another."""
    return math.ceil(math.log2(nodes + 1)) * size / bandwidth
