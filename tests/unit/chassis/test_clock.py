"""The manual clock: nothing moves until it is advanced, and then in order."""

import asyncio

from chassis.clock import ManualClock, SystemClock


async def test_a_sleeper_wakes_when_the_clock_passes_its_end_and_not_before() -> None:
    clock = ManualClock(start=100.0)
    sleeper = asyncio.create_task(clock.sleep(5))
    await clock.advance(4.75)
    assert not sleeper.done()
    await clock.advance(0.5)
    assert sleeper.done()
    assert clock.now() == clock.monotonic() == 105.25


async def test_sleepers_wake_in_the_order_of_their_ends_and_see_their_own_time() -> None:
    clock = ManualClock(start=0.0)
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    tasks = [asyncio.create_task(sleep("late", 3)), asyncio.create_task(sleep("early", 1))]
    await clock.advance(10)
    await asyncio.gather(*tasks)
    assert woken == [("early", 1.0), ("late", 3.0)]


async def test_a_task_that_sleeps_again_and_again_turns_as_often_as_time_allows() -> None:
    clock = ManualClock()
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await clock.sleep(1)
            turns += 1

    task = asyncio.create_task(tick())
    await clock.advance(5.5)
    task.cancel()
    assert turns == 5


async def test_a_cancelled_sleeper_does_not_stop_the_clock() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(2)
    assert task.cancelled()


async def test_the_system_clock_takes_a_negative_sleep_for_none() -> None:
    await SystemClock().sleep(-1)
