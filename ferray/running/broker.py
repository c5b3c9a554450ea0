"""Who trains where: leases of seats in the processes that pack trials."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferray.running.machine import LEASE_PROCESSORS

if TYPE_CHECKING:
    from ferray.study import Study

DEATHS = 2
RETRY_SECONDS = 0.5
"""Between two questions to a process that is being started anew."""
START_SECONDS = 60.0
"""For so long at most nothing is leased at hosts that come second, while those that come first are being started."""


@dataclass(frozen=True)
class Kind:
    """Hosts, as Ray actors that begin anew when they die, of which each may have so many leases (``seats``)."""

    hosts: Sequence[Any]
    seats: int


class Broker:
    """Leases seats: at the first kind of hosts that has one free, where the fewest are taken. An asynchronous Ray actor where we drive.

    A trial has one lease: with a new one, the one before ends, whose holder must have died.
    """

    def __init__(self, kinds: Sequence[Kind], held: list[Any]) -> None:
        """``kinds`` are such as GPUs and then processors, the faster ones first.

        ``held`` are references to what the hosts were given, which Ray would otherwise throw away before they begin anew.
        """
        self._hosts = [host for kind in kinds for host in kind.hosts]
        self._held = held
        self._seats = [kind.seats for kind in kinds for _ in kind.hosts]
        self._rank = [rank for rank, kind in enumerate(kinds) for _ in kind.hosts]
        self._starting = set(range(len(self._hosts)))  # that have never answered, and may yet do so soon
        self._ready: set[int] = set()
        self._gone: dict[int, str] = {}
        self._leases: dict[int, tuple[int, str]] = {}  # the host's place and the trial's key
        self._asked: dict[str, int] = {}  # the last lease that was asked for a trial
        self._deaths = Counter[str]()  # of hosts, by the trials that were there
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begins to watch the hosts."""
        for place in range(len(self._hosts)):
            self._watch(place)
        if len(set(self._rank)) > 1:
            self._keep(self._wait_no_longer())

    async def lease(self, key: str) -> tuple[int, Any, bool] | None:
        """A number, a host for a trial, and whether it has that to itself, once there is a seat.

        None where the trial has asked again meanwhile, or has ended. A trial that was in a host as it died, DEATHS times, is alone from
        then on, so that whoever kills hosts does not take others along.

        Raises RuntimeError where no host can be started.
        """
        await self.free(key)
        number = self._asked[key] = next(self._numbers)
        async with self._changed:
            while True:
                if self._asked.get(key) != number:
                    return None
                if len(self._gone) == len(self._hosts):
                    raise RuntimeError(f"no process that packs trials can be started: {next(iter(self._gone.values()))}")
                place = self._free_place(key)
                if place is not None:
                    self._leases[number] = (place, key)
                    return number, self._hosts[place], self._is_alone(key)
                await self._changed.wait()

    def _free_place(self, key: str) -> int | None:
        """Where a trial is to go, if anywhere by now.

        A trial that goes to slower hosts stays there, however soon faster ones are ready; so these are waited for.
        """
        taken = Counter(host for host, _ in self._leases.values())
        closed = {host for host, holder in self._leases.values() if self._is_alone(holder)}
        awaited = min((self._rank[place] for place in self._starting), default=len(self._hosts))
        free = [
            host
            for host in sorted(self._ready - closed)
            if taken[host] < (1 if self._is_alone(key) else self._seats[host]) and self._rank[host] <= awaited
        ]
        return min(free, key=lambda one: (self._rank[one], taken[one])) if free else None

    def _is_alone(self, key: str) -> bool:
        return self._deaths[key] >= DEATHS

    async def end(self, number: int) -> None:
        """Takes a lease back. Nothing happens where it has ended."""
        if number in self._leases:
            place, _ = self._leases.pop(number)
            self._hosts[place].end.remote(number)
            async with self._changed:
                self._changed.notify_all()

    async def free(self, key: str) -> None:
        """Takes back all that a trial has or waits for, since it has ended."""
        self._asked.pop(key, None)
        for number in [number for number, (_, holder) in self._leases.items() if holder == key]:
            await self.end(number)
        async with self._changed:
            self._changed.notify_all()

    async def lost(self, number: int) -> None:
        """A holder found its host dead: nothing is leased there until it has begun anew."""
        if number in self._leases:
            place, _ = self._leases[number]
            for other, (_, holder) in [one for one in self._leases.items() if one[1][0] == place]:
                self._deaths[holder] += 1
                del self._leases[other]
                self._hosts[place].end.remote(other)  # should it live after all, and only not have been reached
            self._ready.discard(place)
            self._watch(place)

    def _watch(self, place: int) -> None:
        self._keep(self._await(place))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait_no_longer(self) -> None:
        await asyncio.sleep(START_SECONDS)
        self._starting.clear()
        async with self._changed:
            self._changed.notify_all()

    async def _await(self, place: int) -> None:
        """Until a host answers, or never will."""
        from ray.exceptions import ActorUnavailableError, RayError

        while place not in self._ready and place not in self._gone:
            try:
                await self._hosts[place].process.remote()
                self._ready.add(place)
            except ActorUnavailableError:
                await asyncio.sleep(RETRY_SECONDS)
            except RayError as error:
                self._gone[place] = str(error)
        self._starting.discard(place)
        async with self._changed:
            self._changed.notify_all()


def hosts(study: Study, data: list[Any], processes: int, *, node: str | None = None) -> list[Any]:
    """So many Hosts as Ray actors, each with a GPU or with processors of its own; they are started meanwhile.

    ``data`` holds the reference to the data set. ``node`` is the id of the node that they are to be on, which they go down with.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from ferray.running.host import Host

    kept = max(0.0, study.processors - LEASE_PROCESSORS * study.packing.seats)  # the rest is for the leases
    where = None if node is None else NodeAffinitySchedulingStrategy(node, soft=False)
    options = {"num_cpus": kept, "num_gpus": 1 if study.gpus else 0, "max_restarts": -1, "scheduling_strategy": where}
    kind = ray.remote(Host).options(**options)
    return [kind.remote(data, study.packing.most, on_gpu=bool(study.gpus)) for _ in range(processes)]
