"""What Ray would write to the terminal goes to a file, and nothing else does."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from ferray.errors import LedgerError
from ferray.running.ray_log import diverted


def elsewhere(text: str) -> None:
    thread = threading.Thread(target=lambda: print(text))
    thread.start()
    thread.join()


def test_what_other_threads_print_and_ray_logs_and_warns_goes_to_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tune" / "x.log"
    before = logging.getLogger("ray").handlers
    with diverted(file, whole_terminal=False):
        print("our own line")
        elsewhere("a worker's line")
        logging.getLogger("ray.tune").warning("a line of Ray's log")
        warnings.warn("something is deprecated", DeprecationWarning, stacklevel=1)
    elsewhere("a line afterwards")
    log = file.read_text()
    assert all(line in log for line in ("a worker's line", "a line of Ray's log", "something is deprecated"))
    shown = capfd.readouterr()
    assert shown.out == "our own line\na line afterwards\n"
    assert shown.err == ""
    assert logging.getLogger("ray").handlers == before


def test_what_is_written_past_python_is_taken_where_the_whole_terminal_is_ours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.log"
    for whole in (True, False):
        with diverted(file, whole_terminal=whole):
            os.write(2, b"a line of C++\n" if whole else b"an error of our own\n")
    assert file.read_text() == "a line of C++\n"
    assert capfd.readouterr().err == "an error of our own\n"


def test_a_later_run_adds_to_the_file_and_an_exception_restores_everything(tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    streams = sys.stdout, sys.stderr
    for number in range(2):
        with suppress(ZeroDivisionError), diverted(file, whole_terminal=False):
            elsewhere(f"line {number}")
            print(1 / 0)
    assert (sys.stdout, sys.stderr) == streams
    assert file.read_text() == "line 0\nline 1\n"


def test_a_file_that_cannot_be_written_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "tune").touch()
    with pytest.raises(LedgerError, match=r"cannot write .*x\.log"), diverted(tmp_path / "tune" / "x.log", whole_terminal=False):
        pass
