"""`python -m ferray.ledger` as a user meets it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_fixture import Made, make_ledger

from ferray.ledger import Ledger
from ferray.ledger.details import details, page

VARIANTS = {"cnn": ({}, []), "slow": ({"learning_rate": 1e-4}, [])}  # type: ignore[var-annotated]


def command(*arguments: str, storage: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    line = [sys.executable, "-m", "ferray.ledger", *arguments]
    line += ["--storage", str(storage)] if arguments and arguments[0] in ("list", "show", "rerun", "remove") else []
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=100, input=given)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_ledger(tmp_path, variants=VARIANTS, outcome={("slow", 1): "failed"}, seeds=2, epochs=3)


def test_list_prints_a_row_for_each_trial(made: Made) -> None:
    done = command("list", storage=made.path)
    assert done.returncode == 0, done.stderr
    header, *rows, last = done.stdout.splitlines()
    assert header.split()[:6] == ["key", "study", "variant", "sample", "seed", "status"]
    assert {row.split()[0] for row in rows} == {key[:8] for key in made.keys.values()}
    failed = next(row.split() for row in rows if "failed" in row)
    assert failed[1:9] == ["report", "slow", "0", "1", "failed", "1/3", "-", "-"]
    assert last == f"4 trials in {made.path} (3 finished, 1 failed)"


def test_list_has_filters_and_json(made: Made) -> None:
    done = command("list", "--variant", "slow", "--status", "finished", "--json", storage=made.path)
    (found,) = json.loads(done.stdout)
    assert found["key"] == made.keys["slow", 0, 0]
    assert found["studies"] == [{"study": "report", "variant": "slow", "sample": 0, "phase": "final"}]
    assert "test" not in json.dumps({**found, "config": None}), "the test set is no reason to choose a trial"
    assert json.loads(command("list", "--config", "learning_rate=1e-4", "--seed", "7", "--json", storage=made.path).stdout) == []


def test_list_tells_of_studies(made: Made) -> None:
    done = command("list", "--studies", storage=made.path)
    assert done.stdout.splitlines()[1].split() == [
        *("report", "FER2013", "2", "4"), *("3", "finished,", "1", "failed"), "2026-11-20T10:00:00+00:00",
    ]  # fmt: skip
    made.path.joinpath("studies", "report", "study.json").write_text("{")
    done = command("list", "--studies", storage=made.path)
    assert done.returncode == 0, done.stderr
    assert "cannot be read" in done.stdout


def test_show_tells_of_a_failure_with_its_traceback(made: Made) -> None:
    done = command("show", made.keys["slow", 0, 1][:10], storage=made.path)
    assert done.returncode == 0, done.stderr
    assert f"trial {made.keys['slow', 0, 1]}: failed" in done.stdout
    changed, unchanged = done.stdout.split("config, as it is by default")
    assert "learning_rate" in changed
    assert "learning_rate" not in unchanged.split("environment")[0]
    assert "processor  AMD EPYC" in done.stdout
    assert "failure: RuntimeError: out of memory" in done.stdout
    assert 'File "training.py", line 12, in fit' in done.stdout
    assert "test_accuracy" not in done.stdout


def test_a_trial_that_was_stopped_early_is_listed_and_shown_with_the_reason(made: Made) -> None:
    key = made.keys["slow", 0, 0]
    file = made.path / "trials" / key / "record.json"
    stopped = {"scheduler": "asha", "grace_epochs": 1, "reduction_factor": 3, "epoch": 3, "reason": "not of the best 1 in 3"}
    file.write_text(json.dumps({**json.loads(file.read_text()), "status": "stopped", "selected_epoch": None, "stopped": stopped}))
    (found,) = json.loads(command("list", "--status", "stopped", "--json", storage=made.path).stdout)
    assert (found["key"], found["status"], found["epochs"], found["validation_accuracy"]) == (key, "stopped", 3, None)
    told = list(page(details(Ledger(made.path), key)))
    assert told[0] == f"trial {key}: stopped"
    assert "  stopped early by asha at epoch 3: not of the best 1 in 3" in told


def test_show_names_damage(made: Made) -> None:
    ledger = Ledger(made.path)
    key = made.keys["cnn", 0, 0]
    record = json.loads(ledger.record_file(key).read_text())
    ledger.record_file(key).write_text(json.dumps({**record, "digests": {"epochs.jsonl": "0" * 64, "predictions.npz": "0" * 64}}))
    ledger.predictions_file(key).unlink()
    done = command("show", key, storage=made.path)
    assert f"trial {key}: damaged" in done.stdout
    assert "epochs.jsonl is not as it was written" in done.stdout
    assert "predictions.npz is gone" in done.stdout
    for name in ("trial.json", "record.json", "epochs.jsonl"):
        (ledger.trial_folder(key) / name).write_text("{")
    shown = json.loads(command("show", key, "--json", storage=made.path).stdout)
    assert len(shown["damage"]) == 3
    assert shown["status"] == "damaged"


def test_show_names_an_earlier_failure_that_cannot_be_read(made: Made) -> None:
    key = made.keys["slow", 0, 1]
    folder = Ledger(made.path).trial_folder(key)
    (folder / "failure-1.json").write_text(json.dumps({"error": {"type": "ValueError", "message": "unlucky", "traceback": "..."}}))
    (folder / "failure-2.json").write_text("{")
    done = command("show", key, storage=made.path)
    assert done.returncode == 0, done.stderr
    assert "earlier failure 1: ValueError: unlucky" in done.stdout
    assert "failure-2.json cannot be read" in done.stdout


def test_remove_asks_and_needs_a_yes(made: Made) -> None:
    done = command("remove", "--study", "report", "--dry-run", storage=made.path)
    assert "to remove: study report, its report and 4 trials (3 finished, 1 failed); frees" in done.stdout
    done = command("remove", "--study", "report", storage=made.path, given="y\n")
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert len(Ledger(made.path).keys()) == 4
    done = command("remove", "--status", "failed", "--yes", storage=made.path)
    assert (done.returncode, "removed 1 trial" in done.stdout) == (0, True), done.stderr
    assert "planned by report" in done.stdout
    command("remove", "--study", "report", "--yes", storage=made.path)
    assert Ledger(made.path).keys() == Ledger(made.path).studies() == []


def test_rerun_of_nothing_says_so(made: Made) -> None:
    done = command("rerun", "--diverged", storage=made.path)
    assert (done.returncode, done.stdout) == (0, "no trial fits; nothing to run again\n")


def test_alone_it_prints_help() -> None:
    done = command(storage=Path())
    assert all(name in done.stdout + done.stderr for name in ("list", "show", "rerun", "remove"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "Did you mean 'list'"),
        (["list", "--studi", "x"], "--study"),
        (["list", "--study", "reprot"], "did you mean 'report'"),
        (["list", "--since", "soon"], "write a date"),
        (["list", "--config", "epohcs=3"], "did you mean 'epochs'"),
        (["list", "--seed", "one"], "valid integer"),
        (["show", "zz"], "no trial's key begins with 'zz'"),
        (["rerun"], "say what to run again"),
        (["remove"], "say what to remove"),
        (["rerun", "--failed"], "are not what it would run today"),
    ],
)
def test_a_mistake_is_told_without_a_traceback_and_exits_with_2(arguments: list[str], message: str, made: Made) -> None:
    done = command(*arguments, storage=made.path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_storage_where_nothing_was_run_is_told(tmp_path: Path) -> None:
    done = command("list", storage=tmp_path / "nothing")
    assert done.returncode == 2
    assert "say where the records are with --storage DIR" in done.stderr


def on_a_terminal(*arguments: str, given: str) -> tuple[int, str]:
    """Runs the command where it can ask, and answers it."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    line = [sys.executable, "-m", "ferray.ledger", *arguments]
    process = subprocess.Popen(line, env=environment, stdin=theirs, stdout=subprocess.PIPE, text=True)
    os.write(ours, given.encode())
    output = process.communicate(timeout=100)[0]
    os.close(ours)
    os.close(theirs)
    return process.returncode, output


@pytest.mark.parametrize(("given", "status", "left"), [("n\n", 1, 4), ("\n", 1, 4), ("y\n", 0, 0)])
def test_on_a_terminal_it_asks_before_it_removes(given: str, status: int, left: int, made: Made) -> None:
    returned, output = on_a_terminal("remove", "--study", "report", "--storage", str(made.path), given=given)
    assert "Remove it for good? [y/N]" in output
    assert (returned, len(Ledger(made.path).keys())) == (status, left), output


def test_a_reader_that_goes_away_is_no_fault(made: Made) -> None:
    line = f"{sys.executable} -m ferray.ledger list --storage {made.path} | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, timeout=100)
    assert "Traceback" not in done.stderr
