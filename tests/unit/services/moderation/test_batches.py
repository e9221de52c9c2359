"""How calls share the processor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from chassis.errors import CapstanError, Reason
from services.moderation.batches import Batches
from services.moderation.categories import CATEGORIES
from services.moderation.weights import Array


class Processor:
    """Scores each window with its first token; each batch waits until the test lets it go."""

    def __init__(self) -> None:
        self.batches: list[list[list[int]]] = []
        self.failure: Exception | None = None
        self._gate = asyncio.Semaphore(0)

    async def judge(self, windows: Sequence[list[int]]) -> Array:
        self.batches.append(list(windows))
        await self._gate.acquire()
        if self.failure is not None:
            raise self.failure
        return np.array([[window[0]] * len(CATEGORIES) for window in windows], np.float32)

    def release(self, count: int = 1) -> None:
        for _ in range(count):
            self._gate.release()

    async def started(self, count: int) -> None:
        """Wait until `count` batches have begun."""
        async with asyncio.timeout(5):
            while len(self.batches) < count:
                await asyncio.sleep(0)


@pytest.fixture
async def processor() -> Processor:
    return Processor()


@pytest.fixture
async def batches(processor: Processor) -> AsyncIterator[Batches]:
    made = Batches(processor.judge, batch_tokens=4, waiting_tokens=10)
    yield made
    processor.release(100)
    await made.close()


def call(batches: Batches, *windows: list[int]) -> asyncio.Task[list[float]]:
    async def first_scores() -> list[float]:
        return (await batches.scores(list(windows)))[:, 0].tolist()

    return asyncio.create_task(first_scores())


async def test_a_call_alone_leaves_at_once_and_comes_back_in_order(processor: Processor, batches: Batches) -> None:
    processor.release()
    assert await call(batches, [3, 0], [1], [2]) == [3, 1, 2]
    assert processor.batches == [[[3, 0], [1], [2]]]


async def test_what_gathers_while_a_batch_is_judged_leaves_together(processor: Processor, batches: Batches) -> None:
    first = call(batches, [1])
    await processor.started(1)
    others = [call(batches, [2]), call(batches, [3])]
    await asyncio.sleep(0)
    processor.release(2)
    assert [await first, *[await other for other in others]] == [[1], [2], [3]]
    assert processor.batches == [[[1]], [[2], [3]]]


async def test_calls_take_turns_so_that_a_small_one_overtakes_a_large_one(
    processor: Processor, batches: Batches
) -> None:
    large = call(batches, *[[1, 1, 1, 1]] * 4)
    await processor.started(1)
    small = call(batches, [7])
    await asyncio.sleep(0)
    processor.release(3)
    assert await small == [7]
    assert not large.done()
    processor.release(2)
    assert await large == [1] * 4


async def test_a_batch_has_no_more_tokens_than_asked_but_always_a_window(
    processor: Processor, batches: Batches
) -> None:
    processor.release(9)
    await call(batches, [1, 1, 1], [2, 2], [3, 3], [4] * 9, [5])
    assert processor.batches == [[[1, 1, 1]], [[2, 2], [3, 3]], [[4] * 9], [[5]]]


async def test_a_call_that_would_wait_for_too_much_is_refused(processor: Processor, batches: Batches) -> None:
    running = call(batches, [1] * 4)
    await processor.started(1)
    waiting = [call(batches, [2] * 4) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(CapstanError) as refusal:
        await batches.scores([[3] * 4])
    assert refusal.value.reason is Reason.OVERLOADED
    assert refusal.value.metadata == {"retry_after_ms": "1000"}
    assert not running.done()
    processor.release(4)
    assert [await one for one in waiting] == [[2]] * 3


async def test_a_small_call_is_not_refused_because_of_a_large_one(processor: Processor, batches: Batches) -> None:
    large = call(batches, *[[1] * 4] * 20)
    await processor.started(1)
    small = call(batches, [2])
    processor.release(21)
    assert await small == [2]
    assert await large == [1] * 20


async def test_a_call_that_is_gone_is_not_judged(processor: Processor, batches: Batches) -> None:
    first = call(batches, [1] * 4)
    await processor.started(1)
    gone = call(batches, [2] * 4)
    await asyncio.sleep(0)
    assert batches.waiting_tokens == 4
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert batches.waiting_tokens == 0
    processor.release(2)
    assert await first == [1]
    assert await call(batches, [3]) == [3]
    assert processor.batches == [[[1] * 4], [[3]]]


async def test_a_call_that_is_gone_while_it_is_judged_harms_nobody(processor: Processor, batches: Batches) -> None:
    gone = call(batches, [1], [2] * 9)
    await processor.started(1)
    gone.cancel()
    after = call(batches, [3])
    await asyncio.sleep(0)
    processor.release(2)
    assert await after == [3]
    assert processor.batches == [[[1]], [[3]]]


async def test_a_failure_reaches_the_calls_of_its_batch_and_nobody_else(processor: Processor, batches: Batches) -> None:
    first, second = call(batches, [1], [1] * 4), call(batches, [2])
    await processor.started(1)
    assert processor.batches == [[[1], [2]]]
    later = call(batches, [3])
    await asyncio.sleep(0)
    processor.failure = ArithmeticError("the processor is on fire")
    processor.release()
    for one in (first, second):
        with pytest.raises(ArithmeticError, match="on fire"):
            await one
    processor.failure = None
    processor.release()
    assert await later == [3]
    assert batches.waiting_tokens == 0


async def test_no_windows_need_no_processor(processor: Processor, batches: Batches) -> None:
    assert (await batches.scores([])).shape == (0, len(CATEGORIES))
    assert processor.batches == []


async def test_closing_refuses_what_waits_and_lets_the_batch_end(processor: Processor, batches: Batches) -> None:
    running = call(batches, [1] * 4)
    await processor.started(1)
    waiting = call(batches, [2] * 4)
    await asyncio.sleep(0)
    processor.release()
    await batches.close()
    assert await running == [1]
    with pytest.raises(CapstanError) as refusal:
        await waiting
    assert refusal.value.reason is Reason.UNAVAILABLE
