"""A stream with an `Idempotency-Key` is sent, or lets go of what it holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from chassis.clock import ManualClock
from chassis.errors import CapstanError
from services.gateway.answer import Whole
from services.gateway.api.once import once
from services.gateway.caller import Caller
from services.gateway.claims import State
from services.gateway.metrics import Metrics
from services.gateway.replays import Replays
from services.gateway.stream import EventStream
from tests.unit.services.gateway.shared_answers import Book, claims, settled

CALLER = Caller("org-1", "proj_1", "key_1", "user-1", frozenset(), frozenset(), "off", (), None)


class SlowBook(Book):
    """Takes its time to hear what came of a claim."""

    async def conclude(self, caller: Caller, key: str, claimant: str, state: State, answer: Whole | None) -> None:
        await asyncio.Event().wait()


async def no_events() -> AsyncIterator[bytes]:
    for chunk in list[bytes]():
        yield chunk


def in_words(error: CapstanError) -> bytes:
    return str(error).encode()


async def test_a_stream_whose_client_leaves_before_it_begins_lets_go_of_its_work() -> None:
    clock, ends = ManualClock(), list[str]()
    held = AsyncExitStack()

    @asynccontextmanager
    async def work() -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError as error:
            ends.append(str(error))
            raise

    async def run() -> EventStream:
        await held.enter_async_context(work())
        metrics = Metrics(CollectorRegistry())
        return EventStream(no_events(), (), held, error_event=in_words, metrics=metrics)

    kept = Replays(clock.monotonic, claims(SlowBook(clock), clock), max_bytes=10**6)
    asking = asyncio.create_task(
        once(kept, CALLER, b"k", b"{}", run, recorded=bool, streamed=True, path="/v1/chat/completions")
    )
    await settled()
    asking.cancel("the client is gone")
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ends == ["the client is gone"]
