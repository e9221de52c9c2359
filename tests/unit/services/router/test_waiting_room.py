"""A request that finds no capacity waits for it, and nobody who came later gets it before."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from services.router.placement import Request
from services.router.queue import ServiceClass
from services.router.replicas import Kind, Replica
from services.router.waiting_room import QueueRules, WaitingRoom
from tests.unit.services.router.pools import Pool


class Room:
    def __init__(self, count: int = 1, capacity: int = 100, **more: Any) -> None:
        self.clock = ManualClock(1000.0)
        self.pool = Pool(count, **more)
        self.room = WaitingRoom(self.pool.placements, QueueRules(capacity), self.clock)

    def fill(self) -> None:
        number = 0
        while True:
            try:
                self.room.place(self.request(f"filler{number}"))
            except CapstanError:
                return
            number += 1

    def request(self, name: str, **more: Any) -> Request:
        return Request(name, "chat", Kind.GENERATE, 10, **more)

    def wait(self, name: str, max_wait_s: float = 30.0, tenant: str = "t", **more: Any) -> asyncio.Task[Replica]:
        waiting: Coroutine[Any, Any, Replica] = self.room.wait(
            self.request(name, **more), tenant, ServiceClass.DEFAULT, max_wait_s
        )
        return asyncio.ensure_future(waiting)

    def release(self, name: str) -> None:
        self.pool.release(name)
        self.room.look()


def held_at(room: Room, name: str) -> str:
    return room.pool.placements._held[name].replica.id


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_request_waits_until_another_leaves() -> None:
    room = Room()
    room.fill()
    waiting = room.wait("req_1")
    await turn()
    assert not waiting.done()
    room.release("filler3")
    assert (await waiting).id == "r0"
    assert "req_1" in room.pool.placements
    assert len(room.room) == 0


async def test_who_comes_later_does_not_overtake() -> None:
    room = Room()
    room.pool.add("r2")
    room.fill()
    waiting = room.wait("req_1", excluded=["r0"])  # it waits for the other
    await turn()
    first = next(name for name in (f"filler{number}" for number in range(99)) if held_at(room, name) == "r0")
    room.release(first)
    with pytest.raises(CapstanError) as refusal:
        room.room.place(room.request("req_2"))
    assert refusal.value.reason is Reason.NO_CAPACITY
    second = room.wait("req_2")  # but in the queue it passes one that this replica cannot serve
    assert (await second).id == "r0"
    room.pool.add("r1")
    room.room.look()
    assert (await waiting).id == "r1"


async def test_who_may_not_fall_back_does_not_hold_up_those_who_may() -> None:
    room = Room(fallbacks={"chat": ["small"]})
    room.fill()
    loyal = room.wait("req_1", no_fallback=True)
    await turn()
    room.pool.add("s0", "small")
    assert (await room.wait("req_2")).id == "s0"
    assert not loyal.done()
    room.release("filler0")
    assert (await loyal).id == "r0"


async def test_who_was_failed_by_all_does_not_wait() -> None:
    room = Room()
    with pytest.raises(CapstanError) as refusal:
        await room.wait("req_1", excluded=["r0"])
    assert refusal.value.reason is Reason.NO_CAPACITY


async def test_a_model_without_replicas_is_waited_for() -> None:
    room = Room(0)
    room.pool.catalogue = room.pool.catalogue.__class__({}, {"chat": Kind.GENERATE}, now=1.0)
    room.pool.placements._catalogue = room.pool.catalogue
    waiting = [room.wait(f"req_{number}") for number in range(3)]
    await turn()
    assert room.room.tokens("chat") == 30
    room.pool.add("r0")
    room.room.look()
    assert {(await each).id for each in waiting} == {"r0"}


async def test_the_wait_has_an_end() -> None:
    room = Room()
    room.fill()
    looking = asyncio.ensure_future(room.room.keep_looking())
    waiting = room.wait("req_1", max_wait_s=2.0)
    await room.clock.advance(1.9)
    assert not waiting.done()
    await room.clock.advance(0.3)
    with pytest.raises(CapstanError) as refusal:
        await waiting
    assert refusal.value.reason is Reason.OVERLOADED
    assert int(refusal.value.metadata["retry_after_ms"]) >= 1000
    assert len(room.room) == 0
    looking.cancel()


async def test_who_leaves_the_queue_is_not_placed() -> None:
    room = Room()
    room.fill()
    waiting = room.wait("req_1")
    await turn()
    waiting.cancel()
    await asyncio.wait([waiting])
    room.release("filler3")
    assert len(room.room) == 0
    assert "req_1" not in room.pool.placements


async def test_who_leaves_just_when_its_turn_came_gives_its_place_back() -> None:
    room = Room()
    room.fill()
    waiting = room.wait("req_1")
    await turn()
    room.release("filler3")
    waiting.cancel()
    await asyncio.wait([waiting])
    assert "req_1" not in room.pool.placements
    assert room.room.place(room.request("req_2")).id == "r0"


async def test_an_unknown_model_does_not_wait() -> None:
    room = Room()
    with pytest.raises(CapstanError) as refusal:
        await room.room.wait(Request("req_1", "nope", Kind.GENERATE, 1), "t", ServiceClass.DEFAULT, 30)
    assert refusal.value.reason is Reason.MODEL_NOT_FOUND
