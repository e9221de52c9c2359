"""Replicas come and go, and each is listened to while it is there."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from services.router.pools import Replicas
from services.router.replicas import Replica, Rules
from services.router.roster import Roster


class Ears:
    def __init__(self) -> None:
        self.open: list[str] = []

    async def listen(self, replica: Replica) -> None:
        self.open.append(replica.address)
        try:
            await asyncio.Event().wait()
        finally:
            self.open.remove(replica.address)


def spawn(_: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)


async def test_it_listens_to_exactly_those_that_are_there() -> None:
    replicas, ears = Replicas(Rules()), Ears()
    roster = Roster(replicas, ears.listen, spawn)
    for places in ({"a": "1", "b": "2"}, {"b": "2"}, {"b": "3", "c": "4"}, {}):
        roster.keep(places)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sorted(ears.open) == sorted(places.values())
        assert {replica.id: replica.address for replica in replicas} == places


async def test_one_that_stays_is_not_disturbed() -> None:
    replicas, ears = Replicas(Rules()), Ears()
    roster = Roster(replicas, ears.listen, spawn)
    roster.keep({"a": "1"})
    before = replicas.get("a")
    roster.keep({"a": "1", "b": "2"})
    assert replicas.get("a") is before
    roster.keep({})
    await asyncio.sleep(0)
