"""The relay between Ray Tune and a run: what Tune reports goes to the progress and the ledger, and a spent budget ends the experiment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ray.tune import Callback, Stopper

from ferray.errors import LedgerError
from ferray.running.meter import OUT_OF_BUDGET
from ferray.running.trainable import STORAGE_FAILED

if TYPE_CHECKING:
    from ferray.ledger import Ledger
    from ferray.running.progress import Progress
    from ferray.running.trainable import Writer
    from ferray.trial import Trial


class Relay(Callback, Stopper):
    """Tells the progress what Tune reports and the ledger what the scheduler stops, and remembers which trials ended.

    It ends the experiment once the budget is spent.
    """

    def __init__(
        self, trials: dict[str, Trial], ledger: Ledger, progress: Progress, writer: Writer, free: Callable[[str], object] | None = None
    ) -> None:
        """``free`` is told the key of each trial that has ended, or is being stopped, whatever it holds."""
        self._trials = trials
        self._ledger = ledger
        self._progress = progress
        self._writer = writer
        self._free = free or (lambda key: None)
        self._interrupted: threading.Event | None = None
        self._stopped: set[str] = set()
        self.is_interrupted = False
        self.ended: set[str] = set()
        self.is_out_of_budget = False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its callbacks down, for a way of going on that the ledger has better

    def __deepcopy__(self, memo: dict[int, Any]) -> Relay:
        return self  # Tune copies what it was given for each of its trials

    def name(self, trial: Any) -> str:
        """What Tune calls a trial. Tune also writes this method down with every trial, as it would all trials that a function encloses."""
        return self._trials[key_of(trial)].label.replace(" ", "-")

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Tune asks whether to stop one trial; trials stop by themselves, with a checkpoint."""
        return False

    def stop_all(self) -> bool:
        """Tune asks whether to begin no further trial, and to stop those that run: once none does."""
        return self.is_out_of_budget and not self._progress.running

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Puts itself before Tune's handler of Ctrl-C, which ends the experiment but tells only Ray's log so."""
        if self._interrupted is not None:
            return
        self._interrupted = threading.Event()
        ends = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(ends):

            def interrupt(number: int, frame: Any) -> None:
                self.is_interrupted = True
                self._interrupted.set()  # type: ignore[union-attr]
                ends(number, frame)

            signal.signal(signal.SIGINT, interrupt)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Not in the handler, which may have come in the middle of a print."""
        if self._interrupted is not None and self._interrupted.is_set():
            self._interrupted.clear()
            self._progress.display.say("interrupted: stopping the running trials; this takes a few seconds")

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial has its resources."""
        self._progress.doing = ""
        self._progress.start(self._trials[key_of(trial)])

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Called by Tune with each report of a trial."""
        if "lost" in result:
            self._progress.lost(self._trials[key_of(trial)], result["lost"])
            self._progress.start(self._trials[key_of(trial)])
        if "epoch" in result:
            self._progress.epoch(self._trials[key_of(trial)], result)
        if result.get("status") == STORAGE_FAILED:
            raise LedgerError(result["error"])

    def stop(self, trial: Trial, stopped: Mapping[str, Any]) -> None:
        """Called by the scheduler with what it stops and why, while the trial waits for its answer: its record is written at once."""
        self._writer.stop(trial.key, stopped)
        self._free(trial.key)
        self._stopped.add(trial.key)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's function has returned, or the scheduler has stopped it."""
        status = (trial.last_result or {}).get("status", "finished")
        if status == "running":  # the last word was an epoch
            status = "stopped" if key_of(trial) in self._stopped else "finished"
        self._end(trial, status)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process died and it is to go on in another."""
        self._progress.lost(self._trials[key_of(trial)], last_line(str(trial.get_error() or "no reason given")))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process died once too often."""
        self._end(trial, "failed", last_line(str(trial.get_error() or "no reason given")))

    def _end(self, trial: Any, status: str, told: str | None = None) -> None:
        key = key_of(trial)
        self.ended.add(key)
        self._free(key)
        self.is_out_of_budget |= status == OUT_OF_BUDGET
        if status == "done":  # another driver has run it meanwhile
            status = self._ledger.status(key)
        if status == "failed" and told is None:
            told = self._ledger.failure(key)
        self._progress.end(self._trials[key], status, told)


def last_line(text: str) -> str:
    """What a traceback ends with."""
    return text.strip().rpartition("\n")[2]


def key_of(trial: Any) -> str:
    """The key of what is a trial to Tune."""
    key: str = trial.config["trial"]["key"]
    return key
