"""Clocks that are wrong, that jump, and that turn into another month. Rows B8 and B10 of the fault matrix."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.suite import Suite, until
from tests.faults.billing.conftest import SEEDS, SETTINGS, TOKENS_PER_S, Books
from tests.faults.billing.driver import Seen
from tests.faults.billing.test_metering import load
from tests.stack import running_stack

SERVICES = ("auth", "billing", "inference", "jobs", "moderation", "ratelimit", "router")
TOLERATED = timedelta(seconds=60)
SPENT = (429, "organization_spend_limit_exceeded")


class Clocks:
    """The suite's clock, and the gateway's own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._all, self._gateway = folder / "all", folder / "gateway"
        self.settings = {f"CAPSTAN_{name.upper()}_CLOCK_OFFSET_FILE": str(self._all) for name in SERVICES}
        self.settings["CAPSTAN_GATEWAY_CLOCK_OFFSET_FILE"] = str(self._gateway)
        self._offset_s = 0.0

    def now(self) -> datetime:
        """What everybody but perhaps the gateway takes for the time."""
        return datetime.now(UTC) + timedelta(seconds=self._offset_s)

    def gateway_is(self, ahead_s: float) -> None:
        """Have the gateway's clock differ from the others'."""
        _write(self._gateway, self._offset_s + ahead_s)

    def set(self, time: datetime) -> None:
        """Make it `time` everywhere. The clocks run on."""
        self._offset_s = (time - datetime.now(UTC)).total_seconds()
        _write(self._all, self._offset_s)
        _write(self._gateway, self._offset_s)


def _write(file: Path, offset_s: float) -> None:
    """All at once: it is read all the time."""
    new = file.with_suffix(".new")
    new.write_text(str(offset_s), encoding="ascii")
    new.replace(file)


@pytest.fixture(scope="module")
def clocks(store_folder: Path) -> Clocks:
    return Clocks(store_folder / "clock-offsets")


@pytest.fixture(scope="module")
def clocked(store_folder: Path, clocks: Clocks) -> Iterator[Books]:
    """A suite of which every process can be told what time it is."""
    environment = SETTINGS | clocks.settings
    with running_stack(store_folder / "clocks", engine="simulator", durable=True, environment=environment) as stack:
        yield Books(Suite(stack))


@pytest.fixture
def right_again(clocks: Clocks) -> Iterator[None]:
    yield
    clocks.gateway_is(ahead_s=0)


def times(books: Books, seen: list[Seen]) -> list[tuple[datetime, datetime]]:
    """When they began and ended, by the books."""
    rows = books.suite.query(
        "select start_time, finish_time from billing.usage_events where request_id = any($1)",
        [one.request_id for one in seen],
    )
    return [(row["start_time"], row["finish_time"]) for row in rows]


@pytest.mark.usefixtures("right_again")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ahead_s", [600, -600])
def test_what_a_gateway_with_a_wrong_clock_serves_is_billed_at_the_right_time(
    clocked: Books, clocks: Clocks, ahead_s: float, seed: int
) -> None:
    begin = clocks.now()
    clocks.gateway_is(ahead_s)
    seen = asyncio.run(load(clocked, 2.0, 4, seed))
    assert {one.status for one in seen} == {200}
    clocked.settled(seen)
    for start, finish in times(clocked, seen):
        assert begin - TOLERATED <= start <= finish <= clocks.now() + TOLERATED


@pytest.mark.usefixtures("right_again")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_clock_that_jumps_back_in_mid_stream_makes_no_negative_time_and_breaks_nothing(
    clocked: Books, clocks: Clocks, seed: int
) -> None:
    clocks.gateway_is(ahead_s=600)

    async def streamed() -> list[Seen]:
        tasks = await clocked.driver.speaking(6 + seed % 5, 1, max_tokens=6 * TOKENS_PER_S)
        clocks.gateway_is(ahead_s=-600)
        return list(await asyncio.gather(*tasks))

    seen = asyncio.run(streamed())
    assert all(one.completed for one in seen)
    clocked.settled(seen)
    assert all(start <= finish <= clocks.now() + TOLERATED for start, finish in times(clocked, seen))


@pytest.mark.parametrize("seed", SEEDS)
def test_streams_across_the_turn_of_a_month_are_billed_in_the_month_of_their_start(
    clocked: Books, clocks: Clocks, seed: int
) -> None:
    turn = next_month(clocks.now())
    clocks.set(turn - timedelta(seconds=60))
    before = clocked.spending()

    async def turned() -> tuple[list[Seen], list[Seen]]:
        over = await clocked.driver.speaking(4 + seed % 3, 1, max_tokens=6 * TOKENS_PER_S)
        clocks.set(turn - timedelta(seconds=1.5))
        within = await load(clocked, 0.3, 2, seed)
        await asyncio.sleep((turn - clocks.now()).total_seconds())
        after = await load(clocked, 2.0, 4, seed + 1)
        return within + await asyncio.gather(*over), after

    olds, news = asyncio.run(turned())
    assert all(one.completed for one in olds + news)
    clocked.settled(olds + news)
    assert sum(start < turn <= finish for start, finish in times(clocked, olds)) >= 4 + seed % 3
    assert all(start < turn for start, _ in times(clocked, olds))
    assert all(start >= turn for start, _ in times(clocked, news))
    spent = clocked.spending() - before
    assert spent == {month(turn - timedelta(days=1)): cost(clocked, olds), month(turn): cost(clocked, news)}


def test_a_spend_limit_that_is_used_up_opens_with_the_month_and_the_statement_is_of_the_old_one(
    clocked: Books, clocks: Clocks
) -> None:
    turn = next_month(clocks.now())
    old = month(turn - timedelta(days=1))
    clocks.set(turn - timedelta(seconds=60))
    with used_up(clocked, old):
        clocks.set(turn - timedelta(seconds=1))
        assert asyncio.run(asked(clocked)) == SPENT
        until(lambda: clocks.now() >= turn)
        until(lambda: asyncio.run(asked(clocked)) == (200, ""), every_s=0.3)
    assert clocked.issued(old).total_nanousd == clocked.spending()[old]
    clocked.verify()


@pytest.mark.usefixtures("right_again")
def test_a_gateway_whose_clock_is_in_the_next_month_opens_no_limit_of_this_one(clocked: Books, clocks: Clocks) -> None:
    turn = next_month(clocks.now())
    this = month(turn - timedelta(days=1))
    clocks.set(turn - timedelta(minutes=5))
    with used_up(clocked, this):
        clocks.gateway_is(ahead_s=600)
        for _ in range(20):  # before and after it has asked billing again
            assert asyncio.run(asked(clocked)) == SPENT
            time.sleep(0.3)
        assert clocks.now() < turn
    clocked.verify()


@contextmanager
def used_up(books: Books, period: str) -> Iterator[None]:
    """Spend some more and limit each month to what this one comes to, so that another has room for requests.

    The block begins when nothing is let in any more; the limit ends with it.
    """

    async def some() -> list[Seen]:
        return list(await asyncio.gather(*(books.driver.chat(max_tokens=TOKENS_PER_S) for _ in range(8))))

    books.settled(asyncio.run(some()))
    organization = books.organization_id
    books.budgets("SetSpendLimit", organization_id=organization, hard_nanousd=books.spending()[period])
    try:
        until(lambda: asyncio.run(asked(books)) == SPENT, every_s=0.3)
        yield
    finally:
        books.budgets("SetSpendLimit", organization_id=organization)


def next_month(now: datetime) -> datetime:
    return (now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month(time: datetime) -> str:
    return f"{time:%Y-%m}"


def cost(books: Books, seen: list[Seen]) -> int:
    rows = books.suite.query(
        "select sum(amount_nanousd)::bigint from billing.usage_events where request_id = any($1)",
        [one.request_id for one in seen],
    )
    return int(rows[0][0])


async def asked(books: Books) -> tuple[int, str]:
    one = await books.driver.chat(max_tokens=1)
    return one.status, one.code
