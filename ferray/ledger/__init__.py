"""The ledger: the folder of all records, read by Ledger, written by ferray.ledger.writer, kept in order by `python -m ferray.ledger`."""

from __future__ import annotations

from ferray.ledger.reading import DEFAULT_STORAGE, ENDED, FORMAT, Ledger, Status, file_digest

__all__ = ["DEFAULT_STORAGE", "ENDED", "FORMAT", "Ledger", "Status", "file_digest"]
