"""Openings of the test set: written once for each trial, whoever writes at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ferray.errors import LedgerError
from ferray.ledger import Ledger, openings


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path)
    ledger.openings_file("s").parent.mkdir(parents=True)
    return ledger


def test_each_trial_is_opened_once(ledger: Ledger) -> None:
    first = openings.record(ledger, "s", "report", {"a": "cnn", "b": "cnn"})
    assert first is not None
    assert (first.keys, first.configurations, first.who) == (("a", "b"), ("cnn",), "report")
    assert openings.record(ledger, "s", "python", {"b": "cnn", "a": "cnn"}) is None
    second = openings.record(ledger, "s", "compare", {"b": "cnn", "c": "dnn sample 2"})
    assert second is not None
    assert second.keys == ("c",)
    assert openings.read(ledger, "s") == [first, second]


def test_writers_at_the_same_time_write_each_trial_once(ledger: Ledger) -> None:
    def write(number: int) -> None:
        openings.record(ledger, "s", "report", {str(key): "cnn" for key in range(number, number + 5)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    keys = [key for one in openings.read(ledger, "s") for key in one.keys]
    assert sorted(keys, key=int) == [str(key) for key in range(44)]


def test_a_line_that_was_cut_off_is_passed_over_and_the_next_one_stands_by_itself(ledger: Ledger) -> None:
    ledger.openings_file("s").write_text('{"when": "2026", "who"')
    openings.record(ledger, "s", "report", {"a": "cnn"})
    assert [one.keys for one in openings.read(ledger, "s")] == [("a",)]
    lines = ledger.openings_file("s").read_text().splitlines()
    assert json.loads(lines[1])["split"] == "test"


def test_where_nothing_can_be_written_that_is_told(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="cannot write"):
        openings.record(ledger, "another", "report", {"a": "cnn"})
    ledger.openings_file("s").mkdir()
    with pytest.raises(LedgerError, match="cannot be read"):
        openings.read(ledger, "s")


def test_nothing_new_is_written_nowhere(ledger: Ledger) -> None:
    assert openings.record(ledger, "s", "report", {}) is None
    assert not ledger.openings_file("s").exists()
