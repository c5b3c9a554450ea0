"""The figure of the scaling model: wall time and efficiency against GPUs for some lengths of an epoch, with what limits each run."""

from __future__ import annotations

import io

import numpy as np

from benchmarks.scaling import Costs, Work, demands, forecast, saturation
from ferray.analysis.style import BLUE, GREEN, GREY, INK, ORANGE, new_figure, styled

GPUS = tuple(dict.fromkeys(round(one) for one in np.geomspace(1, 1000, 60)))
EPOCH_SECONDS = (0.5, 2.0, 10.0, 60.0)
TRIALS, EPOCHS, PER_GPU = 4000, 50, 4


def scaling_chart(costs: Costs) -> bytes:
    """A PNG: lines are lengths of an epoch; a dot on a line is where driver or writer is at work all the time, checkpoints apart."""
    with styled():
        return _drawn(costs)


def _drawn(costs: Costs) -> bytes:
    figure = new_figure(3.2)
    left, right = figure.subplots(1, 2)
    full: list[str] = []
    for seconds, colour in zip(EPOCH_SECONDS, (ORANGE, BLUE, GREEN, INK), strict=True):
        work = Work(TRIALS, EPOCHS, seconds)
        runs = [forecast(costs, work, gpus=gpus, per_gpu=PER_GPU) for gpus in GPUS]
        left.plot(GPUS, [run.wall / 3600 for run in runs], color=colour, label=f"epochs of {seconds:g} s")
        right.plot(GPUS, [100 * run.efficiency for run in runs], color=colour)
        limit = saturation(costs, work) / PER_GPU
        _, driver, writer = demands(costs, work)
        if limit <= GPUS[-1]:
            full.append("driver" if driver >= writer else "writer")
            run = forecast(costs, work, gpus=round(limit), per_gpu=PER_GPU)
            for axes, value in ((left, run.wall / 3600), (right, 100 * run.efficiency)):
                axes.plot([limit], [value], "o", color=colour, markersize=5)
    left.plot([], [], "o", color=GREY, markersize=5, label=f"{' or '.join(dict.fromkeys(full)) or 'neither'} full")
    left.set_yscale("log")
    left.yaxis.set_major_formatter("{x:,g}")
    left.set_ylabel("wall time [h]")
    right.set_ylabel("efficiency [%]")
    right.set_ylim(0, 104)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_xlabel(f"GPUs, {PER_GPU} trials on each")
    figure.suptitle(
        f"{TRIALS:,} trials of {EPOCHS} epochs, by the model: report {1e3 * costs.report:.1f} ms, row {1e3 * costs.append:.1f} ms, "
        f"checkpoint {1e3 * costs.checkpoint:.0f} ms",
        fontsize=8,
    )
    figure.legend(loc="outside lower center", ncols=len(EPOCH_SECONDS) + 1)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()
