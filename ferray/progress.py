"""What the terminal says while Ray Tune runs trials: a line per epoch and per ended trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune import Callback

from ferray.trainable import epoch_line
from ferray.trial import Trial


class Progress(Callback):
    """Tells each epoch and each end as it happens, and remembers which trials ended."""

    def __init__(self, trials: Mapping[str, Trial], say: Callable[[str], None]) -> None:
        self._trials = trials
        self._say = say
        self._began = time.monotonic()
        self.ended: set[str] = set()

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Called by Tune with each report of a trial."""
        if "epoch" in result:
            self._say(epoch_line(self._trials[_key(trial)], result))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's function has returned."""
        status = (trial.last_result or {}).get("status", "finished")
        self._end(trial, "finished" if status == "running" else status)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process died once too often."""
        self._end(trial, "failed")

    def _end(self, trial: Any, status: str) -> None:
        key = _key(trial)
        self.ended.add(key)
        elapsed = time.monotonic() - self._began
        self._say(f"[{len(self.ended)}/{len(self._trials)}] {self._trials[key].label}: {status} ({elapsed:.0f} s so far)")


def _key(trial: Any) -> str:
    key: str = trial.config["trial"]["key"]
    return key
