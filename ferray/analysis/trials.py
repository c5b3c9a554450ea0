"""One trial as it lies in the ledger, read once; whatever is wrong with it is noted and goes no further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ferray.errors import LedgerError
from ferray.ledger import Ledger


@dataclass(frozen=True)
class Damage:
    """Something in the ledger that cannot be read, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class Trial:
    """What a trial left; all but key and status are empty as long as it has left nothing."""

    key: str
    status: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Mapping[str, Any], ...] = ()


def read_trial(ledger: Ledger, key: str, damaged: list[Damage]) -> Trial:
    """Reads one trial, each of its files once; a trial that cannot be read has status ``damaged`` and its reason in ``damaged``."""
    try:
        status = ledger.status(key)
        if status == "missing":
            return Trial(key, status)
        if status == "damaged":
            ledger.record(key)  # says what is wrong
        if status != "damaged" and not ledger.identity_file(key).exists():
            return Trial(key, status)  # its folder was made a moment ago
        identity = ledger.trial(key)
        record = ledger.record(key) or {}  # before the epochs, which a trial that ends just now still adds to
        epochs = ledger.epochs(key)
        if record and record["epochs"] != len(epochs):
            raise LedgerError(f"the record counts {record['epochs']} epochs, the file of epochs holds {len(epochs)}")
        numbered = [row["epoch"] for row in epochs]
        if numbered != list(range(1, len(epochs) + 1)):
            raise LedgerError(f"{ledger.epochs_file(key)} does not hold the epochs one after the other")
        return Trial(key, record.get("status", status), identity, record, tuple(epochs))
    except (LedgerError, OSError, KeyError, TypeError, AttributeError) as error:
        damaged.append(Damage(key, reason(error)))
        return Trial(key, "damaged")


def reason(error: Exception) -> str:
    """What an error says, in words that a reader of the report can use."""
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
