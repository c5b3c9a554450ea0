"""A trial as a visible loop into the ledger: finished, resumed, failed, diverged, or left to another driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from studies import numbers, tiny

from ferray import training
from ferray.data import load
from ferray.data_source import DataSource
from ferray.errors import LedgerError
from ferray.ledger import Ledger, file_digest
from ferray.ledger.writer import LedgerWriter
from ferray.running import trainable
from ferray.running.trainable import run_trial

DATA = load(DataSource(images=140))
TRIAL = tiny(base={"width": 0.05, "epochs": 4, "batch_size": 32, "precision": "fp32", "augmentation": {"rotation": 20}}).plan(DATA)[0]


class Interruption(BaseException):
    """Stands for Ctrl-C, which is no Exception."""


def interrupt_after(epochs: int) -> Any:
    def report(row: dict[str, Any]) -> None:
        if row["epoch"] == epochs:
            raise Interruption

    return report


def ignore(row: dict[str, Any]) -> None:
    """A report that nobody hears."""


def test_a_finished_trial_leaves_a_complete_record(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    assert run_trial(TRIAL, DATA, LedgerWriter(tmp_path), rows.append) == "finished"
    ledger = Ledger(tmp_path)
    assert ledger.status(TRIAL.key, verify=True) == "finished"
    assert ledger.trial(TRIAL.key) == {"key": TRIAL.key, **TRIAL.identity}
    assert [row["epoch"] for row in ledger.epochs(TRIAL.key)] == [row["epoch"] for row in rows] == [1, 2, 3, 4]
    record = ledger.record(TRIAL.key)
    assert record is not None
    best = max(rows, key=lambda row: row["validation_accuracy"])
    assert record["selected_epoch"] == best["epoch"]
    assert record["parameters"] > 0
    assert {"python", "torch", "commit", "dirty", "host", "processor", "device", "precision", "threads"} <= set(record["environment"])
    predictions = ledger.predictions(TRIAL.key)
    assert predictions is not None
    assert sorted(predictions) == ["test_last", "test_selected", "validation_last", "validation_selected"]
    for epoch, row in [("selected", best), ("last", rows[-1])]:
        accuracy = (predictions[f"test_{epoch}"].argmax(axis=1) == DATA.test.labels).mean()
        assert accuracy == pytest.approx(row["test_accuracy"])


def test_weights_are_kept_with_their_digest_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainable, "CHECKPOINT_SHARE", 1e9)
    ledger = Ledger(tmp_path)
    with pytest.raises(Interruption):
        run_trial(TRIAL, DATA, LedgerWriter(tmp_path), interrupt_after(3), keep_weights=True)
    run_trial(TRIAL, DATA, LedgerWriter(tmp_path), ignore, keep_weights=True)
    record = ledger.record(TRIAL.key)
    assert record is not None
    kept = {epoch.row["epoch"]: epoch.weights() for epoch in training.fit(TRIAL.config, DATA)}[record["selected_epoch"]]
    read = load_file(ledger.weights_file(TRIAL.key))
    assert read.keys() == kept.keys()
    assert all(torch.equal(read[name], kept[name]) for name in kept)
    assert record["digests"]["weights.safetensors"] == file_digest(ledger.weights_file(TRIAL.key))
    ledger.weights_file(TRIAL.key).unlink()
    assert ledger.status(TRIAL.key, verify=True) == "damaged"


def test_weights_are_left_out_where_they_are_not_asked_for(tmp_path: Path) -> None:
    run_trial(TRIAL, DATA, LedgerWriter(tmp_path), ignore)
    assert not Ledger(tmp_path).weights_file(TRIAL.key).exists()


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_an_interrupted_trial_goes_on_and_ends_with_the_same_numbers(tmp_path: Path, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainable, "CHECKPOINT_SHARE", 1e9)
    run_trial(TRIAL, DATA, LedgerWriter(tmp_path / "undisturbed"), ignore)
    with pytest.raises(Interruption):
        run_trial(TRIAL, DATA, LedgerWriter(tmp_path / "disturbed"), interrupt_after(epochs))
    assert Ledger(tmp_path / "disturbed").status(TRIAL.key) == "interrupted"
    again: list[dict[str, Any]] = []
    run_trial(TRIAL, DATA, LedgerWriter(tmp_path / "disturbed"), again.append)
    assert [row["epoch"] for row in again] == list(range(min(epochs, 3) + 1, 5))
    assert numbers(Ledger(tmp_path / "disturbed")) == numbers(Ledger(tmp_path / "undisturbed"))


def test_a_damaged_checkpoint_costs_time_and_no_numbers(tmp_path: Path) -> None:
    run_trial(TRIAL, DATA, LedgerWriter(tmp_path / "undisturbed"), ignore)
    ledger = Ledger(tmp_path / "disturbed")
    with pytest.raises(Interruption):
        run_trial(TRIAL, DATA, LedgerWriter(ledger.path), interrupt_after(2))
    file = ledger.checkpoint_file(TRIAL.key)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    run_trial(TRIAL, DATA, LedgerWriter(ledger.path), ignore)
    assert numbers(ledger) == numbers(Ledger(tmp_path / "undisturbed"))


def test_what_the_training_raises_is_a_record_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Iterator[Any]:
        raise ZeroDivisionError("no such thing")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", broken)
        assert run_trial(TRIAL, DATA, LedgerWriter(tmp_path), ignore) == "failed"
    record = Ledger(tmp_path).record(TRIAL.key)
    assert record is not None
    assert record["error"]["type"] == "ZeroDivisionError"
    assert "no such thing" in record["error"]["traceback"]
    assert run_trial(TRIAL, DATA, LedgerWriter(tmp_path), ignore) == "done"
    assert run_trial(TRIAL, DATA, LedgerWriter(tmp_path, retry_failed=True), ignore) == "finished"


def test_divergence_is_a_result_and_no_failure(tmp_path: Path) -> None:
    wild = {"width": 0.05, "epochs": 5, "optimizer": "sgd", "learning_rate": 1e12, "batch_norm": False, "augmentation": {"zoom": 0.1}}
    trial = tiny(base=wild).plan(DATA)[0]
    assert run_trial(trial, DATA, LedgerWriter(tmp_path), ignore) == "diverged"
    record = Ledger(tmp_path).record(trial.key)
    assert record is not None
    assert record["error"] is None
    assert record["epochs"] < 5
    assert Ledger(tmp_path).epochs(trial.key)[-1]["train_loss"] is None
    assert run_trial(trial, DATA, LedgerWriter(tmp_path, retry_failed=True), ignore) == "done"


def test_a_trial_that_another_driver_runs_is_left_to_it(tmp_path: Path) -> None:
    other = LedgerWriter(tmp_path)
    other.begin(TRIAL.key, TRIAL.identity)
    assert run_trial(TRIAL, DATA, LedgerWriter(tmp_path), ignore) == "busy"


def test_what_the_report_raises_is_no_failure_of_the_trial(tmp_path: Path) -> None:
    def broken(row: dict[str, Any]) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_trial(TRIAL, DATA, LedgerWriter(tmp_path), broken)
    assert Ledger(tmp_path).status(TRIAL.key) == "interrupted"


def test_a_ledger_that_cannot_be_written_is_no_failure_of_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LedgerWriter(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise LedgerError("No space left on device")

    monkeypatch.setattr(writer, "append", full)
    with pytest.raises(LedgerError, match="No space"):
        run_trial(TRIAL, DATA, writer, ignore)
    assert Ledger(tmp_path).status(TRIAL.key) == "interrupted"


def test_what_was_taken_of_weights_to_begin_from_is_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_trial(TRIAL, DATA, LedgerWriter(tmp_path / "first"), ignore, keep_weights=True)
    monkeypatch.chdir(Ledger(tmp_path / "first").trial_folder(TRIAL.key))
    trial = tiny(base={"width": 0.05, "epochs": 1, "pretrained": "weights.safetensors"}, ablate=None).plan(DATA)[0]
    assert trial.identity["files"].keys() == {"pretrained"}
    assert run_trial(trial, DATA, LedgerWriter(tmp_path / "second"), ignore) == "finished"
    record = Ledger(tmp_path / "second").record(trial.key)
    assert record is not None
    tensors = len(load_file("weights.safetensors"))
    assert record["pretrained"] == f"taken {tensors} of the network's {tensors} tensors from weights.safetensors"
