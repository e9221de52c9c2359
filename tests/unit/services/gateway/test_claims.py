"""Several gateways and one key: one works, the others find its answer."""

import asyncio

import pytest

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from services.gateway.answer import Whole
from services.gateway.api_error import ApiError
from services.gateway.claims import LARGEST_BYTES, LEASE_S
from services.gateway.replays import Replays
from tests.unit.services.gateway.shared_answers import Book, claims, settled
from tests.unit.services.gateway.test_replays import Work, caller


def gateways(clock: ManualClock, book: Book, count: int = 2, patience_s: float = 60.0) -> list[Replays]:
    return [Replays(clock.monotonic, claims(book, clock, patience_s), max_bytes=10**7) for _ in range(count)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def book(clock: ManualClock) -> Book:
    return Book(clock)


async def passes(clock: ManualClock, seconds: float) -> None:
    """Let time pass as the waiting see it: step by step."""
    for _ in range(int(seconds / 0.25)):
        await clock.advance(0.25)
        await settled()


async def test_another_gateway_tells_the_same_answer_and_does_nothing(clock: ManualClock, book: Book) -> None:
    (one, other), work = gateways(clock, book), Work()
    assert await one.answer(caller(), "k", b"body", work) == (Whole(b"done"), False)
    assert await other.answer(caller(), "k", b"body", work) == (Whole(b"done"), True)
    assert await other.answer(caller(), "k", b"body", work) == (Whole(b"done"), True)
    assert work.count == 1


async def test_fifty_at_once_over_several_gateways_are_one(clock: ManualClock, book: Book) -> None:
    several, work = gateways(clock, book, 3), Work()
    work.gate.clear()
    asking = [asyncio.ensure_future(several[i % 3].answer(caller(), "k", b"body", work)) for i in range(50)]
    await passes(clock, 2)
    assert work.count == 1
    assert book.calls < 100
    work.gate.set()
    await passes(clock, 2)
    answers = await asyncio.gather(*asking)
    assert {answer.body for answer, _ in answers} == {b"done"}
    assert sum(not replayed for _, replayed in answers) == 1
    assert work.count == 1


async def test_another_body_is_refused_by_every_gateway(clock: ManualClock, book: Book) -> None:
    (one, other), work = gateways(clock, book), Work()
    await one.answer(caller(), "k", b"body", work)
    with pytest.raises(ApiError) as refusal:
        await other.answer(caller(), "k", b"another", work)
    assert (refusal.value.status, refusal.value.code) == (400, "idempotency_key_reused")
    assert (await other.answer(caller(project="proj_2"), "k", b"another", work))[1] is False


async def test_what_failed_for_nothing_can_be_done_elsewhere(clock: ManualClock, book: Book) -> None:
    (one, other), work = gateways(clock, book), Work(failure=CapstanError(Reason.OVERLOADED))
    with pytest.raises(CapstanError):
        await one.answer(caller(), "k", b"body", work)
    work.failure = None
    assert await other.answer(caller(), "k", b"another", work) == (Whole(b"done"), False)


@pytest.mark.parametrize(
    "work", [Work(failure=CapstanError(Reason.DEADLINE_EXCEEDED)), Work(b"x" * (LARGEST_BYTES + 1))]
)
async def test_what_was_charged_and_is_not_kept_is_not_done_again(clock: ManualClock, book: Book, work: Work) -> None:
    (one, other), count = gateways(clock, book), work.count
    await asyncio.wait([asyncio.ensure_future(one.answer(caller(), "k", b"body", work))])
    with pytest.raises(ApiError) as refusal:
        await other.answer(caller(), "k", b"body", work)
    assert (refusal.value.status, refusal.value.code) == (409, "idempotency_key_used")
    assert work.count == count + 1


async def test_work_longer_than_a_lease_keeps_its_claim(clock: ManualClock, book: Book) -> None:
    (one, other), work = gateways(clock, book, patience_s=600), Work()
    work.gate.clear()
    asking = [asyncio.ensure_future(each.answer(caller(), "k", b"body", work)) for each in (one, other)]
    await passes(clock, 3 * LEASE_S)
    assert work.count == 1
    work.gate.set()
    await passes(clock, 2)
    assert [replayed for _, replayed in await asyncio.gather(*asking)] == [False, True]


async def test_the_work_of_a_gateway_that_died_is_done_after_its_lease(clock: ManualClock, book: Book) -> None:
    (other,), work = gateways(clock, book, 1, patience_s=600), Work()
    await book.claim(caller(), "k", b"body", "a gateway that dies", LEASE_S)
    again = asyncio.ensure_future(other.answer(caller(), "k", b"body", work))
    await passes(clock, LEASE_S - 1)
    assert work.count == 0
    await passes(clock, 2)
    assert await again == (Whole(b"done"), False)


async def test_whoever_waits_too_long_is_told_to_come_again(clock: ManualClock, book: Book) -> None:
    (one, other), work = gateways(clock, book, patience_s=5), Work()
    work.gate.clear()
    first = asyncio.ensure_future(one.answer(caller(), "k", b"body", work))
    await settled()
    second = asyncio.ensure_future(other.answer(caller(), "k", b"body", work))
    await passes(clock, 6)
    with pytest.raises(ApiError) as refusal:
        await second
    assert (refusal.value.status, refusal.value.code) == (409, "idempotency_key_in_use")
    assert dict(refusal.value.headers)[b"retry-after"] == b"1"
    work.gate.set()
    await first
    assert (await other.answer(caller(), "k", b"body", work))[1] is True


async def test_a_stream_begins_at_one_gateway_only(clock: ManualClock, book: Book) -> None:
    one, other = gateways(clock, book)
    async with one.used_up(caller(), "k", b"body"):
        with pytest.raises(ApiError) as refusal:
            async with other.used_up(caller(), "k", b"body"):
                raise AssertionError("it began twice")
        assert refusal.value.code == "idempotency_key_in_use"
    with pytest.raises(ApiError) as refusal:
        async with other.used_up(caller(), "k", b"body"):
            raise AssertionError("it began twice")
    assert refusal.value.code == "idempotency_key_used"


async def test_while_nobody_can_be_asked_each_gateway_knows_its_own(clock: ManualClock, book: Book) -> None:
    (one, other), work = gateways(clock, book), Work()
    book.away = True
    assert (await one.answer(caller(), "k", b"body", work))[1] is False
    assert (await one.answer(caller(), "k", b"body", work))[1] is True
    assert (await other.answer(caller(), "k", b"body", work))[1] is False
    assert work.count == 2


async def test_a_gateway_that_cannot_be_asked_about_is_still_at_work(clock: ManualClock, book: Book) -> None:
    (one, other), work = gateways(clock, book), Work()
    work.gate.clear()
    first = asyncio.ensure_future(one.answer(caller(), "k", b"body", work))
    await settled()
    second = asyncio.ensure_future(other.answer(caller(), "k", b"body", work))
    await passes(clock, 1)
    book.away = True
    await passes(clock, 2)
    book.away = False
    work.gate.set()
    await passes(clock, 2)
    assert [replayed for _, replayed in await asyncio.gather(first, second)] == [False, True]
    assert work.count == 1
