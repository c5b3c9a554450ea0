"""What there is to train on, and whether that is enough for what a study asks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferray.errors import ResourceError

if TYPE_CHECKING:
    from ferray.study import Study


LEASE_PROCESSORS = 0.001
"""What Ray sets aside for a trial that another process trains."""


def cluster_address(given: str | None) -> str | None:
    """The address of the Ray cluster that is meant, by an argument or else by the environment; None for this machine."""
    return given or os.environ.get("RAY_ADDRESS") or None


@dataclass(frozen=True)
class Machine:
    """Processors and GPUs of this machine, or of all nodes of a cluster."""

    processors: float
    gpus: float
    name: str = "this machine"

    @classmethod
    def here(cls, *, gpus: bool) -> Machine:
        """This machine; without ``gpus`` these are not looked for, which would load torch."""
        found = 0
        if gpus:
            import torch

            found = torch.cuda.device_count()
        return cls(os.cpu_count() or 1, found)

    def slots(self, study: Study) -> int:
        """How many of the study's trials, or processes that pack these, run on it at a time; 0 where it lacks what one asks for."""
        by_processors, gpus = int(self.processors / study.processors + 1e-9), study.packing.gpus
        if not gpus:
            return by_processors
        # Ray never takes a fraction of one GPU together with a fraction of another.
        by_gpus = int(self.gpus / gpus + 1e-9) if gpus >= 1 else int(self.gpus) * int(1 / gpus + 1e-9)
        return min(by_processors, by_gpus)

    def check(self, study: Study) -> None:
        """Raises ResourceError where a trial asks for more than there is, with what to write instead."""
        if study.gpus > self.gpus:
            has = f"{self.gpus:g}" if self.gpus else "none"
            by = " that torch finds" if self.name == "this machine" else ""
            instead = f"write gpus: {self.gpus:g} or less" if self.gpus else "leave `gpus` out to train on processors"
            raise ResourceError(f"each trial asks for {study.gpus:g} GPU (`gpus` in the study), and {self.name} has {has}{by}; {instead}")
        if study.processors > self.processors:
            asked = f"`cpus` in the study: write cpus: {self.processors:g} or less"
            if study.cpus is None:
                asked = f"as many as its `threads`: write base.threads: {self.processors:g} or less, or fewer `cpus`"
            each = f"each trial asks for {study.processors:g} processor{'s' * (study.processors != 1)}"
            raise ResourceError(f"{each}, and {self.name} has {self.processors:g} ({asked})")
