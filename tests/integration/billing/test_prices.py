"""Prices change at an instant, for what starts from then on, in every process at once, and never afterwards."""

import json
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from capstan.billing.v1 import billing_pb2
from services.billing import commands, parked_command
from services.billing.price_file import PriceFileError
from services.billing.settings import PACKAGED_PRICE_BOOK, Settings
from tests.integration.billing.conftest import NOON, Books, usage_event


def with_version(folder: Path, settings: Settings, **version: object) -> Settings:
    """The settings, with a price book that has one more version."""
    book = json.loads(PACKAGED_PRICE_BOOK.read_text())
    book["versions"].append(version)
    file = folder / "prices.json"
    file.write_text(json.dumps(book))
    return settings.model_copy(update={"price_book": file})


RATES = {"input_picousd": 1_000, "cached_input_picousd": 0, "output_picousd": 2_000}


async def test_a_price_change_divides_events_by_their_start(books: Books, tmp_path: Path, organization_id: str) -> None:
    change = NOON - timedelta(hours=1)
    before = [
        usage_event("before", organization_id=organization_id, start_time=change - timedelta(microseconds=1)),
        usage_event("late", organization_id=organization_id, start_time=change - timedelta(days=3)),
    ]
    after = [
        usage_event("at", organization_id=organization_id, start_time=change),
        usage_event("after", organization_id=organization_id, start_time=NOON),
    ]
    await books.ingest(before[0])
    dearer = with_version(tmp_path, books.settings, version=2, effective_time=change.isoformat(), prices={"*": RATES})
    assert await commands.migrate(dearer) == 0
    # What started before is charged as before, also when it arrives now; the service was not restarted.
    receipts = await books.ingest(*before, *after)
    assert [receipt.amount_nanousd for receipt in receipts] == [27_000, 27_000, 140, 140]
    assert [price.version for price in await books.prices()] == [2]
    rows = await books.database.fetch(
        "select request_id, price_version from billing.usage_events where organization_id = $1", organization_id
    )
    assert dict(rows) == {event.request_id: 1 for event in before} | {event.request_id: 2 for event in after}
    assert await commands.verify(books.settings) == 0


async def test_a_published_price_cannot_change(books: Books, tmp_path: Path) -> None:
    settings = books.settings
    await commands.migrate(
        with_version(tmp_path, settings, version=3, effective_time="2099-01-01T00:00:00Z", prices={"*": RATES})
    )
    changed = with_version(
        tmp_path,
        settings,
        version=3,
        effective_time="2099-01-01T00:00:00Z",
        prices={"*": RATES | {"output_picousd": 1}},
    )
    with pytest.raises(PriceFileError, match="version 3"):
        await commands.migrate(changed)


async def test_an_event_without_a_price_waits_for_one(books: Books, tmp_path: Path, organization_id: str) -> None:
    ancient = usage_event("ancient", organization_id=organization_id, start_time=NOON - timedelta(days=9000))
    (receipt,) = await books.ingest(ancient)
    assert receipt.status == billing_pb2.RECEIPT_STATUS_PARKED
    assert "no price" in receipt.failure.message
    assert await parked_command.done(parked_command.arguments(["retry"]), books.settings) == 1
    assert await commands.verify(books.settings) == 1

    priced = with_version(
        tmp_path, books.settings, version=4, effective_time="2001-01-01T00:00:00Z", prices={"*": RATES}
    )
    await commands.migrate(priced)
    assert await parked_command.done(parked_command.arguments(["retry"]), books.settings) == 0
    account = await books.account(organization_id)
    assert (account.event_count, account.parked_count, account.receivable_nanousd) == (1, 0, 140)
    assert await commands.verify(books.settings) == 0
    assert (await books.ingest(ancient))[0].status == billing_pb2.RECEIPT_STATUS_DUPLICATE


async def test_the_price_book_in_force_is_listed(books: Books) -> None:
    (price,) = await books.prices()
    assert price.model == "*"
    assert price.effective_time.ToDatetime() <= NOON.replace(tzinfo=None)


async def test_migrating_twice_changes_nothing(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    assert await commands.migrate(books.settings) == 0
    assert "no migration; published 0 new prices" in capsys.readouterr().out


@pytest.mark.parametrize(
    "statement",
    [
        "update billing.price_versions set output_picousd = 0",
        "delete from billing.price_versions",
        "truncate billing.usage_events",
        "update billing.usage_events set amount_nanousd = 0",
        "delete from billing.ledger_entries",
        "update billing.ledger_entries set amount_nanousd = amount_nanousd + 1",
        "delete from billing.dead_letters",
    ],
)
async def test_history_cannot_be_changed(books: Books, statement: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await books.database.execute(statement)
