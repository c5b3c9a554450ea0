"""Who leases a seat where, with hosts that only note what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayError

from ferray.running import broker
from ferray.running.broker import Broker, Kind


class Method:
    """Of an actor."""

    def __init__(self, function: Callable[..., Awaitable[Any]]) -> None:
        self.remote = lambda *arguments: asyncio.ensure_future(function(*arguments))


class Host:
    """Answers once it is asked so often, or never."""

    def __init__(self, *errors: Exception, after: float = 0.0) -> None:
        self.errors = list(errors)
        self.after = after
        self.ended: list[int] = []
        self.process, self.end = Method(self._process), Method(self._end)

    async def _process(self) -> int:
        await asyncio.sleep(self.after)
        if self.errors:
            raise self.errors.pop(0)
        return 1

    async def _end(self, lease: int) -> None:
        self.ended.append(lease)


async def opened(hosts: list[Host], seats: int) -> Broker:
    return await opened_kinds(Kind(hosts, seats))


async def opened_kinds(*kinds: Kind) -> Broker:
    made = Broker(kinds, [])
    await made.open()
    await asyncio.sleep(0.05)
    return made


def test_leases_go_where_the_fewest_are_and_wait_for_a_seat() -> None:
    async def leasing() -> None:
        hosts = [Host(), Host()]
        made = await opened(hosts, 2)
        leases = [await made.lease(key) for key in "abcd"]
        assert [hosts.index(lease[1]) for lease in leases if lease] == [0, 1, 0, 1]
        waiting = asyncio.create_task(made.lease("e"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await made.end(leases[1][0])  # type: ignore[index]
        assert (await waiting)[1] is hosts[1]  # type: ignore[index]
        await asyncio.sleep(0)
        assert hosts[1].ended == [leases[1][0]]  # type: ignore[index]

    asyncio.run(leasing())


def test_a_trial_that_asks_again_or_has_ended_holds_nothing() -> None:
    async def leasing() -> None:
        hosts = [Host()]
        made = await opened(hosts, 1)
        first = await made.lease("a")
        waiting = asyncio.create_task(made.lease("b"))
        await asyncio.sleep(0)
        again = await made.lease("a") if await _later(made.free("b")) else None
        assert again is not None
        assert await waiting is None
        await asyncio.sleep(0)
        assert hosts[0].ended == [first[0]]  # type: ignore[index]
        await made.free("a")
        assert await made.lease("c") is not None

    async def _later(awaited: Awaitable[None]) -> bool:
        await awaited
        return True

    asyncio.run(leasing())


def test_nothing_is_leased_at_a_host_that_has_died_until_it_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "RETRY_SECONDS", 0.05)

    async def leasing() -> None:
        hosts = [Host()]
        made = await opened(hosts, 2)
        lease = await made.lease("a")
        hosts[0].errors = [ActorUnavailableError("restarting", None)] * 2
        await made.lost(lease[0])  # type: ignore[index]
        waiting = asyncio.create_task(made.lease("a"))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        assert (await waiting)[1] is hosts[0]  # type: ignore[index]

    asyncio.run(leasing())


def test_that_no_host_can_be_started_is_told() -> None:
    async def leasing() -> None:
        made = await opened([Host(RayError("no torch"))], 1)
        with pytest.raises(RuntimeError, match="no process that packs trials can be started: no torch"):
            await made.lease("a")

    asyncio.run(leasing())


def test_a_trial_whose_hosts_keep_dying_has_one_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "RETRY_SECONDS", 0.01)

    async def leasing() -> None:
        hosts = [Host()]
        made = await opened(hosts, 3)
        for _ in range(broker.DEATHS):
            leases = [await made.lease(key) for key in "ab"]
            assert [lease[2] for lease in leases if lease] == [False, False]
            await made.lost(leases[0][0])  # type: ignore[index]
        await asyncio.sleep(0)
        assert len(hosts[0].ended) == 2 * broker.DEATHS, "should the host live after all"
        first = await made.lease("a")
        assert first is not None
        assert first[2]
        waiting = {key: asyncio.create_task(made.lease(key)) for key in "bc"}
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting.values()), "neither who is alone as well, nor anybody else"
        await made.end(first[0])
        await asyncio.sleep(0.05)
        assert sum(task.done() for task in waiting.values()) == 1, "whoever comes first"
        if waiting["c"].done():
            await made.free("c")
        assert (await waiting["b"])[2] is True  # type: ignore[index]

    asyncio.run(asyncio.wait_for(leasing(), 30))


def test_the_first_kind_of_hosts_is_filled_before_the_second() -> None:
    async def leasing() -> None:
        gpus, processors = [Host(), Host()], [Host(), Host()]
        made = await opened_kinds(Kind(gpus, 2), Kind(processors, 1))
        leases = [await made.lease(str(number)) for number in range(6)]
        assert [lease[1] for lease in leases if lease] == [*gpus, *gpus, *processors]
        waiting = asyncio.create_task(made.lease("waits"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await made.end(leases[5][0])  # type: ignore[index]
        assert (await waiting)[1] is processors[1], "whichever is free"  # type: ignore[index]

    asyncio.run(asyncio.wait_for(leasing(), 30))


def test_hosts_of_the_first_kind_are_waited_for_while_they_start() -> None:
    async def leasing() -> None:
        gpu, processors = Host(after=0.3), Host()
        made = await opened_kinds(Kind([gpu], 1), Kind([processors], 1))
        lease = await made.lease("a")
        assert lease is not None
        assert lease[1] is gpu
        assert (await made.lease("b"))[1] is processors  # type: ignore[index]

    asyncio.run(asyncio.wait_for(leasing(), 30))


@pytest.mark.parametrize("gpu", [Host(after=1000.0), Host(RayError("no torch"))], ids=["not for ever", "not where they never start"])
def test_the_second_kind_does_without_the_first(monkeypatch: pytest.MonkeyPatch, gpu: Host) -> None:
    monkeypatch.setattr(broker, "START_SECONDS", 0.2)

    async def leasing() -> None:
        processors = Host()
        made = await opened_kinds(Kind([gpu], 4), Kind([processors], 1))
        assert (await made.lease("a"))[1] is processors  # type: ignore[index]

    asyncio.run(asyncio.wait_for(leasing(), 30))


@pytest.mark.parametrize("lost", [0, 1], ids=["of a GPU that begins anew", "of processors whose node is gone"])
def test_who_loses_a_host_goes_on_at_one_of_the_other_kind(lost: int) -> None:
    async def leasing() -> None:
        hosts = [Host(), Host()]
        made = await opened_kinds(*(Kind([host], 1) for host in hosts))
        leases = [await made.lease(key) for key in "ab"]
        hosts[0].after = 1000.0
        hosts[1].errors = [RayError("its node is gone")]
        await made.lost(leases[lost][0])  # type: ignore[index]
        again = asyncio.create_task(made.lease("ab"[lost]))
        await asyncio.sleep(0.05)
        assert not again.done()
        await made.end(leases[1 - lost][0])  # type: ignore[index]
        assert (await again)[1] is hosts[1 - lost]  # type: ignore[index]

    asyncio.run(asyncio.wait_for(leasing(), 30))
