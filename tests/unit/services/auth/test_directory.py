"""How many questions the database is asked, and what is answered while it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason, unavailable
from services.auth.cache import FRESH_S, STALE_S, Cache
from services.auth.directory import STRANGERS_PAUSE_S, Directory
from services.auth.metrics import Metrics
from services.auth.principals import KeyRow
from services.auth.store import Store

from .test_principals import ROW

A, B = b"a" * 32, b"b" * 32


class Database:
    """Stands for `Store`: `rows` are what it knows; it may be `away`, or `hold` its answers back."""

    def __init__(self) -> None:
        self.rows: dict[bytes, KeyRow] = {A: ROW}
        self.away = False
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[list[bytes]] = []

    async def find(self, digests: Sequence[bytes]) -> list[KeyRow | None]:
        self.asked.append(list(digests))
        rows = [self.rows.get(digest) for digest in digests]
        await self.open.wait()
        if self.away:
            raise unavailable("postgres")
        return rows


class Bench:
    """A directory on a database and a clock that are both turned by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.database = Database()
        self.cache = Cache(self.clock.monotonic, 100)
        metrics = Metrics(CollectorRegistry(), is_away=lambda: False, is_following=lambda: True)
        self.directory = Directory(cast("Store", self.database), self.cache, self.clock, metrics)

    async def find(self, *digests: bytes) -> list[KeyRow | CapstanError | None]:
        return await self.directory.find(digests)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.directory.close()


async def until_asked(bench: Bench, times: int) -> None:
    for _ in range(100):
        await asyncio.sleep(0)
        if len(bench.database.asked) >= times:
            return
    raise AssertionError(f"asked {bench.database.asked}")


async def test_a_key_is_asked_for_once_a_minute(bench: Bench) -> None:
    for _ in range(10):
        assert await bench.find(A) == [ROW]
    assert bench.database.asked == [[A]]
    await bench.clock.advance(FRESH_S)
    assert await bench.find(A) == [ROW]
    assert len(bench.database.asked) == 2


async def test_a_thousand_requests_with_one_cold_key_are_one_question(bench: Bench) -> None:
    bench.database.open.clear()
    finding = asyncio.gather(*(bench.find(A) for _ in range(1000)))
    await until_asked(bench, 1)
    bench.database.open.set()
    assert await finding == [[ROW]] * 1000
    assert bench.database.asked == [[A]]


async def test_a_digest_that_is_asked_for_twice_in_one_call_is_answered_twice(bench: Bench) -> None:
    assert await bench.find(A, B, A) == [ROW, None, ROW]
    assert bench.database.asked[0] == [A, B]


async def test_keys_that_gather_during_a_question_share_the_next(bench: Bench) -> None:
    bench.database.open.clear()
    first = asyncio.ensure_future(bench.find(A))
    await until_asked(bench, 1)
    others = [asyncio.ensure_future(bench.find(b"%032d" % n)) for n in range(50)]
    await asyncio.sleep(0)
    bench.database.open.set()
    await asyncio.gather(first, *others)
    assert [len(asked) for asked in bench.database.asked] == [1, 50]


async def test_a_flood_of_random_keys_is_asked_for_at_a_pace(bench: Bench) -> None:
    assert await bench.find(b"%032d" % 0) == [None]
    flood = [asyncio.ensure_future(bench.find(b"%032d" % n)) for n in range(1, 100)]
    await bench.clock.advance(STRANGERS_PAUSE_S / 2)
    assert len(bench.database.asked) == 1
    await bench.clock.advance(STRANGERS_PAUSE_S / 2)
    await asyncio.gather(*flood)
    assert [len(asked) for asked in bench.database.asked] == [1, 99]


async def test_while_the_database_is_away_known_keys_work_for_five_minutes_and_others_are_unavailable(
    bench: Bench,
) -> None:
    await bench.find(A)
    bench.database.away = True
    await bench.clock.advance(STALE_S - 1)
    known, unknown = await bench.find(A, B)
    assert known is ROW
    assert isinstance(unknown, CapstanError)
    assert unknown.reason is Reason.UNAVAILABLE
    await bench.clock.advance(1)
    [known] = await bench.find(A)
    assert isinstance(known, CapstanError)
    bench.database.away = False
    assert await bench.find(A, B) == [ROW, None]


async def test_a_database_that_hangs_does_not_keep_known_keys_waiting(bench: Bench) -> None:
    await bench.find(A)
    await bench.clock.advance(FRESH_S)
    bench.database.open.clear()
    assert await bench.find(A) == [ROW]
    bench.database.open.set()


async def test_what_a_change_overtook_is_neither_joined_nor_kept(bench: Bench) -> None:
    bench.database.open.clear()
    before = asyncio.ensure_future(bench.find(A))
    await until_asked(bench, 1)
    revoked = replace(ROW, scopes=())
    bench.database.rows[A] = revoked
    bench.cache.forget({ROW.id}, ())
    after = asyncio.ensure_future(bench.find(A))
    await asyncio.sleep(0)
    bench.database.open.set()
    assert await after == [revoked]
    assert await before == [ROW]
    assert await bench.find(A) == [revoked]


async def test_a_caller_who_leaves_does_not_take_the_answer_from_the_others(bench: Bench) -> None:
    bench.database.open.clear()
    leaving, staying = asyncio.ensure_future(bench.find(A)), asyncio.ensure_future(bench.find(A))
    await until_asked(bench, 1)
    leaving.cancel()
    bench.database.open.set()
    assert await staying == [ROW]
    with pytest.raises(asyncio.CancelledError):
        await leaving
