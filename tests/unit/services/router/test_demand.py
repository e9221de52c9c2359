"""How many replicas a model could keep busy, with and without any."""

import asyncio

import pytest

from services.router.demand import Demand
from services.router.placement import Request
from services.router.queue import ServiceClass
from services.router.replicas import Kind
from tests.unit.services.router.test_waiting_room import Room, turn

REPLICA = 8 * 1024
"""Tokens that a replica with 8 slots bears."""


def demand(room: Room, known: Demand | None = None) -> float:
    return (known or Demand(room.room)).of("chat", room.pool.replicas.serving("chat"))


def test_an_idle_model_has_none() -> None:
    assert demand(Room(2)) == 0


def test_what_runs_counts_by_its_tokens() -> None:
    room = Room(2)
    room.pool.place("req_1", tokens=REPLICA // 2)
    room.pool.place("req_2", tokens=REPLICA)
    assert demand(room) == pytest.approx(1.5)


def test_what_other_routers_placed_counts_as_typical() -> None:
    room = Room(2)
    room.pool.report("r0", running_count=6, waiting_count=2)
    assert demand(room) == pytest.approx(1.0)


def test_what_a_lost_replica_said_last_is_no_demand() -> None:
    room = Room(2)
    room.pool.report("r0", running_count=6, waiting_count=2)
    room.pool.place("req_1", tokens=REPLICA, excluded={"r1"})
    room.pool.replica("r0").lost()
    assert demand(room) == pytest.approx(1.0)


async def test_what_waits_counts_also_when_the_model_has_no_replica_left() -> None:
    room = Room(1)
    known = Demand(room.room)
    assert demand(room, known) == 0
    room.pool.report("r0", accepting=False)
    room.pool.replicas.remove("r0")
    waiting = Request("req_1", "chat", Kind.GENERATE, 3 * REPLICA)
    task = asyncio.ensure_future(room.room.wait(waiting, "t", ServiceClass.DEFAULT, 30))
    await turn()
    assert demand(room, known) == pytest.approx(3.0)  # by the slots that its replicas had
    task.cancel()
    await asyncio.wait([task])
    assert demand(room, known) == 0
