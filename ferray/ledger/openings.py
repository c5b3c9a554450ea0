"""The openings of a study's test set: who first saw which trials' figures on it, and when; a line for each in an append-only file."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ferray.errors import LedgerError
from ferray.ledger.reading import Ledger


@dataclass(frozen=True)
class Opening:
    """Figures of some trials on one split that nobody had looked at before.

    ``who`` is the command or way that showed them: report, compare, python, show or export. ``configurations`` names what the trials
    are seeds of, such as ``baseline`` or ``dnn sample 3``.
    """

    when: str  # ISO 8601, in UTC
    who: str
    study: str
    split: str
    configurations: tuple[str, ...]
    keys: tuple[str, ...]


def read(ledger: Ledger, study: str) -> list[Opening]:
    """All openings of a study, the first first; a line that is damaged is passed over."""
    try:
        text = ledger.openings_file(study).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LedgerError(f"{ledger.openings_file(study)} cannot be read: {error.strerror}") from None
    return [one for one in map(_parsed, text.splitlines()) if one is not None]


def record(ledger: Ledger, study: str, who: str, configurations: Mapping[str, str], split: str = "test") -> Opening | None:
    """Adds an opening of the trials that were not opened before, or gives None where all were.

    ``configurations`` names by each trial's key what it is a seed of. Several programs may do so at a time: each trial is in one line.
    Raises LedgerError where the ledger cannot be written.
    """
    file = ledger.openings_file(study)
    if not _unopened(read(ledger, study), configurations, split):
        return None  # without a lock, so that a ledger that cannot be written is read all the same
    try:
        with file.open("a+", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)  # ends with the file
            fresh = _unopened(read(ledger, study), configurations, split)
            if not fresh:
                return None
            named = tuple(dict.fromkeys(configurations[key] for key in fresh))
            opening = Opening(datetime.now(UTC).isoformat(timespec="seconds"), who, study, split, named, tuple(fresh))
            stream.write(("" if _ends_with_a_line(stream) else "\n") + json.dumps(asdict(opening), ensure_ascii=False) + "\n")
            return opening
    except OSError as error:
        raise LedgerError(f"cannot write {file}: {error.strerror or error}") from None


def _unopened(openings: Iterable[Opening], keys: Iterable[str], split: str) -> list[str]:
    opened = {key for one in openings if one.split == split for key in one.keys}
    return [key for key in dict.fromkeys(keys) if key not in opened]


def _ends_with_a_line(stream: Any) -> bool:
    """Whether nobody was cut off in the middle of a line."""
    stream.seek(0)
    text = stream.read()
    return not text or text.endswith("\n")


def _parsed(line: str) -> Opening | None:
    try:
        given = json.loads(line)
        when, who, study, split = (str(given[name]) for name in ("when", "who", "study", "split"))
        configurations, keys = (tuple(map(str, given[name])) for name in ("configurations", "keys"))
        return Opening(when, who, study, split, configurations, keys)
    except (ValueError, KeyError, TypeError):
        return None
