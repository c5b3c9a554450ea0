"""The ledger: every path of a storage folder, and reading back what trials left there.

    ledger.json                       the format's version
    trials/<key>/trial.json           what the trial is: config, data fingerprint, engine version
    trials/<key>/epochs.jsonl         one row per epoch
    trials/<key>/predictions.npz      class probabilities of every validation and test image, at the selected and the last epoch
    trials/<key>/weights.safetensors  the network at the selected epoch, where the study keeps weights
    trials/<key>/record.json          how it ended, written last; a trial without it is unfinished
    trials/<key>/attempts.json        how often it was begun, and on what its epochs were trained so far
    trials/<key>/checkpoint.pt        where a trial goes on that is unfinished, failed or stopped early
    trials/<key>/lock                 held by the driver whose trial is writing
    data/<fingerprint>/               classes, counts, labels and images that the report shows
    code/<digest>/                    a user's own code that trials stand on: code.json names it, source/ holds its files
    studies/<name>/study.json         the study as it was last run, with its plan
    studies/<name>/openings.jsonl     who first saw which trials' figures on the test set, and when
    reports/<name>/                   what the report writes
    damaged/                          records that were set aside
    earlier/                          whole records that were put aside so that their trials run again
    removed/                          what a removal that was interrupted had still to delete
    tune/                             Ray Tune's own folders, with TensorBoard's files

Reading never raises over one bad record: it is reported as damaged and the others are read. Writing is in ferray.ledger.writer.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ferray.errors import LedgerError, nearest

FORMAT = 1
DEFAULT_STORAGE = "ferray_results"

RECORD: dict[str, Any] = {"key": str, "status": str, "digests": dict, "epochs": int, "seconds": int | float, "ended": str}
"""What every record has."""
KNOWN: dict[str, Any] = {"selected_epoch": int, "attempts": int, "error": dict, "environment": dict, "elsewhere": list, "stopped": dict}
"""What a record may have, or null in its place."""

Status = Literal["finished", "diverged", "stopped", "failed", "running", "interrupted", "missing", "damaged"]

ENDED: frozenset[Status] = frozenset({"finished", "diverged", "stopped", "failed"})
"""The states of trials that have a record; failed ones run again where that is asked for, stopped ones where all epochs are wanted."""


class Ledger:
    """A storage folder: knows where everything lies and reads it. Opening one creates nothing."""

    def __init__(self, path: str | os.PathLike[str] = DEFAULT_STORAGE) -> None:
        self.path = Path(path)
        if self.path.parts[:1] and self.path.parts[0].endswith(":"):
            raise LedgerError(f"{self.path}: storage must be a folder of this machine, not an address")
        try:
            if self.path.exists() and not self.path.is_dir():
                raise LedgerError(f"{self.path} is a file; storage must be a folder")
            version = json.loads(self._format_file.read_text(encoding="utf-8"))["format"]
        except (FileNotFoundError, NotADirectoryError):
            return  # nothing there yet; whoever writes first finds out whether that is possible
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LedgerError(f"{self._format_file} cannot be read: {error}") from None
        if version != FORMAT:
            raise LedgerError(f"{self.path} is a ledger of format {version}; this version of ferray reads format {FORMAT}")

    def exists(self) -> bool:
        """Whether anything has been run into this storage."""
        return (self.path / "trials").is_dir() or (self.path / "studies").is_dir()

    # Where things are

    @property
    def _format_file(self) -> Path:
        return self.path / "ledger.json"

    def trial_folder(self, key: str) -> Path:
        return self.path / "trials" / key

    def identity_file(self, key: str) -> Path:
        return self.trial_folder(key) / "trial.json"

    def epochs_file(self, key: str) -> Path:
        return self.trial_folder(key) / "epochs.jsonl"

    def predictions_file(self, key: str) -> Path:
        return self.trial_folder(key) / "predictions.npz"

    def weights_file(self, key: str) -> Path:
        return self.trial_folder(key) / "weights.safetensors"

    def record_file(self, key: str) -> Path:
        return self.trial_folder(key) / "record.json"

    def checkpoint_file(self, key: str) -> Path:
        return self.trial_folder(key) / "checkpoint.pt"

    def attempts_file(self, key: str) -> Path:
        return self.trial_folder(key) / "attempts.json"

    def lock_file(self, key: str) -> Path:
        return self.trial_folder(key) / "lock"

    def data_folder(self, fingerprint: str) -> Path:
        return self.path / "data" / fingerprint

    def code_folder(self, digest: str) -> Path:
        return self.path / "code" / digest

    def study_file(self, name: str) -> Path:
        return self.path / "studies" / name / "study.json"

    def openings_file(self, name: str) -> Path:
        return self.path / "studies" / name / "openings.jsonl"

    def report_folder(self, name: str) -> Path:
        return self.path / "reports" / name

    @property
    def damaged_folder(self) -> Path:
        return self.path / "damaged"

    @property
    def earlier_folder(self) -> Path:
        return self.path / "earlier"

    @property
    def removed_folder(self) -> Path:
        return self.path / "removed"

    @property
    def tune_folder(self) -> Path:
        return self.path / "tune"

    # What trials left

    def keys(self) -> list[str]:
        """The keys of all trials that have begun, in order."""
        return _names(self.path / "trials")

    def trial(self, key: str) -> dict[str, Any]:
        """What the trial is: its config, data fingerprint and engine version."""
        return self._read(self.identity_file(key), {"config": dict}, {"data": str, "files": dict})

    def record(self, key: str) -> dict[str, Any] | None:
        """How the trial ended, or None while it has not. Raises LedgerError where the record is damaged."""
        try:
            record = self._read(self.record_file(key), RECORD, KNOWN)
        except FileNotFoundError:
            return None
        if record["key"] != key or record["status"] not in ENDED or (record["status"] == "stopped") != bool(record.get("stopped")):
            raise LedgerError(f"{self.record_file(key)} is not the record of trial {key}")
        return record

    def failure(self, key: str) -> str:
        """What a failed trial raised, as the last line of its traceback."""
        error = (self.record(key) or {}).get("error") or {}
        return f"{error.get('type')}: {error.get('message')}"

    def stopped(self, key: str) -> dict[str, Any]:
        """What stopped a trial early: ``scheduler`` and the rest of its rule, ``epoch``, ``reason``. Empty for any other trial."""
        return dict((self.record(key) or {}).get("stopped") or {})

    def is_stopped_by(self, key: str, rule: Mapping[str, Any] | None) -> bool:
        """Whether a trial was stopped early by this very rule, so that a plan with the rule has no more to do.

        Without a rule the trial is wanted in full length, and the answer is no.
        """
        stopped = self.stopped(key)
        return bool(stopped) and rule is not None and all(stopped.get(name) == value for name, value in rule.items())

    def epochs(self, key: str) -> list[dict[str, Any]]:
        """One row per epoch, in order; numbers that were not finite are None. An unfinished trial has the rows so far."""
        try:
            text = self.epochs_file(key).read_text(encoding="utf-8")
            rows = [json.loads(line) for line in text.splitlines()]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise LedgerError(f"{self.epochs_file(key)} cannot be read: {error}") from None
        if not all(isinstance(row, dict) and row.get("epoch") == number for number, row in enumerate(rows, start=1)):
            raise LedgerError(f"{self.epochs_file(key)} does not hold one row per epoch")
        return rows

    def epoch(self, key: str, number: int) -> dict[str, Any]:
        """The row of one epoch, counted from 1, without a look at the others. Raises LedgerError where it is not there."""
        try:
            row = json.loads(self.epochs_file(key).read_bytes().split(b"\n")[number - 1])
            if row["epoch"] != number:
                raise ValueError(f"row {number} is not that of epoch {number}")
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise LedgerError(f"{self.epochs_file(key)} cannot be read: {error}") from None
        found: dict[str, Any] = row
        return found

    def resumable_epochs(self, key: str) -> int:
        """How many epochs a trial that has not ended has to go on from: none without a checkpoint, or where its rows cannot be read."""
        try:
            return len(self.epochs(key)) if self.checkpoint_file(key).exists() else 0
        except LedgerError:  # it will be set aside and run again
            return 0

    def predictions(self, key: str) -> dict[str, NDArray[np.float32]] | None:
        """Class probabilities [images, classes] by split and epoch (``test_selected``), or None where none were left."""
        return self._arrays(self.predictions_file(key)) if self.predictions_file(key).exists() else None

    def status(self, key: str, *, verify: bool = False) -> Status:
        """How far the trial is; with ``verify`` its files are held against the digests in its record."""
        try:
            record = self.record(key)
        except LedgerError:
            return "damaged"
        if verify and self._is_damaged(key, record):
            return "damaged"
        if record is None:
            if not self.trial_folder(key).exists():
                return "missing"
            return "running" if self._is_locked(key) else "interrupted"
        status: Status = record["status"]
        return status

    def _is_damaged(self, key: str, record: dict[str, Any] | None) -> bool:
        if record is not None:
            return any(file_digest(self.trial_folder(key) / name) != expected for name, expected in record["digests"].items())
        try:
            self.epochs(key)
        except LedgerError:
            return True
        return False

    # What studies and data left

    def studies(self) -> list[str]:
        """The names of all studies that were run into this storage."""
        return [name for name in _names(self.path / "studies") if self.study_file(name).exists()]

    def study(self, name: str) -> dict[str, Any]:
        """The study as last run: its text, settings, variants and plan. Raises LedgerError that names the studies there are."""
        try:
            if Path(name).name != name or name == "..":  # a path, which would lead out of the folder of studies
                raise FileNotFoundError
            study = self._read(self.study_file(name), {}, {"plan": list, "data": dict, "settings": dict, "variants": dict, "created": str})
            if not all(isinstance(one, dict) and {"key", "variant", "sample"} <= set(one) for one in study.get("plan") or []):
                raise LedgerError(f"{self.study_file(name)}: its plan does not tell the trials' keys, variants and samples")
            return study
        except FileNotFoundError:
            known = self.studies()
            there = ", ".join(known) if known else "none"
            raise LedgerError(f"no study {name!r} in {self.path}{nearest(name, known)} (there: {there})") from None

    def data(self, fingerprint: str) -> dict[str, Any]:
        """Name, classes, image counts and shape of a data set."""
        return self._read(self.data_folder(fingerprint) / "data.json")

    def evaluation(self, fingerprint: str) -> dict[str, NDArray[Any]]:
        """Labels [n] and images [n, channels, height, width] of the validation and test splits.

        Of a validation split that each trial's seed draws there are the labels alone, which are the same for all seeds.
        """
        return self._arrays(self.data_folder(fingerprint) / "evaluation.npz")

    def code(self, digest: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        """What names a user's own code (reference, module, name, digest), and its sources by their path, none where it is installed.

        Raises LedgerError where the ledger does not have it.
        """
        folder = self.code_folder(digest)
        source = folder / "source"
        try:
            described = self._read(folder / "code.json")
            return described, {
                file.relative_to(source).as_posix(): file.read_bytes() for file in sorted(source.rglob("*")) if file.is_file()
            }
        except OSError as error:
            raise LedgerError(f"{folder} does not hold the code that trials stand on: {error.strerror}") from None

    def _read(self, file: Path, needed: Mapping[str, Any] | None = None, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A JSON object with fields of the ``needed`` types, and others that are null or of the ``known`` ones."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise LedgerError(f"{file} cannot be read: {error}") from None
        if not isinstance(content, dict):
            raise LedgerError(f"{file} does not hold a JSON object")
        wrong = [name for name, kind in (needed or {}).items() if not isinstance(content.get(name), kind)]
        wrong += [name for name, kind in (known or {}).items() if not isinstance(content.get(name), kind | None)]
        if wrong:
            raise LedgerError(f"{file} does not say what it should as {', '.join(wrong)}")
        return content

    @staticmethod
    def _arrays(file: Path) -> dict[str, NDArray[Any]]:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except Exception as error:  # noqa: BLE001 - zipfile, zlib and numpy raise many types over damaged bytes
            raise LedgerError(f"{file} cannot be read: {error}") from None

    def _is_locked(self, key: str) -> bool:
        try:
            with self.lock_file(key).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def file_digest(file: Path) -> str | None:
    """SHA-256 of a file's bytes as hexadecimal digits, or None where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
