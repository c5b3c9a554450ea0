"""The attempts at a trial, over all drivers: how many there were, and on what each epoch that stands was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ferray import atomic


@dataclass(frozen=True)
class Attempt:
    """The newest attempt at a trial, and what those before it left.

    ``ran`` says from which epoch on (``from_epoch``) the epochs that stand were trained in which ``environment``, in order. An attempt
    that goes on from a checkpoint stands in it from its first epoch on (``is_placed``), since only then it is known which one that is.
    """

    number: int  # from 1, over all drivers
    started: str  # when the first one did
    environment: Mapping[str, Any] | None
    ran: tuple[Mapping[str, Any], ...] = ()
    is_placed: bool = False

    def placed(self, epoch: int) -> Attempt:
        """The same, whose epochs begin with this one: what stood from there on is trained again."""
        before = tuple(one for one in self.ran if one["from_epoch"] < epoch)
        goes_on = bool(before) and before[-1]["environment"] == self.environment
        own = () if goes_on else ({"from_epoch": epoch, "environment": self.environment},)
        return replace(self, ran=(*before, *own), is_placed=True)

    def elsewhere(self, epochs: int) -> list[dict[str, Any]]:
        """Of so many epochs those trained in another environment than this attempt's: ``from_epoch``, ``to_epoch``, ``environment``."""
        ends = [*(one["from_epoch"] - 1 for one in self.ran[1:]), epochs]
        stretches = [{**one, "to_epoch": end} for one, end in zip(self.ran, ends[: len(self.ran)], strict=True)]
        return [one for one in stretches if one["environment"] != self.environment and one["from_epoch"] <= one["to_epoch"]]

    def write(self, file: Path) -> None:
        """Keeps it for the next driver."""
        content = {name: value for name, value in asdict(self).items() if name not in ("environment", "is_placed")}
        atomic.write(file, json.dumps(content, indent=1, allow_nan=False).encode())


def begin(file: Path, environment: Mapping[str, Any] | None, *, resumes: bool) -> Attempt:
    """Counts a new attempt on disk; ``resumes`` where it goes on from a checkpoint of those before. A file that is lost counts anew."""
    try:
        last = json.loads(file.read_text(encoding="utf-8"))
        attempt = Attempt(last["number"] + 1, last["started"], environment, tuple(last.get("ran") or ()))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        attempt = Attempt(1, datetime.now(UTC).isoformat(timespec="seconds"), environment)
    if not resumes:
        attempt = attempt.placed(1)
    attempt.write(file)
    return attempt


def environments(file: Path) -> list[dict[str, Any]]:
    """In which environments the epochs of a trial that has not ended were trained, in order; none where that was not kept."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")).get("ran") or []
        return [dict(one["environment"] or {}) for one in found]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
