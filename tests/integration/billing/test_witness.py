"""What engines counted stands in for gateways that died, is never charged twice, and is compared with the rest."""

import asyncio

import pytest

from capstan.billing.v1 import billing_pb2
from capstan.usage.v1 import usage_pb2
from chassis.errors import CapstanError, Reason
from services.billing import commands
from services.billing.settings import Settings
from tests.integration.billing.conftest import Books, usage_event
from tests.integration.billing.witnesses import begun, counted, outcome, told

RECORDED = billing_pb2.RECEIPT_STATUS_RECORDED
DUPLICATE = billing_pb2.RECEIPT_STATUS_DUPLICATE


async def after_the_grace(books: Books, settings: Settings) -> None:
    await books.clock.advance(settings.recovery_grace_s + 1)
    await books.clock.advance(settings.reconcile_interval_s + 1)


async def settled(books: Books, settings: Settings, organization_id: str) -> list[tuple[str, int, int]]:
    """Let the grace pass and wait until the reconciler has looked."""
    await after_the_grace(books, settings)
    async with asyncio.timeout(30):
        while not (found := await outcome(books, organization_id)):
            await asyncio.sleep(0.01)
            await books.clock.advance(settings.reconcile_interval_s)
    return found


async def test_a_gateway_that_never_comes_back_is_stood_in_for(
    books: Books, settings: Settings, organization_id: str
) -> None:
    event = begun("orphan", organization_id)
    assert await told(books, counted(event)) == 0
    assert await outcome(books, organization_id) == []
    assert await settled(books, settings, organization_id) == [("recovered", 100, 20)]
    assert (await books.account(organization_id)).receivable_nanousd == 27_000
    # And when it comes back after all, its own word changes nothing.
    (receipt,) = await books.ingest(event)
    assert (receipt.status, receipt.amount_nanousd) == (DUPLICATE, 27_000)
    assert await commands.verify(settings) == 0


async def test_the_engines_count_wins_over_a_dead_gateways_checkpoint(books: Books, organization_id: str) -> None:
    event = begun("checkpoint", organization_id)
    await told(books, counted(event))
    (receipt,) = await books.ingest(event)
    assert (receipt.status, receipt.amount_nanousd) == (RECORDED, 27_000)
    row = await books.database.fetchrow(
        "select outcome, usage_estimated from billing.usage_events where request_id = $1", event.request_id
    )
    assert tuple(row) == ("recovered", False)


async def test_what_a_living_gateway_said_stands(books: Books, settings: Settings, organization_id: str) -> None:
    event = usage_event("alive", organization_id=organization_id)
    await told(books, counted(event))
    await told(books, counted(event), replica="replica-2")
    (receipt,) = await books.ingest(event)
    assert receipt.status == RECORDED
    await after_the_grace(books, settings)
    assert await outcome(books, organization_id) == [("ok", 100, 20)]


async def test_parts_are_added_and_of_attempts_the_winner_counts(
    books: Books, settings: Settings, organization_id: str
) -> None:
    event = begun("parts", organization_id)
    none = usage_pb2.TokenUsage(prompt_tokens=100)
    await told(books, counted(event, "-0", usage=none), counted(event, "-1", usage=none, failed=True), replica="first")
    await told(books, counted(event, "-0"), counted(event, "-1"), replica="second")
    assert await settled(books, settings, organization_id) == [("recovered", 200, 40)]


async def test_a_failure_of_the_engine_is_free(books: Books, settings: Settings, organization_id: str) -> None:
    await told(books, counted(begun("failed", organization_id), failed=True))
    assert [row[0] for row in await settled(books, settings, organization_id)] == ["engine_error"]
    assert (await books.account(organization_id)).receivable_nanousd == 0


async def test_what_cannot_be_read_is_left_out_and_said(books: Books, organization_id: str) -> None:
    event = begun("unreadable", organization_id)
    strange = usage_pb2.TokenUsage(prompt_tokens=1, cached_prompt_tokens=2)
    broken = [
        counted(event, admission=b"\xff"),
        counted(event, usage=strange),
        counted(event, part_id=""),
        counted(event, finish_time=None),
    ]
    assert await told(books, *broken[:3], counted(event)) == 3
    with pytest.raises(CapstanError) as refused:
        await told(books)
    assert refused.value.reason is Reason.INVALID_ARGUMENT
