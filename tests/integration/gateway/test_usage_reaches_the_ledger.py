"""From the gateway's journal to the ledger: what was finished is charged once, whoever dies on the way."""

import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from chassis.clock import ManualClock
from chassis.rpc_client import connect
from chassis.testing import running
from services.billing import commands
from services.billing.app import build
from services.billing.settings import Settings
from services.gateway.journal import Journal
from services.gateway.peers.billing import Biller
from services.gateway.shipper import Shipper
from services.gateway.usage_record import Endpoint, Outcome, UsageRecord

LOG = logging.getLogger("test")
START = 1_795_000_000.25


def begun(number: int, endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS) -> UsageRecord:
    return UsageRecord.begun(
        f"req_{number:032x}",
        organization_id="org-1",
        project_id="proj_1",
        key_id="key_1",
        owner_id="user-1",
        model="capstan-demo",
        endpoint=endpoint,
        start_time=START + number,
        prompt_tokens=50,
    )


def ended(number: int, outcome: Outcome = Outcome.OK) -> UsageRecord:
    endpoint = list(Endpoint)[number % 3]
    return begun(number, endpoint).ended(
        outcome,
        finish_time=START + number + 2,
        prompt_tokens=100,
        completion_tokens=20,
        cached_prompt_tokens=40,
        reasoning_tokens=5,
    )


@pytest.fixture
def settings(postgres_dsn: str) -> Settings:
    return Settings(dsn=SecretStr(postgres_dsn))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, for sockets."""
    with tempfile.TemporaryDirectory(prefix="cap-") as path:
        yield Path(path)


@asynccontextmanager
async def billing(settings: Settings, folder: Path) -> AsyncIterator[None]:
    """Billing at the same address each time."""
    placed = settings.model_copy(update={"listen": f"unix:{folder / 'billing.sock'}"})
    async with running("billing", build, placed, clock=ManualClock(START + 10_000)):
        yield


@asynccontextmanager
async def shipping(journal: Journal, folder: Path) -> AsyncIterator[Shipper]:
    async with connect(f"unix:{folder / 'billing.sock'}") as channel:
        biller = Biller(channel, timeout_s=5, clock=ManualClock(START + 10_000))
        yield Shipper(journal, biller.ingest, clock=ManualClock(), jitter=lambda: 0.0, log=LOG)


async def test_every_finished_request_is_charged_once_though_billing_comes_and_goes(
    settings: Settings, folder: Path
) -> None:
    assert await commands.migrate(settings) == 0
    outcomes = list(Outcome)
    records = [ended(number, outcomes[number % len(outcomes)]) for number in range(60)]
    async with Journal.opened(folder / "usage.sqlite", log=LOG) as journal:
        for record in records[:30]:
            await journal.finish(record)
        async with shipping(journal, folder) as shipper:
            assert not await shipper.drained(1)  # nobody is there
            async with billing(settings, folder):
                while not await shipper.drained(5):
                    pass  # the channel has yet to notice
            for record in records[30:]:
                await journal.finish(record)
            assert not await shipper.drained(1)
    async with Journal.opened(folder / "usage.sqlite", log=LOG) as journal:
        again = [await journal.finish(record) for record in records[:5]]  # a gateway that finished them twice
        assert again == [None] * 5
        async with billing(settings, folder), shipping(journal, folder) as shipper:
            assert await shipper.drained(5)
            assert await journal.finished(100) == []

    database = await asyncpg.connect(settings.database())
    try:
        rows = await database.fetch("select * from billing.usage_events order by start_time")
    finally:
        await database.close()
    assert len(rows) == 60
    for row, record in zip(rows, records, strict=True):
        assert (row["request_id"], row["endpoint"], row["outcome"]) == (
            record.request_id,
            record.endpoint.value,
            record.outcome.value,
        )
        assert row["start_time"] == datetime.fromtimestamp(record.start_time, UTC)
        assert row["finish_time"] == datetime.fromtimestamp(record.finish_time, UTC)
        counts = ("prompt_tokens", "cached_prompt_tokens", "completion_tokens", "reasoning_tokens")
        assert [row[name] for name in counts] == [100, 40, 20, 5]
        assert not row["usage_estimated"]
        free = record.outcome in (Outcome.ENGINE_ERROR, Outcome.SERVER_ERROR)
        assert row["amount_nanousd"] == (0 if free else 60 * 150 + 40 * 75 + 20 * 600)
    assert await commands.verify(settings) == 0


async def test_what_a_dead_gateway_had_begun_is_charged_as_it_began(settings: Settings, folder: Path) -> None:
    assert await commands.migrate(settings) == 0
    async with Journal.opened(folder / "usage.sqlite", log=LOG) as journal:
        await journal.begin(begun(900))  # and never finished: leaving is all that a death does, as far as rows go
    async with (
        Journal.opened(folder / "usage.sqlite", log=LOG) as journal,
        billing(settings, folder),
        shipping(journal, folder) as shipper,
    ):
        assert journal.recovered_count == 1
        assert await shipper.drained(5)
    database = await asyncpg.connect(settings.database())
    try:
        row = await database.fetchrow("select * from billing.usage_events where request_id = $1", begun(900).request_id)
    finally:
        await database.close()
    assert row is not None
    assert (row["outcome"], row["usage_estimated"]) == ("recovered", True)
    assert (row["prompt_tokens"], row["completion_tokens"], row["amount_nanousd"]) == (50, 0, 7500)
