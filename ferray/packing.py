"""How the trials of a study share processes: each by itself, or several that one process trains at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ferray.errors import ConfigError, nearest, short

MOST = 256
"""Trials in one process: what Ray sets aside for their leases must leave it a processor."""
SEATS = 32
"""For so many trials at a time a process is there where memory alone bounds them: further ones would only wait for those before them."""


def _word_or_number(given: Any) -> Any:
    """YAML takes the word off for false."""
    if given is False:
        return "off"
    is_number = isinstance(given, int) and given is not True and 1 <= given <= MOST
    if is_number or given in ("auto", "off"):
        return given
    near = nearest(given, ["auto", "off"]) if isinstance(given, str) else ""
    told = f"must be auto, off, or how many trials share a process at most, from 1 to {MOST}"
    raise ConfigError.at("pack", f"{told}, not {short(given)}{near}")


Pack = Annotated[Literal["auto", "off"] | Annotated[int, Field(ge=1, le=MOST)], BeforeValidator(_word_or_number)]
"""What a study file says."""


@dataclass(frozen=True)
class Packing:
    """What follows from a study's ``pack`` and ``gpus``."""

    is_on: bool
    """Whether processes train several trials at a time."""
    most: int | None
    """How many share one at most; None where that is as many as fit."""
    gpus: float
    """GPUs, or a fraction of one, that each process has."""

    @classmethod
    def of(cls, pack: Literal["auto", "off"] | int, gpus: float) -> Packing:
        """Raises ConfigError where the two do not go together."""
        if isinstance(pack, int) and gpus > 1:
            raise ConfigError.at("pack", f"trials that have {gpus:g} GPUs each share no process; leave `pack` out, or set `gpus` to 1")
        if pack == "off" or (pack == "auto" and not 0 < gpus <= 1):
            return cls(is_on=False, most=1, gpus=gpus)
        most = pack if isinstance(pack, int) else None if gpus == 1 else int(1 / gpus + 1e-9)
        return cls(is_on=True, most=most, gpus=1.0 if gpus else 0.0)

    @property
    def seats(self) -> int:
        """For how many trials at a time each process is there, be it that some wait for memory."""
        return self.most or SEATS


def check_cpu_nodes(gpus: float, packing: Packing, budget: str | None) -> None:
    """Raises ConfigError where nodes without a GPU are to train what they cannot, or already do; ``budget`` is the unit of the study's."""
    if not gpus:
        raise ConfigError.at("cpu_nodes", "trials have no GPUs, so that every node trains them as it is; leave it out, or set `gpus`")
    if not packing.is_on:
        told = f"`gpus: {gpus:g}`" if gpus > 1 else "`pack: off`"
        instead = "set `gpus` to 1 or less" if gpus > 1 else "leave `pack` out, or write pack: 1"
        raise ConfigError.at("cpu_nodes", f"goes with trials that are handed out to processes, which by {told} they are not; {instead}")
    if budget not in (None, "hours"):
        raise ConfigError.at(f"budget.{budget}", "what a trial occupies depends on where it trains (`cpu_nodes`); give hours, by the clock")


UNPACKED = Packing(is_on=False, most=1, gpus=0.0)
"""Each trial by itself, on processors."""
