"""What is kept for clients that ask again."""

import asyncio
from collections.abc import Callable

import pytest

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from services.gateway.answer import Whole
from services.gateway.api_error import ApiError
from services.gateway.caller import Caller
from services.gateway.cancellation import CLIENT_GONE, UNHEARD
from services.gateway.claims import LEASE_S
from services.gateway.replays import OVERHEAD_BYTES, Replays
from tests.unit.services.gateway.shared_answers import Book, claims, settled

DAY_S = 86_400.0


def caller(organization: str = "org-1", project: str = "proj_1") -> Caller:
    return Caller(organization, project, "key_1", "user-1", frozenset(), frozenset(), "off", (), None)


class Work:
    """Counts how often it is done; waits when it was made to."""

    def __init__(self, body: bytes = b"done", failure: Exception | None = None) -> None:
        self.body = body
        self.failure = failure
        self.count = 0
        self.stopped = ""
        """With which words it was."""
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Whole:
        self.count += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError as error:
            self.stopped = str(error)
            raise
        if self.failure is not None:
            raise self.failure
        return Whole(self.body)


def replays(clock: ManualClock, max_bytes: int = 10**6) -> Replays:
    """One gateway alone, with nobody to ask: what several know of each other, `test_claims` tests."""
    return Replays(clock.monotonic, claims(Book(clock, away=True), clock), max_bytes=max_bytes)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_the_second_time_the_first_answer_is_told(clock: ManualClock) -> None:
    kept, work = replays(clock), Work()
    first = await kept.answer(caller(), "k", b"body", work)
    second = await kept.answer(caller(), "k", b"body", work)
    assert (first, second) == ((Whole(b"done"), False), (Whole(b"done"), True))
    assert work.count == 1


async def test_who_asks_meanwhile_waits_for_the_same_work(clock: ManualClock) -> None:
    kept, work = replays(clock), Work()
    work.gate.clear()
    asking = [asyncio.ensure_future(kept.answer(caller(), "k", b"body", work)) for _ in range(5)]
    await settled()
    work.gate.set()
    answers = await asyncio.gather(*asking)
    assert sorted(replayed for _, replayed in answers) == [False, True, True, True, True]
    assert work.count == 1


async def test_work_goes_on_when_who_asked_for_it_leaves(clock: ManualClock) -> None:
    kept, work = replays(clock), Work()
    work.gate.clear()
    asking = asyncio.ensure_future(kept.answer(caller(), "k", b"body", work))
    await settled()
    asking.cancel()
    await asyncio.wait([asking])
    work.gate.set()
    assert await kept.answer(caller(), "k", b"body", work) == (Whole(b"done"), True)
    assert work.count == 1


async def test_a_key_belongs_to_one_body_and_one_project(clock: ManualClock) -> None:
    kept, work = replays(clock), Work()
    await kept.answer(caller(), "k", b"body", work)
    with pytest.raises(ApiError) as refusal:
        await kept.answer(caller(), "k", b"another", work)
    assert (refusal.value.status, refusal.value.code) == (400, "idempotency_key_reused")
    for other in (caller("org-2"), caller(project="proj_2")):
        assert (await kept.answer(other, "k", b"another", work))[1] is False
    assert work.count == 3


@pytest.mark.parametrize("failure", [CapstanError(Reason.OVERLOADED), ApiError(400, "no"), RuntimeError()])
async def test_a_failure_that_charged_nothing_frees_the_key(clock: ManualClock, failure: Exception) -> None:
    kept, work = replays(clock), Work(failure=failure)
    with pytest.raises(type(failure)):
        await kept.answer(caller(), "k", b"body", work)
    assert kept.size_bytes == 0
    work.failure = None
    assert await kept.answer(caller(), "k", b"another", work) == (Whole(b"done"), False)


async def test_a_failure_that_may_have_charged_something_is_the_answer(clock: ManualClock) -> None:
    kept, work = replays(clock), Work(failure=CapstanError(Reason.DEADLINE_EXCEEDED, service="inference"))
    for _ in range(2):
        with pytest.raises(CapstanError) as failure:
            await kept.answer(caller(), "k", b"body", work)
        assert failure.value.metadata == {"service": "inference"}
    assert work.count == 1


async def test_a_key_is_free_again_after_a_day(clock: ManualClock) -> None:
    kept, work = replays(clock), Work()
    await kept.answer(caller(), "k", b"body", work)
    await clock.advance(DAY_S - 1)
    assert (await kept.answer(caller(), "k", b"body", work))[1] is True
    await clock.advance(2)
    assert (await kept.answer(caller(), "k", b"another", work))[1] is False


async def test_memory_is_bounded_and_who_keeps_most_loses_first(clock: ManualClock) -> None:
    size = 1000
    kept = replays(clock, max_bytes=10 * (size + OVERHEAD_BYTES))
    work = Work(b"x" * size)
    await kept.answer(caller("org-small"), "k", b"body", work)
    for number in range(50):
        await kept.answer(caller("org-large"), f"k{number}", b"body", work)
        assert kept.size_bytes <= 10 * (size + OVERHEAD_BYTES)
    count = work.count
    assert (await kept.answer(caller("org-small"), "k", b"body", work))[1] is True
    assert (await kept.answer(caller("org-large"), "k49", b"body", work))[1] is True
    assert work.count == count
    assert (await kept.answer(caller("org-large"), "k0", b"body", work))[1] is False


async def test_an_answer_that_is_too_large_is_told_once(clock: ManualClock) -> None:
    kept, work = replays(clock, max_bytes=40_000), Work(b"x" * 10_001)
    assert len((await kept.answer(caller(), "k", b"body", work))[0].body) == 10_001
    with pytest.raises(ApiError) as refusal:
        await kept.answer(caller(), "k", b"body", work)
    assert (refusal.value.status, refusal.value.code) == (409, "idempotency_key_used")
    assert (b"x-should-retry", b"false") in refusal.value.headers


async def test_a_stream_begins_once_unless_it_failed_to_begin(clock: ManualClock) -> None:
    kept = replays(clock)
    with pytest.raises(RuntimeError):
        async with kept.used_up(caller(), "k", b"body"):
            raise RuntimeError
    async with kept.used_up(caller(), "k", b"body"):
        pass
    with pytest.raises(ApiError) as refusal:
        async with kept.used_up(caller(), "k", b"body"):
            pass
    assert refusal.value.status == 409


def two(clock: ManualClock) -> tuple[Replays, Replays, Book]:
    """Two gateways, and where they meet."""
    book = Book(clock)
    one, other = (Replays(clock.monotonic, claims(book, clock), max_bytes=10**6) for _ in range(2))
    return one, other, book


def event(*, is_set: bool = False) -> asyncio.Event:
    made = asyncio.Event()
    if is_set:
        made.set()
    return made


async def left(kept: Replays, work: Work, recorded: Callable[[], bool] = bool) -> None:
    """Ask, and leave while it is done."""
    work.gate.clear()
    asking = asyncio.ensure_future(kept.answer(caller(), "k", b"body", work, recorded))
    await settled()
    asking.cancel()
    await asyncio.wait([asking])


async def test_a_gateway_that_stops_ends_what_it_does_for_a_client_that_left(clock: ManualClock) -> None:
    (one, other, _), work = two(clock), Work()
    await left(one, work)
    closing = asyncio.ensure_future(one.close(60.0, event()))
    await settled()
    assert not closing.done()
    work.gate.set()
    await closing
    assert await other.answer(caller(), "k", b"body", work) == (Whole(b"done"), True)
    assert work.count == 1


@pytest.mark.parametrize(("grace_s", "hurried"), [(0.0, False), (-1.0, False), (60.0, True)])
async def test_what_cannot_end_in_time_is_stopped_and_its_key_is_free_at_once(
    clock: ManualClock, grace_s: float, hurried: bool
) -> None:
    (one, other, _), work = two(clock), Work()
    await left(one, work)
    await one.close(grace_s, event(is_set=hurried))
    assert (work.stopped, one.size_bytes) == (UNHEARD, 0)
    work.gate.set()
    assert await other.answer(caller(), "k", b"body", work) == (Whole(b"done"), False)


async def test_what_is_recorded_already_is_not_stopped(clock: ManualClock) -> None:
    (one, other, _), work = two(clock), Work()
    await left(one, work, recorded=lambda: True)
    closing = asyncio.ensure_future(one.close(60.0, event(is_set=True)))
    await settled()
    work.gate.set()
    await closing
    assert await other.answer(caller(), "k", b"body", work) == (Whole(b"done"), True)


async def test_others_are_told_of_what_was_done_however_hurried_the_gateway_is(clock: ManualClock) -> None:
    (one, other, book), work = two(clock), Work()
    await left(one, work)
    book.hears.clear()
    work.gate.set()
    await settled()
    closing = asyncio.ensure_future(one.close(60.0, event(is_set=True)))
    await settled()
    book.hears.set()
    await closing
    assert await other.answer(caller(), "k", b"body", work) == (Whole(b"done"), True)


async def test_what_waits_for_another_gateway_is_stopped_without_a_trace(clock: ManualClock) -> None:
    (one, other, _), work = two(clock), Work()
    await left(one, work)
    await left(other, work)
    await other.close(0.0, event())
    work.gate.set()
    await settled()
    assert await one.answer(caller(), "k", b"body", work) == (Whole(b"done"), True)
    assert work.count == 1


async def test_a_stream_whose_client_leaves_before_it_begins_has_used_its_key_everywhere(clock: ManualClock) -> None:
    """It is charged for what was done for it."""
    one, other, _ = two(clock)

    async def begins() -> None:
        async with one.used_up(caller(), "k", b"body"):
            await event().wait()

    beginning = asyncio.ensure_future(begins())
    await settled()
    beginning.cancel(CLIENT_GONE)
    await asyncio.wait([beginning])
    await clock.advance(LEASE_S)
    with pytest.raises(ApiError) as refusal:
        async with other.used_up(caller(), "k", b"body"):
            pass
    assert refusal.value.code == "idempotency_key_used"
