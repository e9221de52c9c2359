"""The manual clock moves only when it is advanced, and then in order; one with an offset is as wrong as it is told."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chassis.clock import ManualClock, OffsetClock, SystemClock, utc


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


def test_a_clock_with_an_offset_is_wrong_by_what_its_file_says_now(tmp_path: Path) -> None:
    file = tmp_path / "offset"
    clock, right = OffsetClock(file), SystemClock()
    assert clock.now() == pytest.approx(right.now(), abs=60)
    for offset in (600.0, -86_400.0):
        file.write_text(f"{offset}\n")
        assert clock.now() - right.now() == pytest.approx(offset, abs=60)
    assert clock.monotonic() == pytest.approx(right.monotonic(), abs=60)


def test_a_time_is_told_in_utc() -> None:
    assert utc(ManualClock(0.5)) == datetime(1970, 1, 1, 0, 0, 0, 500_000, UTC)
