"""The right to write a trial: an operating system lock on a file of its folder, which ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from ferray.ledger.reading import Ledger


def acquire(ledger: Ledger, key: str) -> IO[bytes] | None:
    """The locked file of a trial, to be closed in the end, or None where another process or writer has it."""
    ledger.trial_folder(key).mkdir(parents=True, exist_ok=True)
    try:
        file = ledger.lock_file(key).open("ab")
    except FileNotFoundError:
        if ledger.trial_folder(key).exists():
            raise
        return acquire(ledger, key)  # a removal has just moved the folder away
    for _ in range(5):  # someone who reads the ledger holds the lock for an instant, to see whether it is free
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.01)
    else:
        file.close()
        return None
    if not _is_same(file, ledger.lock_file(key)):
        file.close()  # the folder was moved away between opening and locking
        return acquire(ledger, key)
    return file


def _is_same(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
