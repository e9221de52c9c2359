"""What was set aside for a person holds up nobody and is settled by nobody else, and no look is too long."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from capstan.billing.v1 import billing_pb2
from capstan.usage.v1 import usage_pb2
from chassis.postgres import pool
from chassis.tenancy import Tenancy
from services.billing import parked_command, reconciler
from services.billing.metrics import Metrics
from services.billing.reconciler import Reconciler
from services.billing.settings import Settings
from services.billing.store import Store
from services.billing.witness_store import WitnessStore
from tests.integration.billing.conftest import NOON, Books, usage_event
from tests.integration.billing.witnesses import begun, counted, outcome, told

PARKED = billing_pb2.RECEIPT_STATUS_PARKED
AFTER_THE_GRACE = NOON + timedelta(minutes=16)
RATES = {"input_picousd": 150_000, "cached_input_picousd": 75_000, "output_picousd": 600_000}
UNPRICED = "never-priced"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """The price of one model and of no other: whichever else is used is parked."""
    version = {"version": 1, "effective_time": "2020-01-01T00:00:00Z", "prices": {"capstan-demo": RATES}}
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"versions": [version]}))
    return settings.model_copy(update={"price_book": file})


async def price(books: Books, model: str) -> None:
    """Publish a price of one more model."""
    await books.database.execute(
        """with latest as (
            select * from billing.price_versions
            where version = (select max(version) from billing.price_versions)
        )
        insert into billing.price_versions
            (version, model, effective_time, input_picousd, cached_input_picousd, output_picousd)
        select version + 1, names.model, effective_time, input_picousd, cached_input_picousd, output_picousd
        from latest cross join lateral (
            select latest.model union select $1 where latest.model = 'capstan-demo'
        ) as names(model)""",
        model,
    )


class Looking:
    """A reconciler whose time is the test's own."""

    def __init__(self, tenancy: Tenancy) -> None:
        self.now = AFTER_THE_GRACE
        self.metrics = Metrics(CollectorRegistry())
        self._reconciler = Reconciler(
            WitnessStore(tenancy),
            Store(tenancy, lambda: self.now),
            grace=timedelta(minutes=15),
            interval_s=30,
            now=lambda: self.now,
            metrics=self.metrics,
            log=logging.getLogger("test"),
        )

    async def look(self) -> None:
        """Look once, half a minute after the last time."""
        self.now += timedelta(seconds=30)
        await self._reconciler.look()


@pytest.fixture
async def looking(books: Books) -> AsyncIterator[Looking]:
    async with pool(books.settings.database(), application_name="reconciler") as connections:
        yield Looking(Tenancy(connections, "billing"))


async def operator(books: Books, *argv: str) -> int:
    """Do what an operator would."""
    return await parked_command.done(parked_command.arguments(argv), books.settings)


async def dismiss_all(books: Books, organization_id: str) -> int:
    """Dismiss what is parked of an organisation; answer how many there were."""
    rows = await books.database.fetch(
        "select digest from billing.dead_letters where organization_id = $1 and resolved_time is null", organization_id
    )
    for row in rows:
        assert await operator(books, "dismiss", row["digest"].hex(), "nobody shall be charged for it") == 0
    return len(rows)


async def owed(books: Books, organization_id: str) -> int:
    return (await books.account(organization_id)).receivable_nanousd


async def test_what_cannot_be_settled_holds_up_nothing_behind_it(
    books: Books, looking: Looking, organization_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "BATCH", 3)
    nameless = [counted(begun(f"a{number}", organization_id, model=UNPRICED)) for number in range(7)]
    await told(books, *nameless, counted(begun("b", organization_id)))
    await looking.look()
    assert await outcome(books, organization_id) == [("recovered", 100, 20)]
    assert (await books.account(organization_id)).parked_count == 7
    # And what comes later is looked at as well.
    await books.clock.advance(120)
    await told(books, counted(begun("c", organization_id)))
    looking.now += timedelta(minutes=16)
    await looking.look()
    assert await outcome(books, organization_id) == [("recovered", 100, 20)] * 2
    await dismiss_all(books, organization_id)


@pytest.mark.parametrize("stretch", [1, 2, 5, 100])
async def test_a_long_time_is_looked_at_in_stretches_and_each_request_once(
    books: Books, looking: Looking, organization_id: str, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    """Of two parts that are told of at different times, of several that are told of at once."""
    monkeypatch.setattr(reconciler, "STRETCH", stretch)
    names = [f"{organization_id}{number}" for number in range(6)]
    for name in names[:3]:
        await told(books, counted(begun(name, organization_id), "-0"))
        await books.clock.advance(0.1)
    await told(books, *(counted(begun(name, organization_id), "-1") for name in names[:3]))
    await books.clock.advance(0.1)
    await told(books, *(counted(begun(name, organization_id)) for name in names[3:]))
    await looking.look()
    assert sorted(await outcome(books, organization_id)) == [("recovered", 100, 20)] * 3 + [("recovered", 200, 40)] * 3
    assert looking.metrics.drift._value.get() == 0
    assert looking.metrics.recovered._value.get() >= 6


async def test_tokens_that_differ_are_told_of_although_something_is_parked(
    books: Books, looking: Looking, organization_id: str
) -> None:
    await told(books, counted(begun("parked", organization_id, model=UNPRICED)))
    more = usage_pb2.TokenUsage(prompt_tokens=100, completion_tokens=2_000_000)
    await told(books, counted(begun("apart", organization_id), usage=more))
    await books.ingest(usage_event("apart", organization_id=organization_id))
    await looking.look()
    assert looking.metrics.drift._value.get() > 0.9
    await dismiss_all(books, organization_id)


async def test_what_was_dismissed_is_charged_by_nobody_in_no_words(
    books: Books, looking: Looking, organization_id: str
) -> None:
    """Neither the engine's count nor another word of the gateway makes an event of it, with a price or without."""
    nonsense = usage_event(
        "1", organization_id=organization_id, usage=usage_pb2.TokenUsage(prompt_tokens=1, cached_prompt_tokens=2)
    )
    model = "priced-much-later"
    unpriced = usage_event("2", organization_id=organization_id, model=model)
    await told(books, counted(begun("1", organization_id)), counted(begun("2", organization_id, model=model)))
    assert [receipt.status for receipt in await books.ingest(nonsense, unpriced)] == [PARKED, PARKED]
    assert await dismiss_all(books, organization_id) == 2
    await looking.look()
    await price(books, model)
    await looking.look()
    again = await books.ingest(
        usage_event("1", organization_id=organization_id),
        begun("2", organization_id, model=model),
        unpriced,
    )
    assert [receipt.status for receipt in again] == [PARKED] * 3
    await operator(books, "retry")
    assert await owed(books, organization_id) == 0
    assert (await books.account(organization_id)).parked_count == 0


async def test_what_is_recorded_after_all_waits_for_nobody_any_more(
    books: Books, looking: Looking, organization_id: str
) -> None:
    """Its letter could be dismissed else, and the customer is charged."""
    model = "priced-in-between"
    event = usage_event("back", organization_id=organization_id, model=model)
    await told(books, counted(begun("back", organization_id, model=model)))
    await looking.look()
    assert (await books.account(organization_id)).parked_count == 1
    await price(books, model)
    assert [receipt.status for receipt in await books.ingest(event)] == [billing_pb2.RECEIPT_STATUS_RECORDED]
    assert (await books.account(organization_id)).parked_count == 0
    assert await outcome(books, organization_id) == [("ok", 100, 20)]


async def test_dismissing_one_word_of_a_request_closes_all_that_was_told_of_it(
    books: Books, organization_id: str
) -> None:
    wrong = usage_pb2.TokenUsage(prompt_tokens=1, cached_prompt_tokens=2)
    for outcome_told in (billing_pb2.OUTCOME_OK, billing_pb2.OUTCOME_TRUNCATED):
        await books.ingest(usage_event("3", organization_id=organization_id, usage=wrong, outcome=outcome_told))
    nameless = [usage_event("4", organization_id=organization_id, request_id="", model=name) for name in "ab"]
    await books.ingest(*nameless)
    assert (await books.account(organization_id)).parked_count == 4
    row = await books.database.fetchrow(
        "select digest from billing.dead_letters where organization_id = $1 and request_id <> '' limit 1",
        organization_id,
    )
    assert row is not None
    await operator(books, "dismiss", row["digest"].hex(), "made no sense")
    assert (await books.account(organization_id)).parked_count == 2
    # What names no request says nothing of any other that names none.
    row = await books.database.fetchrow(
        "select digest from billing.dead_letters where organization_id = $1 and resolved_time is null", organization_id
    )
    assert row is not None
    await operator(books, "dismiss", row["digest"].hex(), "names nothing")
    await books.ingest(usage_event("5", organization_id=organization_id, request_id="", model="c"))
    assert (await books.account(organization_id)).parked_count == 2


async def test_the_gateways_word_that_waits_for_a_price_stands_before_the_engines(
    books: Books, looking: Looking, organization_id: str
) -> None:
    """It was our fault, which is free, and only the gateway knows."""
    model = "priced-late"
    event = usage_event("free", organization_id=organization_id, model=model, outcome=billing_pb2.OUTCOME_ENGINE_ERROR)
    dead = begun("dead", organization_id, model=model)
    late = usage_event("dead", organization_id=organization_id, model=model, outcome=billing_pb2.OUTCOME_SERVER_ERROR)
    await told(books, counted(begun("free", organization_id, model=model)), counted(dead))
    assert [receipt.status for receipt in await books.ingest(event)] == [PARKED]
    await looking.look()
    # This gateway comes back after the engine's word was parked too.
    assert [receipt.status for receipt in await books.ingest(late)] == [PARKED]
    await price(books, model)
    await looking.look()
    assert await outcome(books, organization_id) == []
    await operator(books, "retry")
    assert sorted(await outcome(books, organization_id)) == [("engine_error", 100, 20), ("server_error", 100, 20)]
    assert (await owed(books, organization_id), (await books.account(organization_id)).parked_count) == (0, 0)


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)], ids=["ahead", "behind"])
async def test_what_was_parked_is_recorded_by_billings_clock_like_what_was_not(
    books: Books, organization_id: str, ahead: timedelta
) -> None:
    model = f"priced-later{ahead.days}"
    month = NOON.replace(day=1, hour=0)
    begins = month + timedelta(minutes=5) if ahead < timedelta() else month - timedelta(minutes=5)
    times: dict[str, datetime] = {"start_time": begins + ahead, "finish_time": begins + ahead}
    parked = usage_event(f"parked{ahead}", organization_id=organization_id, model=model, **times)
    direct = usage_event(f"direct{ahead}", organization_id=organization_id, **times)
    request = billing_pb2.IngestRequest(events=[parked, direct], sent_time=NOON + ahead)
    statuses = [receipt.status for receipt in (await books.stub.Ingest(request)).receipts]
    assert statuses == [PARKED, billing_pb2.RECEIPT_STATUS_RECORDED]
    await price(books, model)
    await operator(books, "retry")
    rows = await books.database.fetch(
        "select period, event_count from billing.spending where organization_id = $1 and project_id = ''",
        organization_id,
    )
    assert [tuple(row) for row in rows] == [(begins.strftime("%Y-%m"), 2)]
