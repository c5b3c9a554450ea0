"""What made a trial's figures: which kind of device, in which precision, from which epoch on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ferray.ledger import attempts
from ferray.ledger.reading import Ledger

BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Instructions that compute with bf16."""


@dataclass(frozen=True)
class Device:
    """A device as an environment tells it: ``kind`` is cpu or cuda, ``model`` the GPU's or the processor's name, None where unknown.

    ``emulated`` is whether its precision is bf16 and its processor is known not to compute with that.
    """

    kind: str
    model: str | None
    precision: str | None
    emulated: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, Any]) -> Device | None:
        """None where the environment does not tell."""
        kind, precision = environment.get("device"), environment.get("precision")
        if not kind:
            return None
        if kind != "cpu":
            return cls(str(kind), environment.get("gpu"), precision)
        known = environment.get("instructions")
        emulated = precision == "bf16" and known is not None and not set(str(known).split(", ")) & set(BF16)
        return cls("cpu", environment.get("processor"), precision, emulated)

    @property
    def short(self) -> str:
        """For a row of a table: ``cpu fp32``, ``NVIDIA H100 bf16``."""
        name = self.kind if self.kind == "cpu" else self.model or self.kind
        return f"{name} {self.precision}" if self.precision else name

    def told(self, *, precision: bool = True) -> str:
        """What its numbers and those of others have in common: ``processors in fp32``, ``NVIDIA H100 in bf16``."""
        name = "processors" if self.kind == "cpu" else self.model or "unknown GPUs"
        with_it = f"{name} in {self.precision}" if precision and self.precision else name
        return f"{with_it}, for which they have no instructions" if self.emulated else with_it


def elsewhere(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of an ended trial the epochs that were not trained in the record's environment: ``from_epoch``, ``to_epoch``, ``environment``."""
    return [
        {**one, "environment": dict(one.get("environment") or {})}
        for one in record.get("elsewhere") or ()
        if isinstance(one, dict) and isinstance(one.get("from_epoch"), int) and isinstance(one.get("to_epoch"), int)
    ]


def environments(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All in which an ended trial was trained, in order; empty where it does not tell."""
    own = record.get("environment")
    return [*(one["environment"] for one in elsewhere(record)), *([own] if own else [])]


def devices(ledger: Ledger, key: str, record: Mapping[str, Any] | None) -> list[Device]:
    """The devices that trained a trial's epochs, in order, each once; of one that has not ended, those so far."""
    found = attempts.environments(ledger.attempts_file(key)) if record is None else environments(record)
    return list(dict.fromkeys(device for one in found if (device := Device.of(one)) is not None))


def joined(found: Iterable[Device]) -> str:
    """The devices of a trial for a row of a table: ``cpu fp32, then NVIDIA H100 bf16``; a dash where none is known."""
    return ", then ".join(dict.fromkeys(one.short for one in found)) or "-"
