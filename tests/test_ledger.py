"""Reading the ledger: every state a trial can be in, and damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ferray.errors import LedgerError
from ferray.ledger import Ledger
from ferray.ledger.writer import LedgerWriter

KEY = "0" * 32
SUMMARY = {"status": "finished", "selected_epoch": 1, "parameters": 7, "environment": {}, "error": None}


def finished(storage: Path, key: str = KEY, status: str = "finished") -> Ledger:
    writer = LedgerWriter(storage)
    begun = writer.begin(key, {"config": {}, "data": "d", "engine": "1"})
    writer.append(key, begun.attempt, {"epoch": 1, "train_loss": float("nan"), "seconds": 2.0})
    writer.finish(key, begun.attempt, {**SUMMARY, "status": status}, {"test_last": np.eye(3, dtype=np.float32)})
    return Ledger(storage)


def test_a_finished_trial_reads_back_with_non_finite_numbers_as_none(tmp_path: Path) -> None:
    ledger = finished(tmp_path)
    assert ledger.keys() == [KEY]
    assert ledger.status(KEY, verify=True) == "finished"
    assert ledger.epochs(KEY) == [{"epoch": 1, "train_loss": None, "seconds": 2.0}]
    record = ledger.record(KEY)
    assert record is not None
    assert record["seconds"] == 2.0
    assert record["attempts"] == 1
    predictions = ledger.predictions(KEY)
    assert predictions is not None
    np.testing.assert_array_equal(predictions["test_last"], np.eye(3, dtype=np.float32))


def test_a_trial_is_missing_then_running_then_interrupted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.status(KEY) == "missing"
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    assert ledger.status(KEY) == "running"
    writer.release(KEY, begun.attempt)
    assert ledger.status(KEY) == "interrupted"


@pytest.mark.parametrize("name", ["trial.json", "record.json", "epochs.jsonl", "predictions.npz"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 30, b"[]"], ids=["empty", "binary", "list"])
def test_a_damaged_file_makes_the_trial_damaged_and_leaves_the_others_alone(tmp_path: Path, name: str, content: bytes) -> None:
    finished(tmp_path, "1" * 32)
    ledger = finished(tmp_path)
    (ledger.trial_folder(KEY) / name).write_bytes(content)
    assert ledger.status(KEY, verify=True) == "damaged"
    assert ledger.status("1" * 32, verify=True) == "finished"


@pytest.mark.parametrize("line", ["[]", "5", "null", '{"x": 1}', '{"epoch": 2}'])
def test_rows_that_are_none_make_an_unfinished_trial_damaged(tmp_path: Path, line: str) -> None:
    writer = LedgerWriter(tmp_path)
    writer.begin(KEY, {})
    Ledger(tmp_path).epochs_file(KEY).write_text(line + "\n")
    assert Ledger(tmp_path).status(KEY, verify=True) == "damaged"


def test_a_record_of_another_trial_is_damaged(tmp_path: Path) -> None:
    ledger = finished(tmp_path)
    record = json.loads(ledger.record_file(KEY).read_text())
    ledger.record_file(KEY).write_text(json.dumps({**record, "key": "f" * 32}))
    assert ledger.status(KEY) == "damaged"


def test_opening_creates_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "none")
    assert ledger.keys() == []
    assert ledger.studies() == []
    assert not (tmp_path / "none").exists()


def test_an_unknown_study_is_refused_with_the_nearest_that_is_there(tmp_path: Path) -> None:
    LedgerWriter(tmp_path).save_study("quickstart", {"name": "quickstart"})
    with pytest.raises(LedgerError, match="did you mean 'quickstart'"):
        Ledger(tmp_path).study("quikstart")


def test_a_ledger_of_another_format_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text('{"format": 99}')
    with pytest.raises(LedgerError, match="format 99"):
        Ledger(tmp_path)
    with pytest.raises(LedgerError, match="is a file"):
        Ledger(tmp_path / "ledger.json")


def test_an_address_is_no_storage() -> None:
    with pytest.raises(LedgerError, match="not an address"):
        Ledger("s3://bucket/ledger")
