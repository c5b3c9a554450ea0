"""Signals that end a run."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from ferray.running.interruption import handlers_kept, terminated_as_interrupted, undisturbed


def test_sigterm_is_an_interruption_while_it_is_asked_for() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_ends_also_what_a_script_started_in_the_background() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_is_undisturbed_hears_no_signals_and_restores_them() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with undisturbed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_handlers_that_a_library_leaves_behind_are_put_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    with handlers_kept():
        for number in numbers:
            signal.signal(number, lambda number, frame: None)
    assert [signal.getsignal(number) for number in numbers] == before


def test_in_other_threads_signals_stay_as_they_are() -> None:
    seen = []

    def look() -> None:
        with terminated_as_interrupted(), undisturbed():
            seen.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))]


def test_a_command_line_that_is_interrupted_ends_with_130_and_no_traceback() -> None:
    program = "from ferray import command\ndef main() -> None:\n    raise KeyboardInterrupt\ncommand.run(main)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
