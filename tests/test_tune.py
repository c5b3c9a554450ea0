"""The command line of the run half, as a user meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

TINY = """
data: {source: synthetic, images: 140}
base: {width: 0.05, epochs: 1, batch_size: 32, augmentation: {rotation: 20.0}}
ablate: {remove: [augmentation]}
seeds: 2
"""


BREAKS = """
def make():
    seen = []
    def change(image):
        seen.append(image)
        if len(seen) > 20:  # more than a network is tried on before anything runs
            raise ValueError("so many images cannot be changed")
        return image
    return change
"""
FAILS = ("--set", "base.transform=./breaks.py:make")
"""Trials that fail in their first epoch."""


def tune(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    command = [sys.executable, "-m", "ferray.tune", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    (tmp_path / "breaks.py").write_text(BREAKS)
    return file


@pytest.mark.slow
def test_a_study_runs_and_ends_with_its_report(study: Path, tmp_path: Path) -> None:
    first = tune("tiny.yaml", "--local", "--set", "base.l1=1e-5", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("reading tiny.yaml and its data\n")
    assert "4 trials planned, 0 in the ledger, 4 to run" in first.stdout
    assert "On the test set, baseline reaches " in first.stdout
    assert first.stdout.splitlines()[-1] == "report: ferray_results/reports/tiny/index.html"
    page = tmp_path / "ferray_results" / "reports" / "tiny" / "index.html"
    assert page.exists()
    assert "python -m ferray.tune tiny.yaml --local --set base.l1=1e-5" in page.read_text()
    page.unlink()
    again = tune("tiny.yaml", "--local", "--no-report", "--set", "base.l1=1e-5", folder=tmp_path)
    assert "4 in the ledger, 0 to run" in again.stdout
    assert not page.exists()
    more = tune("tiny.yaml", "--local", "--no-report", "--set", "base.l1=1e-5", "--set", "seeds=3", folder=tmp_path)
    assert "6 trials planned, 4 in the ledger, 2 to run" in more.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tinny.yaml"], "no study file 'tinny.yaml'"),
        (["quikstart"], "did you mean 'quickstart'"),
        (["tinny.yaml"], "did you mean 'tiny.yaml'"),
        (["tiny.yaml", "--set", "base.epohcs=3"], "epohcs: unknown key; did you mean 'epochs'"),
        (["tiny.yaml", "--set", "base.epochs"], "write NAME=VALUE"),
        (["tiny.yaml", "--set", "data=fer2013"], "no path given"),
        (["report", "--data", "nowhere.zip"], "nowhere.zip"),
        (["tiny.yaml", "--storage", "tiny.yaml"], "must be a folder"),
        (["tiny.yaml", "--storage", "s3://bucket/x"], "not an address"),
        (["x" * 300], "File name too long"),
        (["tiny.yaml", "--set", "gpus=1"], "asks for 1 GPU"),
        (["tiny.yaml", "--address", "127.0.0.1:1"], "no Ray cluster answers at '127.0.0.1:1'"),
        (["tiny.yaml", "--address", "ray://127.0.0.1:10001"], "ray job submit"),
    ],
)
def test_a_mistake_is_told_without_a_traceback_and_exits_with_2(arguments: list[str], message: str, study: Path, tmp_path: Path) -> None:
    done = tune(*arguments, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_trials_are_told_and_the_status_says_so(study: Path, tmp_path: Path) -> None:
    done = tune("tiny.yaml", "--local", "--no-report", *FAILS, "--set", "seeds=1", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 trials failed, baseline seed 0 over" in done.stdout
    assert "--retry-failed" in done.stdout


@pytest.mark.slow
def test_a_spent_budget_ends_with_a_report_and_a_status_of_its_own(study: Path, tmp_path: Path) -> None:
    two_epochs = ("--set", "base.epochs=2")
    done = tune("tiny.yaml", "--local", *two_epochs, "--set", "budget.processor_hours=1e-9", folder=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "the budget of 1e-09 processor-hours is spent: 4 trials are left, 1 of them from a checkpoint" in done.stdout
    assert done.stdout.splitlines()[-1] == "report: ferray_results/reports/tiny/index.html"
    more = tune("tiny.yaml", "--local", "--no-report", *two_epochs, "--set", "budget.processor_hours=1", folder=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "4 finished" in more.stdout


@pytest.mark.slow
def test_of_failures_and_a_spent_budget_the_status_tells_the_failures_and_the_words_both(study: Path, tmp_path: Path) -> None:
    fails = ("--local", "--no-report", *FAILS)
    tune("tiny.yaml", *fails, "--set", "seeds=1", folder=tmp_path)
    done = tune("tiny.yaml", *fails, "--set", "budget.hours=1e-9", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "the budget of 1e-09 hours is spent: 2 trials are left; the same command goes on" in done.stdout
    assert "2 trials failed, baseline seed 0 over" in done.stdout


@pytest.mark.slow
def test_a_reader_that_goes_away_stops_no_trial(study: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m ferray.tune tiny.yaml --local --no-report | head -1"
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert "4 in the ledger, 0 to run" in tune("tiny.yaml", "--local", "--no-report", folder=tmp_path).stdout


@pytest.mark.slow
def test_the_plan_trains_nothing_and_leaves_nothing(study: Path, tmp_path: Path) -> None:
    done = tune("tiny.yaml", "--plan", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no-augmentation  to run  to run" in done.stdout
    assert "4 trials to run, 4 epochs" in done.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["breaks.py", "tiny.yaml"]


@pytest.mark.slow
def test_in_a_terminal_the_run_is_a_picture_and_ctrl_c_says_how_to_go_on(study: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TERM": "xterm-256color"}
    command = ["-m", "ferray.tune", "tiny.yaml", "--local", "--set", "base.epochs=500"]
    terminal = pexpect.spawn(
        sys.executable, command, cwd=tmp_path, env=environment, dimensions=(24, 80), encoding="utf-8", timeout=100,
    )  # fmt: skip
    terminal.expect("1 running")
    terminal.expect(r"[1-9]\d*/2,000 epochs")
    terminal.sendcontrol("c")
    terminal.expect("0 running")
    terminal.expect("interrupted: what has ended is kept, 4 trials are left, 1 of them from a checkpoint")
    terminal.expect("go on with: python -m ferray.tune tiny.yaml --local --set base.epochs=500")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


def test_failures_are_told_in_a_terminal_with_where_the_traceback_is(study: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"}
    command = ["-m", "ferray.tune", "tiny.yaml", "--local", "--no-report", *FAILS, "--set", "seeds=1"]
    terminal = pexpect.spawn(
        sys.executable, command, cwd=tmp_path, env=environment, dimensions=(24, 200), encoding="utf-8", timeout=100,
    )  # fmt: skip
    terminal.expect(r"baseline seed 0 failed: \w+: .*python -m ferray.ledger show [0-9a-f]{32}")
    terminal.expect("2 failed")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
