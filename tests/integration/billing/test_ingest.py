"""Events become rows, legs and totals exactly once, in one transaction, and a bad one holds up nobody."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call, connect
from chassis.testing import running
from services.billing import commands
from services.billing.app import build
from services.billing.settings import Settings
from tests.integration.billing.conftest import NOON, Books, usage_event

RECORDED = billing_pb2.RECEIPT_STATUS_RECORDED
DUPLICATE = billing_pb2.RECEIPT_STATUS_DUPLICATE
PARKED = billing_pb2.RECEIPT_STATUS_PARKED


async def test_an_event_is_recorded_priced_and_owed(books: Books, organization_id: str) -> None:
    event = usage_event("first", organization_id=organization_id)
    (receipt,) = await books.ingest(event)
    assert (receipt.request_id, receipt.status) == (event.request_id, RECORDED)
    assert receipt.amount_nanousd == 100 * 150 + 20 * 600
    account = await books.account(organization_id)
    assert account.receivable_nanousd == receipt.amount_nanousd
    assert (account.event_count, account.prompt_tokens, account.completion_tokens) == (1, 100, 20)
    legs = await books.database.fetch(
        "select account, amount_nanousd from billing.ledger_entries where transaction_id = $1 order by leg",
        event.request_id,
    )
    assert [tuple(leg) for leg in legs] == [("receivable", 27_000), ("revenue", -27_000)]


async def test_an_organisation_that_never_used_anything_owes_nothing(books: Books) -> None:
    assert await books.account("org-nobody") == billing_pb2.GetAccountResponse()


async def test_delivering_again_changes_nothing_and_says_so(books: Books, organization_id: str) -> None:
    event = usage_event("again", organization_id=organization_id)
    await books.ingest(event)
    other = usage_event("again", organization_id=organization_id, model="dearer")
    other.usage.completion_tokens = 999_999
    for receipt in await books.ingest(event, other):
        assert (receipt.status, receipt.amount_nanousd) == (DUPLICATE, 27_000)
    assert (await books.account(organization_id)).event_count == 1


async def test_twice_in_one_batch_is_once(books: Books, organization_id: str) -> None:
    event = usage_event("twin", organization_id=organization_id)
    receipts = await books.ingest(event, event)
    assert [receipt.status for receipt in receipts] == [RECORDED, DUPLICATE]
    assert (await books.account(organization_id)).receivable_nanousd == 27_000


async def test_of_two_accounts_of_one_request_the_first_stands(books: Books, organization_id: str) -> None:
    first = usage_event("twofold", organization_id=organization_id)
    second = usage_event("twofold", organization_id=organization_id)
    second.usage.completion_tokens = 999
    receipts = await books.ingest(first, second)
    assert [receipt.status for receipt in receipts] == [RECORDED, DUPLICATE]
    assert [receipt.amount_nanousd for receipt in receipts] == [27_000, 27_000]
    assert (await books.account(organization_id)).completion_tokens == 20


async def test_a_gateway_whose_clock_runs_ahead_is_billed_now(books: Books, organization_id: str) -> None:
    ahead = usage_event(
        "ahead",
        organization_id=organization_id,
        start_time=NOON + timedelta(days=3),
        finish_time=NOON + timedelta(days=3, seconds=9),
    )
    await books.ingest(ahead)
    times = await books.database.fetchrow(
        "select start_time, finish_time from billing.usage_events where organization_id = $1", organization_id
    )
    assert tuple(times) == (NOON, NOON)


async def test_our_faults_are_recorded_and_cost_nothing(books: Books, organization_id: str) -> None:
    faults = [
        usage_event(f"fault{outcome}", organization_id=organization_id, outcome=outcome)
        for outcome in (billing_pb2.OUTCOME_ENGINE_ERROR, billing_pb2.OUTCOME_SERVER_ERROR)
    ]
    assert [(receipt.status, receipt.amount_nanousd) for receipt in await books.ingest(*faults)] == [
        (RECORDED, 0),
        (RECORDED, 0),
    ]
    account = await books.account(organization_id)
    assert (account.event_count, account.receivable_nanousd) == (2, 0)


async def test_shuffled_and_repeated_deliveries_by_eight_writers_bill_each_once(books: Books) -> None:
    events = [
        usage_event(
            f"shuffled{number}",
            organization_id=f"org-shuffled{number % 5}",
            usage=usage_pb2.TokenUsage(prompt_tokens=number, completion_tokens=number % 7),
        )
        for number in range(300)
    ]

    async def writer(seed: int) -> list[billing_pb2.Receipt]:
        order = random.Random(seed)
        mine = order.sample(events, len(events))
        receipts = []
        while mine:
            size = order.randint(1, 60)
            batch, mine = mine[:size], mine[size:]
            receipts += await books.ingest(*batch)
        return receipts

    written = [receipt for receipts in await asyncio.gather(*map(writer, range(8))) for receipt in receipts]
    recorded = Counter(receipt.request_id for receipt in written if receipt.status == RECORDED)
    assert recorded == {event.request_id: 1 for event in events}
    assert {receipt.status for receipt in written} == {RECORDED, DUPLICATE}
    for organization in range(5):
        mine = [event for event in events if event.organization_id == f"org-shuffled{organization}"]
        account = await books.account(f"org-shuffled{organization}")
        assert account.event_count == len(mine)
        assert account.prompt_tokens == sum(event.usage.prompt_tokens for event in mine)
        assert account.receivable_nanousd == sum(
            event.usage.prompt_tokens * 150 + event.usage.completion_tokens * 600 for event in mine
        )
    assert await commands.verify(books.settings) == 0


async def test_one_bad_event_in_a_thousand_is_parked_and_the_others_are_settled(
    books: Books, organization_id: str
) -> None:
    batch = [usage_event(f"poison{number}", organization_id=organization_id) for number in range(1000)]
    batch[500].usage.prompt_tokens = -1
    receipts = await books.ingest(*batch)
    assert Counter(receipt.status for receipt in receipts) == {RECORDED: 999, PARKED: 1}
    assert receipts[500].status == PARKED
    assert "negative" in receipts[500].failure.message
    account = await books.account(organization_id)
    assert (account.event_count, account.parked_count) == (999, 1)


@pytest.mark.parametrize("name", ["request_id", "organization_id"])
async def test_an_id_of_any_length_can_be_parked(books: Books, organization_id: str, name: str) -> None:
    """No index over it may have a bound: its batch would come again for ever."""
    rare = "".join(map(chr, random.Random(1).sample(range(0x4E00, 0x9FFF), 2000)))
    endless = usage_event("endless", **{"organization_id": organization_id, name: rare})
    receipts = await books.ingest(endless, usage_event(name, organization_id=organization_id))
    assert [receipt.status for receipt in receipts] == [PARKED, RECORDED]


async def test_a_parked_event_that_comes_again_is_parked_once(books: Books, organization_id: str) -> None:
    bad = usage_event("", organization_id=organization_id, model="nul\0nul")
    for _ in range(2):
        (receipt,) = await books.ingest(bad)
        assert receipt.status == PARKED
    assert (await books.account(organization_id)).parked_count == 1


async def test_what_only_the_database_refuses_is_found_and_parked(books: Books, organization_id: str) -> None:
    """A constraint that the code does not know plays a row that cannot be foreseen."""
    await books.database.execute("alter table billing.usage_events add constraint unforeseen check (model <> 'cursed')")
    try:
        batch = [usage_event(f"cursed{number}", organization_id=organization_id) for number in range(20)]
        batch[13].model = "cursed"
        receipts = await books.ingest(*batch)
    finally:
        await books.database.execute("alter table billing.usage_events drop constraint unforeseen")
    assert [number for number, receipt in enumerate(receipts) if receipt.status == PARKED] == [13]
    assert [receipt.request_id for receipt in receipts] == [event.request_id for event in batch]
    assert (await books.account(organization_id)).event_count == 19


async def test_a_connection_killed_before_the_commit_loses_nothing_after_redelivery(
    books: Books, organization_id: str
) -> None:
    """A trigger that waits for a lock holds the transaction open at its very end; then its backend is killed."""
    await books.database.execute(
        """
        create function billing.hold() returns trigger language plpgsql as $$
        begin perform pg_advisory_xact_lock(4711); return null; end $$;
        create constraint trigger hold after insert on billing.ledger_entries
            deferrable initially deferred for each row execute function billing.hold();
        select pg_advisory_lock(4711);
        """
    )
    events = [usage_event(f"killed{number}", organization_id=organization_id) for number in range(3)]
    delivery = asyncio.ensure_future(books.ingest(*events))
    try:
        backend = None
        while backend is None:
            backend = await books.value(
                "select pid from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"
            )
        assert await books.value("select pg_terminate_backend($1)", backend)
        with pytest.raises(CapstanError) as lost:
            await delivery
        assert lost.value.reason is Reason.UNAVAILABLE
    finally:
        await books.database.execute(
            "select pg_advisory_unlock(4711); drop trigger hold on billing.ledger_entries; drop function billing.hold()"
        )
    assert (await books.account(organization_id)).event_count == 0
    assert [receipt.status for receipt in await books.ingest(*events)] == [RECORDED] * 3
    account = await books.account(organization_id)
    assert (account.event_count, account.receivable_nanousd) == (3, 81_000)


@pytest.mark.parametrize("count", [0, 1001])
async def test_an_empty_or_oversized_batch_is_refused(books: Books, count: int) -> None:
    with pytest.raises(CapstanError) as refusal:
        await books.ingest(*(usage_event(number) for number in range(count)))
    assert refusal.value.reason is Reason.INVALID_ARGUMENT
    assert refusal.value.metadata["param"] == "events"


async def test_a_database_without_our_schema_is_unavailable_and_the_service_stays(settings: Settings) -> None:
    url, _, query = settings.dsn.get_secret_value().partition("?")
    empty = Settings(dsn=SecretStr(url.rpartition("/")[0] + "/template1?" + query))
    async with running("billing", build, empty) as service, connect(service.address) as channel:
        stub = billing_pb2_grpc.BillingServiceStub(channel)
        for method, request in (
            (stub.Ingest, billing_pb2.IngestRequest(events=[usage_event()])),
            (stub.GetAccount, billing_pb2.GetAccountRequest(organization_id="org-1")),
            (stub.ListPrices, billing_pb2.ListPricesRequest()),
        ):
            with pytest.raises(CapstanError) as refusal:
                await call(method, request, timeout_s=5, peer="billing")
            assert refusal.value.reason is Reason.UNAVAILABLE


async def test_billing_starts_while_postgresql_is_away(tmp_path: Path) -> None:
    away = Settings(dsn=SecretStr(f"postgresql://nobody@/none?host={quote(str(tmp_path))}"))
    async with running("billing", build, away) as service, connect(service.address) as channel:
        stub = billing_pb2_grpc.BillingServiceStub(channel)
        with pytest.raises(CapstanError) as refusal:
            await call(stub.Ingest, billing_pb2.IngestRequest(events=[usage_event()]), timeout_s=5, peer="billing")
        assert refusal.value.reason is Reason.UNAVAILABLE
        assert refusal.value.metadata["service"] == "postgres"
