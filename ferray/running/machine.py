"""What there is to train on, and whether that is enough for what a study asks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ferray.errors import ResourceError

if TYPE_CHECKING:
    from ferray.study import Study


LEASE_PROCESSORS = 0.001
"""What Ray sets aside for a trial that another process trains."""


def cluster_address(given: str | None) -> str | None:
    """The address of the Ray cluster that is meant, by an argument or else by the environment; None for this machine."""
    return given or os.environ.get("RAY_ADDRESS") or None


ROUNDED = 5e-4
"""By so much of a GPU fractions that are meant to fill it may exceed it: Ray places six times 0.1667 on one."""


@dataclass(frozen=True)
class Machine:
    """Processors and GPUs of this machine, or of all nodes of a cluster; ``nodes`` has both of each node, and is empty for one machine."""

    processors: float
    gpus: float
    name: str = "this machine"
    nodes: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, nodes: Iterable[tuple[float, float]], name: str) -> Machine:
        """All nodes together; each is given by its processors and GPUs."""
        each = tuple(nodes)
        return cls(sum(processors for processors, _ in each), sum(gpus for _, gpus in each), name, each)

    @classmethod
    def here(cls, *, gpus: bool) -> Machine:
        """This machine; without ``gpus`` these are not looked for, which would load torch."""
        found = 0
        if gpus:
            import torch

            found = torch.cuda.device_count()
        return cls(os.cpu_count() or 1, found)

    def slots(self, study: Study) -> int:
        """How many of the study's trials, or processes that pack these, run on it at a time; 0 where it lacks what one asks for.

        A trial lies on one node, and a fraction of a GPU on one GPU.
        """
        return sum(self.split(study))

    def split(self, study: Study) -> tuple[int, int]:
        """The same, those on nodes that have what trials ask for, and those that ``cpu_nodes`` adds on nodes without a GPU."""
        with_gpus = sum(_slots(processors, gpus, study) for processors, gpus in self._each)
        if not study.cpu_nodes:
            return with_gpus, 0
        modest = study.on_processors
        return with_gpus, sum(_slots(processors, 0, modest) for processors, gpus in self._each if not gpus)

    def seats(self, study: Study) -> int:
        """How many trials run at a time, or wait in a process for memory; of one that waits for a node, those that it will have."""
        processes, added = self.split(study)
        return max(processes, not added) * study.packing.seats + added

    def device(self, study: Study) -> Literal["cpu", "cuda"] | None:
        """What all trials train on; None where some train on GPUs and some on processors."""
        if not study.cpu_nodes:
            return "cuda" if study.gpus else "cpu"
        with_gpus, added = self.split(study)
        return None if with_gpus and added else "cuda" if with_gpus else "cpu"

    def fitted(self, study: Study) -> Study:
        """The study as it runs here: one that may do without GPUs asks for none where there is none."""
        return study.on_processors if study.cpu_nodes and not self.gpus else study

    @property
    def _each(self) -> tuple[tuple[float, float], ...]:
        return self.nodes or ((self.processors, self.gpus),)

    def lack(self, study: Study) -> str | None:
        """What a trial asks for and no node has, with what to write instead; None where one of them runs it."""
        if self.slots(study):
            return None
        or_fewer = "" if study.cpu_nodes else ", or fewer `cpus`"  # which are of processes on GPUs
        study = self.fitted(study)
        if study.gpus > self.gpus:
            has = f"{self.gpus:g}" if self.gpus else "none"
            by = " that torch finds" if self.name == "this machine" else ""
            instead = f"write gpus: {self.gpus:g} or less" if self.gpus else "leave `gpus` out to train on processors"
            return f"each trial asks for {study.gpus:g} GPU (`gpus` in the study), and {self.name} has {has}{by}; {instead}"
        if study.processors > self.processors:
            asked = f"`cpus` in the study: write cpus: {self.processors:g} or less"
            if study.cpus is None:
                asked = f"as many as its `threads`: write base.threads: {self.processors:g} or less{or_fewer}"
            each = f"each trial asks for {study.processors:g} processor{'s' * (study.processors != 1)}"
            return f"{each}, and {self.name} has {self.processors:g} ({asked})"
        return f"each trial asks for {_both(study.processors, study.gpus)} on one node, and {self.name} has {self.told}"

    def check(self, study: Study) -> None:
        """Raises ResourceError where a trial asks for more than there is, with what to write instead."""
        lack = self.lack(study)
        if lack is not None:
            raise ResourceError(lack)

    @property
    def told(self) -> str:
        """Processors and GPUs in words, node by node where these differ from the whole: ``nodes of 4 processors and no GPU``."""
        if len(self._each) == 1:
            return _both(self.processors, self.gpus)
        return f"nodes of {'; '.join(_both(*node) for node in sorted(set(self._each)))}"


def is_connected() -> bool:
    """Whether this process has joined or started Ray before, as in a notebook: trials then run there."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _both(processors: float, gpus: float) -> str:
    of_gpus = f"{gpus:g} GPU{'s' * (gpus > 1)}" if gpus else "no GPU"
    return f"{processors:g} processor{'s' * (processors != 1)} and {of_gpus}"


def _slots(processors: float, gpus: float, study: Study) -> int:
    by_processors, asked = int(processors / study.processors + 1e-9), study.packing.gpus
    if not asked:
        return by_processors
    by_gpus = int(gpus / asked + 1e-9) if asked >= 1 else int(gpus) * int((1 + ROUNDED) / asked)
    return min(by_processors, by_gpus)
