"""Everything that the ledger knows of one trial: as a JSON object, and as the page that `show` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ferray.config import flatten
from ferray.errors import LedgerError
from ferray.ledger import catalog, openings, tables
from ferray.ledger.devices import devices, elsewhere, joined
from ferray.ledger.reading import Ledger, file_digest

OF_THEIR_OWN = ("environment", "elsewhere", "error", "digests", "key")
"""What of a record stands beside it, not in it."""


def details(ledger: Ledger, key: str, *, test: bool = False) -> dict[str, Any]:
    """One trial's status, config, environment, rows, files, studies, failures and damage; what cannot be read is named as damage.

    Its figures on test are left out unless ``test`` says so; then every study that plans it has them in its openings.
    Raises LedgerError where that cannot be written down.
    """
    damage: list[str] = []

    def read(what: Any, *arguments: Any) -> Any:
        try:
            return what(*arguments)
        except FileNotFoundError as fault:
            damage.append(f"{fault.filename} is not there")
        except LedgerError as fault:
            damage.append(str(fault))
        return None

    identity = read(ledger.trial, key) or {}
    record = read(ledger.record, key) or {}
    rows = read(ledger.epochs, key) or []
    places = catalog.planned(ledger).get(key, ())
    if test:
        for place in places:
            openings.record(ledger, place.study, "show", {key: place.label})
    else:
        rows = [{name: value for name, value in row.items() if not name.startswith("test_")} for row in rows]
    folder = ledger.trial_folder(key)
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file() and file.name != "lock"}
    for name, expected in record.get("digests", {}).items():
        if file_digest(folder / name) != expected:
            damage.append(f"{folder / name} is not as it was written" if name in files else f"{folder / name} is gone")
    config = identity.get("config") or {}
    return {
        "key": key,
        "status": ledger.status(key, verify=True),
        "studies": [vars(place) for place in places],
        "changed": catalog.changed(config) if config else {},
        "config": config,
        "data": identity.get("data"),
        "data_name": _data_name(ledger, identity.get("data")),
        "engine": identity.get("engine"),
        "code": identity.get("files") or {},
        "record": {name: value for name, value in record.items() if name not in OF_THEIR_OWN},
        "device": joined(devices(ledger, key, record or None)),
        "environment": record.get("environment") or {},
        "elsewhere": elsewhere(record),
        "epochs": rows,
        "files": files,
        "error": record.get("error"),
        "earlier_failures": [error for file in sorted(folder.glob("failure-*.json")) if (error := read(_failure, file))],
        "damage": damage,
    }


def page(found: dict[str, Any]) -> Iterator[str]:
    """The lines that tell it to people."""
    yield f"trial {found['key']}: {found['status']}"
    record = found["record"]
    if record:
        attempts = f", {record['attempts']} attempts" if record.get("attempts", 1) > 1 else ""
        size = f"{record['parameters']:,} parameters" if record.get("parameters") else "parameters not known"
        yield f"  {record['epochs']} epochs in {record['seconds']:.1f} s, ended {record['ended']}{attempts}; {size}"
    if found["device"] != "-":
        yield f"  on {found['device']}"
    stopped = record.get("stopped")
    if stopped:
        yield f"  stopped early by {stopped['scheduler']} at epoch {stopped['epoch']}: {stopped['reason']}"
    for place in found["studies"]:
        yield f"  in study {place['study']}: variant {place['variant']}, sample {place['sample']}"
    if not found["studies"]:
        yield "  no study plans it any more"
    yield f"  data {found['data_name'] or ''} {found['data']}, engine {found['engine']}"
    for name, digest in found["code"].items():
        yield f"  {name} stands on files with the digest {digest}"
    for one in found["damage"]:
        yield f"  damaged: {one}"
    yield from ("", "config, where it differs from the defaults")
    yield from _pairs(found["changed"])
    yield from ("", "config, as it is by default")
    yield from _pairs({name: value for name, value in flatten(found["config"]).items() if name not in found["changed"]})
    if found["environment"]:
        yield from ("", f"environment{' of the last epochs' if found['elsewhere'] else ''}")
        yield from _pairs(found["environment"])
    for one in found["elsewhere"]:
        other = {name: value for name, value in one["environment"].items() if found["environment"].get(name) != value}
        yield from (
            "",
            f"epochs {one['from_epoch']} to {one['to_epoch']} were trained elsewhere{'' if other else ', on what is unknown'}",
        )
        yield from _pairs(other)
    if found["epochs"]:
        yield from ("", "epochs (* is the selected one; --test opens the figures on test)")
        yield from (f"  {line}" for line in _epochs(found["epochs"], record.get("selected_epoch")))
    yield from ("", "files")
    yield from _pairs({name: tables.amount(size) for name, size in found["files"].items()})
    for number, error in enumerate(found["earlier_failures"], start=1):
        yield from ("", f"earlier failure {number}: {error['type']}: {error['message']}")
    if found["error"]:
        yield from ("", f"failure: {found['error']['type']}: {found['error']['message']}", "", found["error"]["traceback"].rstrip())


def _pairs(mapping: dict[str, Any]) -> Iterator[str]:
    width = max(map(len, mapping), default=0)
    yield from (f"  {name.ljust(width)}  {value}" for name, value in mapping.items())


def _epochs(rows: list[dict[str, Any]], selected: int | None) -> list[str]:
    columns = ["epoch", *(name for name in rows[-1] if name != "epoch")]
    cells = [
        [f"{'*' if row['epoch'] == selected else ''}{row['epoch']}", *(_figure(row.get(name)) for name in columns[1:])] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in [columns, *cells]]


def _figure(value: Any) -> str:
    return "not finite" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _failure(file: Path) -> dict[str, Any]:
    """What was raised by an earlier attempt. Raises LedgerError where the file does not tell it."""
    try:
        error: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["error"]
        return {name: str(error[name]) for name in ("type", "message", "traceback")}
    except (OSError, ValueError, LookupError, TypeError) as fault:
        raise LedgerError(f"{file} cannot be read: {fault}") from None


def _data_name(ledger: Ledger, fingerprint: str | None) -> str | None:
    try:
        return None if fingerprint is None else str(ledger.data(fingerprint)["name"])
    except (LedgerError, FileNotFoundError, KeyError):
        return None
