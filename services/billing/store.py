"""The ledger in PostgreSQL: a batch of deliveries is one transaction, and what came before stays as it was."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from chassis.errors import unavailable
from chassis.postgres import Connection
from chassis.tenancy import Tenancy
from services.billing import reaches, sql
from services.billing.events import Delivery, Outcome, UsageEvent, with_believable_times
from services.billing.ledger import legs
from services.billing.price_store import PublishedPrices
from services.billing.pricing import FREE, FREE_OF_CHARGE, NoPriceError, Price, PriceBook, amount_nanousd
from services.billing.witness import recovered
from services.billing.witness_store import counted

MOST_NANOUSD = 2**62
"""Where one event's amount stops being believable: 4.6 billion USD."""

_POISON: tuple[type[Exception], ...] = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    OverflowError,
)
"""What the database, or asyncpg on the way there, says of a row that it cannot take."""


class Status(enum.Enum):
    """What became of a delivery."""

    RECORDED = enum.auto()
    DUPLICATE = enum.auto()
    PARKED = enum.auto()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one delivery."""

    request_id: str
    status: Status
    amount_nanousd: int = 0
    reason: str = ""
    """Why it was parked."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: what arrived and could not be recorded."""

    digest: bytes
    organization_id: str
    """As it arrived, like the next one: nothing in it can be trusted."""
    request_id: str
    reason: str
    parked_time: datetime
    payload: bytes
    ahead: timedelta
    """How far the clock of its times is ahead of ours."""


FIRST = (datetime.fromtimestamp(0, UTC), b"")
"""Before all of them."""

RECORDED = "recorded"
DISMISSED = "dismissed: "
"""Resolutions of dead letters: how they were closed. After the second comes the reason."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What an organisation owes in all."""

    receivable_nanousd: int
    event_count: int
    prompt_tokens: int
    completion_tokens: int
    parked_count: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """An event with its price: a row to be."""

    event: UsageEvent
    price: Price
    amount_nanousd: int


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: str


@dataclass(frozen=True, slots=True)
class _Aside:
    """A dead letter that waits for a person, or was dismissed by one."""

    digest: bytes
    dismissed: bool


class Store:
    """Records events and answers questions about them. Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED)."""

    def __init__(self, tenancy: Tenancy, now: Callable[[], datetime]) -> None:
        self._tenancy = tenancy
        self._now = now
        self._prices = PublishedPrices()

    async def ingest(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        """Record what is new and park what cannot be recorded; committed when this returns. Answers in order.

        A row that only the database can tell to be impossible fails its whole transaction, so the batch is halved until
        that one stands alone.
        """
        try:
            return await self._tenancy.retried(
                "", reaches.INGEST, lambda connection: self._ingest(connection, deliveries)
            )
        except _POISON as error:
            if len(deliveries) > 1:
                middle = len(deliveries) // 2
                return [*await self.ingest(deliveries[:middle]), *await self.ingest(deliveries[middle:])]
            reason = f"refused by the database: {type(error).__name__}"
            await self._tenancy.retried(
                "", reaches.INGEST, lambda connection: _park(connection, [(deliveries[0], reason)], self._now())
            )
            return [Receipt(deliveries[0].request_id, Status.PARKED, reason=reason)]

    async def balance(self, organization_id: str) -> Balance:
        """Answer what an organisation owes; nothing for one that never used anything."""
        async with self._tenancy.entered(organization_id) as borrowed:
            row = await borrowed.fetchrow(sql.ACCOUNT, organization_id)
        return Balance(*(row or ()))

    async def prices(self) -> list[Price]:
        """Answer the prices in force now, by model."""
        async with self._tenancy.entered("") as borrowed:
            book = await self._prices.read(borrowed)
        return book.in_force(self._now())

    async def parked_count(self) -> int:
        """Count what waits for a person."""
        async with self._tenancy.entered("", reaches.PARKED) as borrowed:
            count: int = await borrowed.fetchval(sql.PARKED_COUNT)
        return count

    async def parked(self, after: tuple[datetime, bytes], limit: int) -> list[Letter]:
        """Read open dead letters beyond the time and digest `after`, the oldest first."""
        async with self._tenancy.entered("", reaches.PARKED) as borrowed:
            return [Letter(**row) for row in await borrowed.fetch(sql.PARKED, *after, limit)]

    async def parked_like(self, digits: str) -> list[bytes]:
        """Find the digests of open dead letters that begin with these hexadecimal digits, two at the most."""
        async with self._tenancy.entered("", reaches.PARKED) as borrowed:
            return [row["digest"] for row in await borrowed.fetch(sql.PARKED_LIKE, digits)]

    async def resolve(self, digests: Sequence[bytes], resolution: str) -> None:
        """Close dead letters, and say how."""
        async with self._tenancy.entered("", reaches.PARKED) as borrowed:
            await borrowed.execute(sql.RESOLVE, list(digests), resolution)

    async def _ingest(self, connection: Connection, deliveries: Sequence[Delivery]) -> list[Receipt]:
        book = await self._prices.read(connection)
        if not book:
            raise unavailable("postgres", "no prices are published: run `python -m services.billing migrate`")
        received = self._now()
        aside = await _set_aside(connection, deliveries)
        judged = [
            _Refusal("a person has dismissed this request")
            if any(letter.dismissed for letter in aside.get(delivery.request_id, ()))
            else _judge(delivery, book, received)
            for delivery in await _with_second_witness(connection, deliveries)
        ]
        entries: dict[str, _Entry] = {}
        for entry in judged:
            if isinstance(entry, _Entry):
                entries.setdefault(entry.event.request_id, entry)
        fresh = await _record(connection, list(entries.values()))
        amounts = await _amounts(connection, [name for name in entries if name not in fresh])
        amounts |= {name: entries[name].amount_nanousd for name in fresh}
        # What waited for a person under another word waits no more.
        if waited := [letter.digest for name in entries for letter in aside.get(name, ())]:
            await connection.execute(sql.RESOLVE, waited, RECORDED)
        refused = list(zip(deliveries, judged, strict=True))
        parked = [(delivery, how.reason) for delivery, how in refused if isinstance(how, _Refusal)]
        await _park(connection, parked, received)
        return _receipts(deliveries, judged, fresh, amounts)


async def _with_second_witness(connection: Connection, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
    """Take the engine's count for what a dead gateway could only estimate, where it is known."""
    estimated = [
        delivery.request_id
        for delivery in deliveries
        if delivery.event and delivery.event.outcome is Outcome.RECOVERED and delivery.event.usage_estimated
    ]
    if not estimated:
        return deliveries
    known = await counted(connection, estimated)
    return [
        dataclasses.replace(delivery, event=recovered(delivery.event, known[delivery.request_id]))
        if delivery.event is not None and delivery.event.usage_estimated and delivery.request_id in known
        else delivery
        for delivery in deliveries
    ]


async def _set_aside(connection: Connection, deliveries: Sequence[Delivery]) -> dict[str, list[_Aside]]:
    """Answer what was set aside of these requests, by the request's id."""
    told = [_storable(delivery.request_id) for delivery in deliveries]
    found: dict[str, list[_Aside]] = {}
    for row in await connection.fetch(sql.SET_ASIDE, told):
        found.setdefault(row["request_id"], []).append(_Aside(row["digest"], row["dismissed"]))
    return found


def _judge(delivery: Delivery, book: PriceBook, received: datetime) -> _Entry | _Refusal:
    if delivery.event is None:
        return _Refusal(delivery.fault)
    event = with_believable_times(delivery.event, received)
    try:
        free = event.endpoint in FREE
        price = FREE_OF_CHARGE if free else book.at(event.model, event.start_time, event.price_version)
    except NoPriceError as error:
        return _Refusal(str(error))
    amount = amount_nanousd(price, event)
    if amount > MOST_NANOUSD:
        return _Refusal("the amount is impossibly large")
    return _Entry(event, price, amount)


def _receipts(
    deliveries: Sequence[Delivery],
    judged: Sequence[_Entry | _Refusal],
    fresh: set[str],
    amounts: dict[str, int],
) -> list[Receipt]:
    """Answer each delivery; of several with one id in a batch, the first is the one that was recorded."""
    unclaimed = set(fresh)
    receipts = []
    for delivery, how in zip(deliveries, judged, strict=True):
        name = delivery.request_id
        if isinstance(how, _Refusal):
            receipts.append(Receipt(name, Status.PARKED, reason=how.reason))
            continue
        status = Status.RECORDED if name in unclaimed else Status.DUPLICATE
        unclaimed.discard(name)
        receipts.append(Receipt(name, status, amounts[name]))
    return receipts


async def _record(connection: Connection, entries: Sequence[_Entry]) -> set[str]:
    """Insert the events that are new, with all that follows from them; answer their ids."""
    if not entries:
        return set()
    rows = [
        (
            e.event.request_id,
            e.event.organization_id,
            e.event.project_id,
            e.event.key_id,
            e.event.owner_id,
            e.event.model,
            e.event.endpoint.value,
            e.event.outcome.value,
            e.event.start_time,
            e.event.finish_time,
            e.event.prompt_tokens,
            e.event.cached_prompt_tokens,
            e.event.completion_tokens,
            e.event.reasoning_tokens,
            e.event.usage_estimated,
            e.price.version,
            e.price.model,
            e.amount_nanousd,
            e.event.batch,
            e.event.service_tier,
        )
        for e in entries
    ]
    entered = [leg for e in entries for leg in legs(e.event.request_id, e.event.organization_id, e.amount_nanousd)]
    leg_columns = (
        [leg.transaction_id for leg in entered],
        [leg.leg for leg in entered],
        [leg.organization_id for leg in entered],
        [leg.account.value for leg in entered],
        [leg.amount_nanousd for leg in entered],
    )
    fresh = await connection.fetch(sql.RECORD, *map(list, zip(*rows, strict=True)), *leg_columns)
    return {row["request_id"] for row in fresh}


async def _amounts(connection: Connection, request_ids: list[str]) -> dict[str, int]:
    if not request_ids:
        return {}
    return {row["request_id"]: row["amount_nanousd"] for row in await connection.fetch(sql.AMOUNTS, request_ids)}


async def _park(connection: Connection, parked: Sequence[tuple[Delivery, str]], now: datetime) -> None:
    if not parked:
        return
    await connection.execute(
        sql.PARK,
        [delivery.digest for delivery, _ in parked],
        [_storable(delivery.organization_id) for delivery, _ in parked],
        [_storable(delivery.request_id) for delivery, _ in parked],
        [_storable(reason) for _, reason in parked],
        [delivery.payload for delivery, _ in parked],
        [delivery.ahead for delivery, _ in parked],
        now,
    )


def _storable(text: str) -> str:
    """Make text fit for a column; the payload beside it has the original."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:1024]
