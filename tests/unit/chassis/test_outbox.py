"""Things said in the background: in order, in batches, and again when the peer was away."""

import asyncio
import logging
from collections.abc import Sequence

from chassis.clock import ManualClock
from chassis.errors import unavailable
from chassis.outbox import Outbox

LOG = logging.getLogger("test")


class Peer:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.away = False
        self.attempts = 0

    async def send(self, items: Sequence[int]) -> None:
        self.attempts += 1
        if self.away:
            raise unavailable("peer")
        self.batches.append(list(items))


async def test_what_gathers_leaves_together_and_in_order() -> None:
    peer, clock = Peer(), ManualClock()
    outbox: Outbox[int] = Outbox("test", peer.send, clock, LOG, max_batch=3)
    for item in range(5):
        outbox.put(item)
    task = asyncio.create_task(outbox.run())
    assert await outbox.drained(5)
    assert peer.batches == [[0, 1, 2], [3, 4]]
    task.cancel()


async def test_items_wait_in_order_while_the_peer_is_away() -> None:
    peer, clock = Peer(), ManualClock()
    outbox: Outbox[int] = Outbox("test", peer.send, clock, LOG, max_batch=2)
    task = asyncio.create_task(outbox.run())
    peer.away = True
    for item in range(3):
        outbox.put(item)
    await clock.advance(1)
    assert peer.attempts >= 2
    assert not await outbox.drained(0)
    peer.away = False
    await clock.advance(10)
    assert peer.batches == [[0, 1], [2]]
    task.cancel()


async def test_a_full_outbox_drops_its_oldest() -> None:
    peer = Peer()
    outbox: Outbox[int] = Outbox("test", peer.send, ManualClock(), LOG, capacity=2)
    for item in range(4):
        outbox.put(item)
    task = asyncio.create_task(outbox.run())
    assert await outbox.drained(5)
    assert peer.batches == [[2, 3]]
    task.cancel()
