"""The trials of a ledger as rows: what each is, how far it is, which studies have it; filtered, and named by the start of their keys."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from ferray import study_file
from ferray.config import Config, field_names, flatten
from ferray.errors import ConfigError, LedgerError, nearest
from ferray.ledger.devices import Device, devices
from ferray.ledger.reading import Ledger, Status

SHORTEST = 8
"""Hexadecimal digits of a key that are shown at least."""

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Place:
    """Where in a study a trial stands."""

    study: str
    variant: str
    sample: int
    phase: str = "final"

    @property
    def label(self) -> str:
        """What the trial is a seed of."""
        sample = f" sample {self.sample}" if self.sample else ""
        return f"{self.variant}{sample}{'' if self.phase == 'final' else f' ({self.phase})'}"


@dataclass(frozen=True)
class Entry:
    """One trial as a row. ``accuracy`` is that on validation at the selected epoch, 0..1; what is not known is None."""

    key: str
    status: Status
    places: tuple[Place, ...]
    config: dict[str, Any]
    data: str | None
    epochs: int
    selected_epoch: int | None
    accuracy: float | None
    seconds: float | None
    when: datetime | None
    """When it ended, or its newest epoch was written."""
    devices: tuple[Device, ...] = ()
    """That trained its epochs, in order; of more than one where it went on elsewhere."""

    @property
    def seed(self) -> int | None:
        """Of its config."""
        return self.config.get("seed")

    @property
    def label(self) -> str:
        """A short name for people: its studies' variant and its seed."""
        names = sorted({f"{place.study}/{place.variant}" for place in self.places})
        return f"{', '.join(names) or 'of no study'} seed {self.seed}"


@dataclass(frozen=True)
class Filters:
    """Which trials are meant: those that fit every filter that is set; several values of one filter are alternatives."""

    study: str | None = None
    variants: Sequence[str] = ()
    seeds: Sequence[int] = ()
    statuses: Sequence[str] = ()
    since: datetime | None = None
    config: dict[str, Any] = field(default_factory=dict)
    """Values by dotted name, such as ``augmentation.rotation``."""
    unused: bool = False
    """Only trials that no study plans any more."""

    def __bool__(self) -> bool:
        return self != Filters()

    def accept(self, entry: Entry) -> bool:
        """Whether a trial fits."""
        places = [place for place in entry.places if self.study in (None, place.study)]
        if (self.study is not None and not places) or (self.unused and entry.places):
            return False
        if self.variants and not any(place.variant in self.variants for place in places):
            return False
        if (self.seeds and entry.seed not in self.seeds) or (self.statuses and entry.status not in self.statuses):
            return False
        if self.since is not None and (entry.when is None or entry.when < self.since):
            return False
        if self.config:
            flat = flatten(entry.config)
            return all(name in flat and flat[name] == value for name, value in self.config.items())
        return True


def entries(ledger: Ledger, keys: Iterable[str] | None = None) -> list[Entry]:
    """A row for each trial that has begun, or for each of the given keys, in the order of ``when``."""
    places = planned(ledger)
    rows = [_entry(ledger, key, tuple(places.get(key, ()))) for key in (ledger.keys() if keys is None else keys)]
    return sorted(rows, key=lambda entry: (entry.when is not None, entry.when or 0, entry.key))


def planned(ledger: Ledger) -> dict[str, list[Place]]:
    """Where each key stands, over all studies; a study that cannot be read is passed over."""
    places: dict[str, list[Place]] = {}
    for name in ledger.studies():
        for one in plan(ledger, name):
            places.setdefault(one["key"], []).append(Place(name, one["variant"], one["sample"], one.get("phase", "final")))
    return places


def plan(ledger: Ledger, study: str) -> list[dict[str, Any]]:
    """The planned trials of a study as its document tells them; none where it cannot be read."""
    try:
        found: list[dict[str, Any]] = ledger.study(study).get("plan") or []
    except LedgerError:
        return []
    return found


def select(ledger: Ledger, filters: Filters) -> list[Entry]:
    """The trials that fit. Raises LedgerError or ConfigError where a filter names what nothing has, with the nearest that is there."""
    if filters.study is not None:
        ledger.study(filters.study)
    everything = entries(ledger)
    among = [place for entry in everything for place in entry.places if filters.study in (None, place.study)]
    _check("variant", filters.variants, {place.variant for place in among})
    _check("status", filters.statuses, get_args(Status))
    _check("config field", filters.config, {*field_names(), *(name for entry in everything for name in flatten(entry.config))})
    return [entry for entry in everything if filters.accept(entry)]


def resolve(ledger: Ledger, given: str) -> str:
    """The key that begins with the given digits. Raises LedgerError where none does, or several do."""
    keys = ledger.keys()
    found = [key for key in keys if key.startswith(given.lower())] if given else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise LedgerError(f"no trial's key begins with {given!r} in {ledger.path}{nearest(given, _shortened(keys))}; `list` shows them")
    shown = ", ".join(key[: len(given) + 4] for key in found[:5])
    raise LedgerError(f"{len(found)} keys begin with {given!r}: {shown}{', ...' if len(found) > 5 else ''}; give more digits")


def digits(keys: Iterable[str]) -> int:
    """How many digits tell all the keys apart."""
    apart = set(keys)
    return next(n for n in itertools.count(SHORTEST) if len({key[:n] for key in apart}) == len(apart))


def statuses(entries: Iterable[Entry]) -> dict[str, int]:
    """How many trials have each status, in the order of Status."""
    counts = Counter(entry.status for entry in entries)
    return {status: counts[status] for status in get_args(Status) if counts[status]}


def moment(text: str, now: datetime | None = None) -> datetime:
    """The time that ``2026-11-24``, ``2026-11-24T18:30`` (of this machine's zone where none is given) or ``3h`` ago means."""
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if ago:
        return (now or datetime.now(UTC)) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError:
        allowed = "a date, such as 2026-11-24 or 2026-11-24T18:30, or so long ago, such as 30m, 12h, 3d"
        raise ConfigError(f"--since {text}: write {allowed}") from None


def settings(given: Iterable[str]) -> dict[str, Any]:
    """The values by dotted name that ``NAME=VALUE`` texts give. Raises ConfigError."""
    for text in given:
        if not text.partition("=")[1]:
            raise ConfigError(f"--config {text}: write NAME=VALUE, such as --config learning_rate=1e-3")
    return flatten(study_file.override({}, given))


def changed(config: dict[str, Any]) -> dict[str, Any]:
    """What of a config is not as it is by default for its network, by dotted name."""
    try:
        defaults = Config.parse({name: config[name] for name in ("model", "device") if name in config}).flat()
    except ConfigError:  # a network of another version
        defaults = Config().flat()
    defaults |= {name: Config.model_fields[name].default for name in ("model", "device")}
    nothing = object()
    return {name: value for name, value in flatten(config).items() if defaults.get(name, nothing) != value}


def _entry(ledger: Ledger, key: str, places: tuple[Place, ...]) -> Entry:
    status: Status
    try:
        identity = ledger.trial(key)
        config, data = dict(identity["config"]), identity.get("data")
        record = ledger.record(key)
        if record is None:
            rows = ledger.epochs(key)
            seconds = sum(row.get("seconds") or 0.0 for row in rows)
            status, when, by = ledger.status(key), _written(ledger, key), tuple(devices(ledger, key, None))
            return Entry(key, status, places, config, data, len(rows), None, None, seconds, when, by)
        selected = record["selected_epoch"]
        accuracy = None if selected is None else ledger.epoch(key, selected).get("validation_accuracy")
        when = datetime.fromisoformat(record["ended"]).astimezone()
        by = tuple(devices(ledger, key, record))
        return Entry(key, record["status"], places, config, data, record["epochs"], selected, accuracy, record["seconds"], when, by)
    except FileNotFoundError:  # it has just begun, or lost a file
        status = "damaged" if ledger.record_file(key).exists() else ledger.status(key)
    except (LedgerError, LookupError, TypeError, ValueError):
        status = "damaged"
    return Entry(key, status, places, {}, None, 0, None, None, None, _written(ledger, key))


def _written(ledger: Ledger, key: str) -> datetime | None:
    for file in (ledger.epochs_file(key), ledger.identity_file(key), ledger.trial_folder(key)):
        try:
            return datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except OSError:
            continue
    return None


def _check(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    there = list(known)
    for name in given:
        if name not in there:
            listed = f" (there: {', '.join(sorted(there))})" if 0 < len(there) <= 12 else ""
            raise ConfigError(f"no {what} is called {name!r}{nearest(name, there)}{listed}")


def _shortened(keys: Sequence[str]) -> list[str]:
    n = digits(keys)
    return [key[:n] for key in keys]
