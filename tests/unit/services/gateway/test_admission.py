"""Whatever ends a request on its way in or in the middle leaves nothing behind and is recorded as what it was."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from services.gateway.admission import Admission, Work
from services.gateway.caller import Caller, ModerationPolicy
from services.gateway.cancellation import CLIENT_GONE, UNHEARD
from services.gateway.deltas import Usage
from services.gateway.metrics import Metrics
from services.gateway.peers.ratelimit import Settlement
from services.gateway.peers.treasury import Recovered
from services.gateway.spending import Quote
from services.gateway.standings import RateLimited
from services.gateway.usage_record import Endpoint, Outcome, UsageRecord

WORK = Work(Endpoint.CHAT_COMPLETIONS, "generate", "m", 10, 20, lambda: ["words"])


@dataclass
class Peers:
    """All that admission asks, and what it was told."""

    leaves: bool = False
    """Whether the client leaves in the moment in which its words are judged."""
    recovered: tuple[Recovered, ...] = ()
    """What billing settled for a dead gateway."""
    refuses: CapstanError | None = None
    """A limit refuses."""
    held: set[str] = field(default_factory=set)
    settled: list[Settlement] = field(default_factory=list)
    finished: list[UsageRecord] = field(default_factory=list)
    voided: list[str] = field(default_factory=list)
    reached: list[UsageRecord] = field(default_factory=list)
    """Checkpoints."""
    disk: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the disk does not let the journal wait."""
    full: bool = False
    """The disk has no room for what begins."""
    is_refusing: bool = False

    def __post_init__(self) -> None:
        self.disk.set()

    async def resolve(self, name: str, kind: str, request_id: str, organization_id: str) -> str:
        return name

    def base(self, model: str) -> str:
        return ""

    def context_tokens(self, model: str) -> int:
        return 2048

    async def quote(self, *about: Any) -> Quote:
        return Quote(None, recovered=self.recovered)

    async def reserve(self, request_id: str, *about: Any) -> list[Any]:
        self.held.add(request_id)
        if self.refuses is not None:
            raise RateLimited(self.refuses, [])
        return []

    def ended(self, settlement: Settlement) -> Settlement | None:
        if settlement.request_id not in self.held:
            return None
        self.held.remove(settlement.request_id)
        return settlement

    def forget_recovered(self, recovered: Sequence[Recovered]) -> None:
        self.recovered = tuple(one for one in self.recovered if one not in recovered)

    def follow(self, request_id: str, tokens: Any) -> None: ...

    def put(self, settlement: Settlement) -> None:
        self.settled.append(settlement)

    async def flagged(self, texts: Sequence[str]) -> list[str]:
        await asyncio.sleep(0)
        if self.leaves:
            task = asyncio.current_task()
            assert task is not None
            task.cancel(CLIENT_GONE)
        return ["violence"]

    async def begin(self, record: UsageRecord) -> None:
        await self.disk.wait()
        if self.full:
            raise CapstanError(Reason.METERING_UNAVAILABLE, "the disk is full")

    def checkpoint(self, records: Sequence[UsageRecord]) -> None:
        self.reached += records

    async def finish(self, record: UsageRecord) -> None:
        self.finished.append(record)

    async def void(self, request_id: str) -> None:
        self.voided.append(request_id)


def admission(peers: Any) -> Admission:
    return Admission(
        placer=peers,
        limiter=peers,
        classifier=peers,
        spending=peers,
        hold_s=60.0,
        journal=peers,
        settlements=peers,
        clock=ManualClock(),
        metrics=Metrics(CollectorRegistry()),
        log=logging.getLogger("test"),
    )


def caller(moderation: ModerationPolicy = "off") -> Caller:
    return Caller("org-1", "proj_1", "key_1", "user-1", frozenset("*"), frozenset(), moderation, (), None)


@asynccontextmanager
async def broken_by(
    error: BaseException, tokens: int = 0, *, counted: bool = True, after_another: bool = False
) -> AsyncIterator[Peers]:
    """A request that ended with `error` after so many tokens; `after_another` replica had failed it.

    `counted`: the engine had taken its prompt in.
    """
    peers = Peers()
    admitting = admission(peers)

    async def late_usage() -> tuple[Usage, bool]:
        return Usage(prompt_tokens=10 * counted, completion_tokens=tokens), True

    async def served() -> None:
        async with admitting.admit(caller(), WORK, "req_1") as grant:
            grant.late_usage, grant.generated = late_usage, lambda: tokens
            grant.broken = after_another
            raise error

    with pytest.raises(type(error)):
        await served()
    await admitting.closed(5)
    yield peers


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_refused_text_holds_nothing_also_when_its_client_leaves_in_that_moment(leaves: bool) -> None:
    peers = Peers(leaves)

    async def asked() -> None:
        async with admission(peers).admit(caller("required"), WORK, "req_1"):
            raise AssertionError("it must not come in")

    (ended,) = await asyncio.gather(asyncio.create_task(asked()), return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError if leaves else CapstanError)
    assert (peers.held, [one.tokens for one in peers.settled]) == (set(), [0])


async def test_a_request_refused_before_its_first_token_is_as_if_it_had_never_been() -> None:
    async with broken_by(CapstanError(Reason.OVERLOADED, "the queue is full"), counted=False) as peers:
        assert (peers.voided, peers.finished, peers.held) == (["req_1"], [], set())


async def test_a_request_refused_for_one_of_its_prompts_is_free_and_on_record_when_another_was_taken_in() -> None:
    """An engine has told billing of that one, which would charge it if no gateway said otherwise."""
    async with broken_by(CapstanError(Reason.PARAMETER_REFUSED, "no such token")) as peers:
        assert (peers.voided, [one.outcome for one in peers.finished]) == ([], [Outcome.SERVER_ERROR])
        assert [one.tokens for one in peers.settled] == [0]


@pytest.mark.parametrize(
    ("message", "tokens", "outcome", "charged"),
    [
        (CLIENT_GONE, 0, Outcome.CLIENT_CLOSED, 10),
        (CLIENT_GONE, 7, Outcome.CLIENT_CLOSED, 17),
        ("", 7, Outcome.TRUNCATED, 17),
        ("", 0, Outcome.SERVER_ERROR, 0),
    ],
)
async def test_whoever_leaves_pays_for_the_prompt_too_and_whom_we_leave_only_for_what_was_made(
    message: str, tokens: int, outcome: Outcome, charged: int
) -> None:
    async with broken_by(asyncio.CancelledError(message), tokens) as peers:
        assert [(one.outcome, one.usage_estimated) for one in peers.finished] == [(outcome, False)]
        assert [one.tokens for one in peers.settled] == [charged]


async def test_a_death_leaves_behind_the_model_that_serves_and_not_the_one_that_was_asked_for() -> None:
    peers = Peers()
    admitting = admission(peers)
    async with admitting.admit(caller(), WORK, "req_1") as grant:
        grant.runs_on("m")
        assert peers.reached == []
        grant.runs_on("m-small")
        assert [(one.model, one.prompt_tokens, one.completion_tokens) for one in peers.reached] == [("m-small", 10, 0)]
        grant.generated = lambda: 5
        admitting.checkpoint()
        await grant.finish(Outcome.OK, Usage(prompt_tokens=10, completion_tokens=5))
    assert [(one.model, one.completion_tokens) for one in peers.reached[1:]] == [("m-small", 5)]
    assert [one.model for one in peers.finished] == ["m-small"]


async def test_an_answer_that_finds_no_room_elsewhere_in_its_middle_is_recorded_as_broken_off() -> None:
    """An engine counted it: without a record billing would take its gateway for dead, and charge."""
    async with broken_by(CapstanError(Reason.OVERLOADED, "the queue is full"), 7) as peers:
        assert (peers.voided, peers.held) == ([], set())
        assert [(one.outcome, one.completion_tokens) for one in peers.finished] == [(Outcome.ENGINE_ERROR, 7)]


async def test_a_request_that_finds_no_room_after_a_replica_failed_it_is_recorded_too() -> None:
    async with broken_by(
        CapstanError(Reason.OVERLOADED, "the queue is full"), counted=False, after_another=True
    ) as peers:
        assert (peers.voided, [one.outcome for one in peers.finished]) == ([], [Outcome.SERVER_ERROR])


@pytest.mark.parametrize(
    ("refuses", "told"),
    [
        (None, True),
        (CapstanError(Reason.QUOTA_EXHAUSTED, "spent", budget="organization"), True),
        (CapstanError(Reason.RATE_LIMITED, "too fast", dimension="requests_per_minute"), False),
    ],
)
async def test_a_dead_gateways_holds_are_given_back_once_the_meters_know_what_billing_posted(
    refuses: CapstanError | None, told: bool
) -> None:
    """A rate may refuse from memory, and then the meters were not told."""
    peers = Peers(recovered=(Recovered("req_dead", 40),), refuses=refuses)

    async def served() -> None:
        async with admission(peers).admit(caller(), WORK, "req_1") as grant:
            await grant.finish(Outcome.OK, Usage(prompt_tokens=1))

    await asyncio.gather(served(), return_exceptions=True)
    dead = [one for one in peers.settled if one.request_id == "req_dead"]
    assert dead == ([Settlement("req_dead", "org-1", 40)] if told else [])
    assert bool(peers.recovered) is not told


async def test_a_request_is_settled_after_the_journal_knows_how_it_ended_also_when_it_does_not() -> None:
    """Billing settles what the journal does not know to have ended: both would count it twice."""

    class Slow(Peers):
        async def finish(self, record: UsageRecord) -> None:
            assert self.settled == []
            raise CapstanError(Reason.METERING_UNAVAILABLE, "the disk is full")

    peers = Slow()
    async with admission(peers).admit(caller(), WORK, "req_1") as grant:
        await grant.finish(Outcome.OK, Usage(prompt_tokens=3))
    assert [(one.request_id, one.tokens) for one in peers.settled] == [("req_1", 3)]


@pytest.mark.parametrize(
    ("why", "outcome", "charged"),
    [
        (CLIENT_GONE, Outcome.CLIENT_CLOSED, 17),
        (UNHEARD, Outcome.SERVER_ERROR, 0),
        (None, Outcome.TRUNCATED, 17),
    ],
)
async def test_what_was_cancelled_is_charged_unless_nobody_heard_of_it(
    why: str | None, outcome: Outcome, charged: int
) -> None:
    peers = Peers()
    admitting = admission(peers)

    async def late_usage() -> tuple[Usage, bool]:
        return Usage(prompt_tokens=10, completion_tokens=7), True

    async def served() -> None:
        async with admitting.admit(caller(), WORK, "req_1") as grant:
            grant.late_usage, grant.generated = late_usage, lambda: 7
            await asyncio.Event().wait()

    serving = asyncio.ensure_future(served())
    await asyncio.sleep(0.01)
    serving.cancel(why)
    await asyncio.wait([serving])
    await admitting.closed(5)
    assert [(one.outcome, one.completion_tokens) for one in peers.finished] == [(outcome, 7)]
    assert [one.tokens for one in peers.settled] == [charged]


async def test_work_has_ended_from_the_moment_in_which_its_end_is_recorded() -> None:
    admitting = admission(Peers())
    assert not admitting.has_ended("req_1")
    async with admitting.admit(caller(), WORK, "req_1") as grant:
        assert not admitting.has_ended("req_1")
        await grant.finish(Outcome.OK, Usage(prompt_tokens=3))
        assert admitting.has_ended("req_1")


async def test_a_replica_works_while_the_disk_does_and_nothing_leaves_before_the_journal_knows() -> None:
    peers = Peers()
    peers.disk.clear()
    async with admission(peers).admit(caller(), WORK, "req_1") as grant:
        begun = asyncio.ensure_future(grant.begun())
        finishing = asyncio.ensure_future(grant.finish(Outcome.OK, Usage(prompt_tokens=3)))
        await asyncio.sleep(0.01)
        assert (begun.done(), peers.finished) == (False, [])
        peers.disk.set()
        await asyncio.gather(begun, finishing)
    assert [one.outcome for one in peers.finished] == [Outcome.OK]


async def test_while_the_journal_refuses_no_work_is_begun_and_nothing_is_recorded() -> None:
    peers = Peers()
    peers.full = peers.is_refusing = True
    admitting = admission(peers)
    with pytest.raises(CapstanError, match="the disk is full"):
        async with admitting.admit(caller(), WORK, "req_1"):
            pytest.fail("it was let in")
    await admitting.closed(5)
    assert (peers.held, peers.finished, peers.voided) == (set(), [], [])


@pytest.mark.parametrize("started", [False, True])
async def test_work_that_was_begun_when_the_journal_refused_is_free_and_on_record(started: bool) -> None:
    """Or billing would take the engine's word for a request that nobody told of, and charge it."""
    peers = Peers()
    peers.full = True
    admitting = admission(peers)

    async def served() -> None:
        async with admitting.admit(caller(), WORK, "req_1") as grant:
            grant.started = started
            await grant.begun()

    with pytest.raises(CapstanError, match="the disk is full"):
        await served()
    await admitting.closed(5)
    assert [one.outcome for one in peers.finished] == [Outcome.SERVER_ERROR] * started
    assert [(one.request_id, one.tokens) for one in peers.settled] == [("req_1", 0)]
