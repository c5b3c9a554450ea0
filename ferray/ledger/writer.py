"""Writing the ledger: atomically, and one trial by one writer at a time, whatever else runs on the same storage.

A driver has one LedgerWriter on its own machine; trials on any node send it what they have. Each file is written aside, brought to
disk and renamed, so that a reader or a crash meets either the old or the new one. The right to write a trial is an operating
system lock on a file of its folder: it ends with the process, so a killed driver leaves nothing locked.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ferray import atomic
from ferray.errors import LedgerError
from ferray.ledger import attempts
from ferray.ledger.attempts import Attempt
from ferray.ledger.lock import acquire
from ferray.ledger.reading import FORMAT, Ledger, file_digest

DIGEST_BYTES = 32
"""SHA-256 of a checkpoint stands before it in its file: a changed bit would load, and go on with other numbers."""


@dataclass(frozen=True)
class Begun:
    """The answer to a trial that asks to begin.

    ``run``: it holds the trial's lock under the number ``attempt``, and goes on from ``checkpoint`` where there is one.
    ``done``: the ledger has its record. ``busy``: another driver is running it.
    """

    outcome: Literal["run", "done", "busy"]
    attempt: int = 0
    checkpoint: bytes | None = None


class StaleAttemptError(LedgerError):
    """A trial that was given up for lost, and begun anew, still tried to write."""


class LedgerWriter:
    """The one writer of a driver. It may be called from one thread at a time (as a Ray actor is)."""

    def __init__(self, storage: str | os.PathLike[str], *, retry_failed: bool = False) -> None:
        """Makes the storage ready; raises LedgerError where it cannot be written. ``retry_failed`` lets failed trials begin again."""
        self._ledger = Ledger(storage)
        self._retry_failed = retry_failed
        self._locks: dict[str, IO[bytes]] = {}
        self._attempts: dict[str, Attempt] = {}
        with _storage_errors(self._ledger.path):
            self._ledger.path.mkdir(parents=True, exist_ok=True)
            if not (self._ledger.path / "ledger.json").exists():
                _write_json(self._ledger.path / "ledger.json", {"format": FORMAT})

    def begin(
        self, key: str, identity: Mapping[str, Any], rule: Mapping[str, Any] | None = None, environment: Mapping[str, Any] | None = None
    ) -> Begun:
        """Asks for the right to write a trial. A second call for a trial that this writer has open starts a new attempt.

        A trial that a scheduler stopped early is ``done`` where that was by this ``rule``; elsewhere it goes on, and its record stays
        beside the new one. ``environment`` is where the trial runs, for a record that the trial itself cannot write.
        """
        with _storage_errors(self._ledger.trial_folder(key)):
            if key not in self._locks:
                lock = acquire(self._ledger, key)
                if lock is None:
                    return Begun("busy")
                self._locks[key] = lock
            try:
                return self._open(key, identity, rule, environment)
            except BaseException:
                self._close(key)
                raise

    def _open(self, key: str, identity: Mapping[str, Any], rule: Mapping[str, Any] | None, environment: Mapping[str, Any] | None) -> Begun:
        if self._ledger.status(key, verify=True) == "damaged":
            self._set_aside(key)
            return self.begin(key, identity, rule, environment)
        record = self._ledger.record(key)
        if record is not None:
            if not self._goes_on(record, rule):
                self._close(key)
                return Begun("done")
            word = "failure" if record["status"] == "failed" else "stopped"
            os.replace(self._ledger.record_file(key), self._ledger.trial_folder(key) / f"{word}-{record['attempts']}.json")
        for half_written in self._ledger.trial_folder(key).glob(".*"):  # by a driver that was killed
            half_written.unlink()
        checkpoint = self._checkpoint(key)
        attempt = self._attempts[key] = attempts.begin(self._ledger.attempts_file(key), environment, resumes=checkpoint is not None)
        _write_json(self._ledger.identity_file(key), {"key": key, **identity})
        return Begun("run", attempt.number, checkpoint)

    def _goes_on(self, record: Mapping[str, Any], rule: Mapping[str, Any] | None) -> bool:
        if record["status"] == "stopped":
            return not self._ledger.is_stopped_by(record["key"], rule)
        return bool(record["status"] == "failed" and self._retry_failed)

    def append(self, key: str, attempt: int, row: Mapping[str, Any], checkpoint: bytes | None = None) -> None:
        """Adds an epoch's row, in place of rows that an earlier attempt left from that epoch on, then the checkpoint, if given.

        The row goes first: a crash between the two repeats an epoch, with the same numbers, and loses none.
        """
        current = self._check(key, attempt)
        with _storage_errors(self._ledger.trial_folder(key)):
            if not current.is_placed:
                self._attempts[key] = current.placed(int(row["epoch"]))
                self._attempts[key].write(self._ledger.attempts_file(key))
            rows = [earlier for earlier in self._ledger.epochs(key) if earlier["epoch"] < row["epoch"]]
            lines = [json.dumps(_finite(one), allow_nan=False) for one in [*rows, row]]
            atomic.write(self._ledger.epochs_file(key), ("\n".join(lines) + "\n").encode())
            if checkpoint is not None:
                atomic.write(self._ledger.checkpoint_file(key), hashlib.sha256(checkpoint).digest() + checkpoint)

    def finish(
        self,
        key: str,
        attempt: int,
        summary: Mapping[str, Any],
        predictions: Mapping[str, NDArray[np.float32]] | None = None,
        weights: bytes | None = None,
    ) -> None:
        """Closes a trial for good: predictions and weights first, the record last.

        ``summary`` holds status, selected_epoch, parameters, environment and error, and ``stopped`` for a trial that was stopped early;
        the writer adds the rest, with ``elsewhere`` where epochs were trained in another environment than the last ones.
        ``weights`` is the content of a safetensors file.
        """
        current = self._check(key, attempt)
        with _storage_errors(self._ledger.trial_folder(key)):
            if predictions:
                _write_arrays(self._ledger.predictions_file(key), predictions)
            if weights is not None:
                atomic.write(self._ledger.weights_file(key), weights)
            ledger = self._ledger
            places = (ledger.identity_file(key), ledger.epochs_file(key), ledger.predictions_file(key), ledger.weights_file(key))
            files = [file for file in places if file.exists()]
            rows = self._ledger.epochs(key)
            elsewhere = current.elsewhere(len(rows))
            record = {
                "key": key,
                **summary,
                **({"elsewhere": elsewhere} if elsewhere else {}),
                "epochs": len(rows),
                "started": current.started,
                "ended": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": sum(row["seconds"] for row in rows),
                "attempts": attempt,
                "digests": {file.name: file_digest(file) for file in files},
            }
            _write_json(self._ledger.record_file(key), record)
            if summary["status"] not in ("failed", "stopped"):  # these go on from their last epoch where they are wanted again
                self._ledger.checkpoint_file(key).unlink(missing_ok=True)
            self._close(key)

    def abandon(self, key: str, identity: Mapping[str, Any], error: Mapping[str, str], environment: Mapping[str, Any]) -> None:
        """Records as failed a trial whose process died too often to speak for itself."""
        if key not in self._attempts and self.begin(key, identity).outcome != "run":
            return
        summary = {"status": "failed", "selected_epoch": None, "parameters": None, "environment": environment, "error": error}
        self.finish(key, self._attempts[key].number, summary)

    def stop(self, key: str, stopped: Mapping[str, Any]) -> None:
        """Records that a scheduler has stopped a trial which this writer has open; its process can write no more.

        ``stopped`` tells the scheduler's rule, the epoch and the reason. The trial selects no epoch and has no predictions, so that
        nothing takes it for a result. Nothing happens where the trial is not open any more.
        """
        if key in self._attempts:
            nothing = {"selected_epoch": None, "parameters": None, "error": None}
            summary = {"status": "stopped", **nothing, "environment": self._attempts[key].environment, "stopped": dict(stopped)}
            self.finish(key, self._attempts[key].number, summary)

    def release(self, key: str, attempt: int) -> None:
        """Gives up the right to write a trial, which stays as it is. Nothing happens where another attempt has taken its place."""
        if key in self._attempts and self._attempts[key].number == attempt:
            self._close(key)

    def close(self) -> None:
        """Gives up the right to write every trial that is open; they stay as they are."""
        for key in list(self._locks):
            self._close(key)

    def _close(self, key: str) -> None:
        self._attempts.pop(key, None)
        lock = self._locks.pop(key, None)
        if lock is not None:
            lock.close()

    def save_study(self, name: str, document: Mapping[str, Any]) -> None:
        """Keeps the study and its plan for the report."""
        file = self._ledger.study_file(name)
        with _storage_errors(file):
            _write_json(file, document)

    def save_data(self, description: Mapping[str, Any], evaluation: Mapping[str, NDArray[Any]]) -> None:
        """Keeps, once per data set, what the report shows of it: the description, and labels and images of validation and test."""
        folder = self._ledger.data_folder(description["fingerprint"])
        if not (folder / "data.json").exists():
            with _storage_errors(folder):
                _write_arrays(folder / "evaluation.npz", evaluation)
                _write_json(folder / "data.json", description)

    def save_code(self, digest: str, description: Mapping[str, Any], files: Iterable[tuple[str, bytes]]) -> None:
        """Keeps, once per digest, a user's own code that trials stand on: what names it, and its sources by their path."""
        folder = self._ledger.code_folder(digest)
        if not (folder / "code.json").exists():
            with _storage_errors(folder):
                for path, content in files:
                    atomic.write(folder / "source" / path, content)
                _write_json(folder / "code.json", {**description, "digest": digest})

    def set_aside(self, key: str) -> Path | None:
        """Moves a damaged record out of the way; None where another driver is at work on it or it is not damaged any more."""
        with _storage_errors(self._ledger.trial_folder(key)):
            lock = acquire(self._ledger, key)
            if lock is None:
                return None
            with lock:
                return self._set_aside(key) if self._ledger.status(key, verify=True) == "damaged" else None

    def _set_aside(self, key: str) -> Path:
        self._ledger.damaged_folder.mkdir(parents=True, exist_ok=True)
        place = self._ledger.damaged_folder / f"{key}-{time.time_ns()}"
        os.replace(self._ledger.trial_folder(key), place)
        self._close(key)
        return place

    def _checkpoint(self, key: str) -> bytes | None:
        """The newest checkpoint; None where there is none, or its bytes are not those that were written."""
        try:
            content = self._ledger.checkpoint_file(key).read_bytes()
        except FileNotFoundError:
            return None
        digest, checkpoint = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        return checkpoint if hashlib.sha256(checkpoint).digest() == digest else None

    def _check(self, key: str, attempt: int) -> Attempt:
        current = self._attempts.get(key)
        if current is None or current.number != attempt:
            raise StaleAttemptError(f"attempt {attempt} of trial {key} is over; another has taken its place")
        return current


@contextmanager
def _storage_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerError(f"cannot write {place}: {error.strerror or error}") from error


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    atomic.write(file, json.dumps(content, indent=1, allow_nan=False).encode())


def _write_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stubs think of allow_pickle, which numpy 2.0 has not
    atomic.write(file, buffer.getvalue())


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
