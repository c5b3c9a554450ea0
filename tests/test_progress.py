"""What is known of a run while it goes on, and how it is shown in lines and in terminals of any size."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console
from studies import tiny

from ferray.running.display import Lines, fitting
from ferray.running.live import Notebook, Terminal, picture
from ferray.running.progress import Progress
from ferray.trial import Trial


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def row(epoch: int, accuracy: float = 0.5, seconds: float = 2.0) -> Mapping[str, Any]:
    return {"epoch": epoch, "train_loss": 1.25, "validation_accuracy": accuracy, "images_per_second": 300.0, "seconds": seconds,
            "test_accuracy": 0.987}  # fmt: skip


def begun(
    display: Any = None, *, seeds: int = 2, before: Mapping[str, str] | None = None, expected: Mapping[str, float] | None = None
) -> tuple[Progress, list[Trial], Clock]:
    """Trials of two variants and so many seeds, of two epochs each."""
    study = tiny(seeds=seeds)
    plan = study.plan()
    statuses = {trial.key: (before or {}).get(trial.label, "missing") for trial in plan}
    clock = Clock()
    display = display or Lines(lambda line: None)
    trials = {trial.key: trial for trial in plan}
    done = {key: 0.8 for key, status in statuses.items() if status == "finished"}
    return Progress("tiny", trials, statuses, {}, done, display, (1, 48, 48), expected or {}, clock=clock), plan, clock


def test_trials_are_counted_by_what_they_do() -> None:
    progress, plan, _ = begun(seeds=3, before={"baseline seed 0": "finished", "no-augmentation seed 0": "failed"})
    assert progress.counts == {"done": 1, "running": 0, "waiting": 4, "failed": 1}
    progress.start(plan[2])
    assert progress.counts == {"done": 1, "running": 1, "waiting": 3, "failed": 1}
    progress.end(plan[2], "failed", "ValueError: no")
    progress.start(plan[3])
    progress.end(plan[3], "diverged")
    assert progress.counts == {"done": 2, "running": 0, "waiting": 2, "failed": 2}
    assert progress.ended == (2, 4)


def test_trials_that_may_follow_are_counted_before_they_are_known_and_as_they_are_afterwards() -> None:
    study = tiny(seeds=1, ablate=None, search={"l1": {"grid_search": [1e-5, 1e-4]}}, tuning={})
    tuning = study.plan()
    clock = Clock()
    trials = {trial.key: trial for trial in tuning}
    expected = {trial.key: 3.0 for trial in tuning}
    display = Lines(lambda line: None)
    progress = Progress("tiny", trials, {}, {}, {}, display, (1, 48, 48), expected, later=tuning, clock=clock)
    assert (progress.counts["waiting"], progress.ended, progress.epochs_done) == (4, (0, 4), (0, 8))
    assert progress.seconds_left == (2 + 2) * 2 * 3.0
    for trial in tuning:
        progress.start(trial)
        progress.epoch(trial, row(2, accuracy=0.9))
        progress.end(trial, "finished")
    assert [(one.variant, one.accuracy) for one in progress.best()] == [("baseline", 0.9)]
    follows = {trial.key: trial for trial in study.confirmation({"baseline": 1}) if trial.phase == "final"}
    (trial,) = follows.values()
    progress.extend(follows, {trial.key: "missing"}, {}, {}, [trial])
    assert (progress.counts["waiting"], progress.ended, progress.epochs_done) == (1, (2, 3), (4, 6))
    progress.start(trial)
    progress.epoch(trial, row(2, accuracy=0.7))
    progress.end(trial, "finished")
    assert progress.ended == (3, 3)
    assert [(one.variant, one.accuracy) for one in progress.best()] == [("baseline", 0.7)], "no longer that of tuning"


def test_a_failed_trial_that_is_retried_waits_again() -> None:
    progress, plan, _ = begun(before={"baseline seed 0": "failed"})
    progress.again(plan[0].key)
    assert progress.counts == {"done": 0, "running": 0, "waiting": 4, "failed": 0}


def test_trials_that_were_stopped_early_are_done_and_told_and_have_no_accuracy() -> None:
    progress, plan, _ = begun(before={"baseline seed 0": "stopped"})
    assert (progress.counts["done"], progress.stopped) == (1, 1)
    progress.start(plan[1])
    progress.epoch(plan[1], row(1, accuracy=0.99))
    progress.end(plan[1], "stopped")
    assert (progress.counts["done"], progress.stopped, progress.best()) == (2, 2, [])
    assert shown(progress, 80, 24)[0] == "tiny  2 done  0 running  2 waiting  0 failed  2 stopped early"
    progress.again(plan[0].key)
    assert (progress.counts["done"], progress.stopped) == (1, 1)


def test_a_trial_left_to_another_driver_waits_on() -> None:
    progress, plan, _ = begun()
    progress.start(plan[0])
    progress.end(plan[0], "busy")
    assert progress.counts == {"done": 0, "running": 0, "waiting": 4, "failed": 0}


def test_when_all_is_stopped_nothing_runs_and_the_epochs_are_those_of_the_ledger() -> None:
    progress, plan, _ = begun()
    progress.start(plan[0])
    progress.start(plan[1])
    progress.stop({plan[0].key: 1, plan[1].key: 0})
    assert progress.counts == {"done": 0, "running": 0, "waiting": 4, "failed": 0}
    assert shown(progress, 80, 24)[0] == "tiny  0 done  0 running  4 waiting  0 failed"
    assert progress.epochs_done == (1, 8)


def test_the_time_left_follows_the_pace_of_this_run_and_how_many_run_at_once() -> None:
    progress, plan, clock = begun()
    assert progress.seconds_left is None
    progress.start(plan[0])
    progress.start(plan[1])
    clock.now += 4
    progress.epoch(plan[0], row(1, seconds=4.0))
    progress.epoch(plan[1], row(1, seconds=4.0))
    assert progress.seconds_left == 4 + 8  # an epoch of each, then two trials of two epochs, side by side
    clock.now += 1
    assert progress.seconds_left == 3 + 8
    assert progress.images_per_second == 600


def test_the_time_left_is_as_expected_before_the_first_epoch() -> None:
    _, plan, _ = begun()
    progress, _, _ = begun(expected={trial.key: 3.0 for trial in plan})
    assert progress.seconds_left == 4 * 2 * 3.0


def test_epochs_of_trials_that_stopped_early_count_as_done() -> None:
    progress, plan, _ = begun()
    progress.epoch(plan[0], row(1))
    assert progress.epochs_done == (1, 8)
    progress.end(plan[0], "diverged")
    assert progress.epochs_done == (2, 8)


def test_the_best_of_a_variant_is_the_mean_over_its_finished_seeds_on_validation() -> None:
    progress, plan, _ = begun(before={"baseline seed 0": "finished"})
    second = next(trial for trial in plan if trial.label == "baseline seed 1")
    progress.epoch(second, row(1, accuracy=0.6))
    progress.epoch(second, row(2, accuracy=0.4))
    assert [(best.variant, best.seeds) for best in progress.best()] == [("baseline", 1)]
    progress.end(second, "finished")
    (best,) = progress.best()
    assert (best.seeds, round(best.accuracy, 3)) == (2, 0.7)


def test_a_sample_with_fewer_finished_seeds_is_not_the_best_yet() -> None:
    study = tiny(ablate=None, num_samples=2, search={"l2": {"choice": [1e-6, 1e-5, 1e-4, 1e-3]}}, search_seed=1)
    plan = study.plan()
    assert sorted((trial.sample, trial.config.seed) for trial in plan) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    progress = Progress("tiny", {trial.key: trial for trial in plan}, {}, {}, {}, Lines(lambda line: None), (1, 48, 48))
    for trial in plan:
        if trial.sample == 0 or trial.config.seed == 0:
            progress.epoch(trial, row(1, accuracy=0.9 if trial.sample else 0.5))
            progress.end(trial, "finished")
    assert [(best.accuracy, best.seeds) for best in progress.best()] == [(0.5, 2)]


def test_lines_tell_epochs_ends_time_left_and_failures_with_where_the_traceback_is() -> None:
    said: list[str] = []
    progress, plan, clock = begun(Lines(said.append))
    progress.start(plan[0])
    clock.now += 3
    progress.epoch(plan[0], row(1))
    progress.epoch(plan[0], row(2))
    progress.end(plan[0], "finished")
    progress.end(plan[1], "failed", "ValueError: unlucky")
    assert said == [
        "baseline seed 0: epoch 1/2, loss 1.250, validation accuracy 0.500, 300 images/s",
        "baseline seed 0: epoch 2/2, loss 1.250, validation accuracy 0.500, 300 images/s",
        "[1/4] baseline seed 0: finished (3 s so far, about 12 s left)",
        "[2/4] no-augmentation seed 0: failed (3 s so far, about 8 s left)",
        f"no-augmentation seed 0 failed: ValueError: unlucky (traceback: python -m ferray.ledger show {plan[1].key})",
    ]


def shown(progress: Progress, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), record=True, width=width, height=height, color_system=None)
    console.print(picture(progress, width, height))
    return console.export_text().splitlines()


def test_the_picture_shows_running_trials_and_the_best_and_never_the_test_set() -> None:
    progress, plan, clock = begun(before={"no-augmentation seed 0": "finished"})
    progress.start(plan[0])
    progress.epoch(plan[0], row(1, accuracy=0.345))
    clock.now += 61
    lines = shown(progress, 80, 24)
    assert lines[0] == "tiny  1 done  1 running  2 waiting  0 failed"
    assert lines[1].endswith(" 3/8 epochs")
    assert lines[2] == "1 min so far, about 8 s left, 300 images/s"
    assert lines[3].split() == ["running", "epoch", "loss", "validation", "accuracy", "images/s"]
    assert lines[4].split() == ["baseline", "seed", "0", "1/2", "1.250", "34.5", "%", "300"]
    assert lines[6].split() == ["no-augmentation", "80.0", "%", "1"]
    assert "98.7" not in "".join(lines)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (40, 10), (26, 9), (200, 60)])
def test_the_picture_fits_terminals_of_any_size_with_many_trials(width: int, height: int) -> None:
    progress, plan, _ = begun(seeds=40)
    for trial in plan[:60]:
        progress.start(trial)
        progress.epoch(trial, row(1))
    for trial in plan[:4]:
        progress.end(trial, "finished")
    lines = shown(progress, width, height)
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("tiny")
    assert any("more" in line for line in lines)
    assert any("best so" in line for line in lines)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_keeps_what_is_said_above_the_picture_and_needs_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Screen()
    terminal = Terminal(Console(file=screen, width=80, height=24, highlight=False))
    progress, plan, _ = begun(terminal)
    with terminal.watch(progress):
        progress.start(plan[0])
        progress.end(plan[0], "failed", "ValueError: [unlucky]")
        print("a user's own print")
    written = screen.getvalue()
    assert "baseline seed 0 failed: ValueError: [unlucky]" in written
    assert "a user's own print" in written
    assert "3 waiting" in written
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", written)


def test_a_notebook_keeps_the_picture_of_what_an_interruption_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures: list[str] = []

    class Cell:
        def update(self, drawn: Any) -> None:
            pictures.append(drawn.data)

    monkeypatch.setattr("IPython.display.display", lambda drawn, display_id: Cell())
    notebook = Notebook()
    progress, plan, _ = begun(notebook)

    def interrupted() -> None:
        with notebook.watch(progress):
            progress.start(plan[0])
            progress.stop({})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "0 running  4 waiting" in pictures[-1]


def test_without_a_terminal_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    display = fitting()
    display.say("a line")
    assert capsys.readouterr().out == "a line\n"
    assert not display.is_live
