"""A billing service on a migrated database of the module's own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from pydantic import SecretStr

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc, budgets_pb2, budgets_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.clock import ManualClock
from chassis.postgres import pool
from chassis.rpc_client import call, connect
from chassis.tenancy import Tenancy
from chassis.testing import running
from services.billing import commands
from services.billing.app import build
from services.billing.evidence import Evidence
from services.billing.finding import Finding
from services.billing.settings import Settings
from services.billing.verify import check

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def usage_event(number: int | str = 1, **changes: Any) -> billing_pb2.UsageEvent:
    """A chat request of 100 + 20 tokens: 27,000 nano-dollars at the packaged prices."""
    fields: dict[str, Any] = {
        "request_id": f"req_{number:>032}",
        "organization_id": "org-1",
        "project_id": "proj_1",
        "key_id": "key_1",
        "owner_id": "user-1",
        "model": "capstan-demo",
        "endpoint": billing_pb2.ENDPOINT_CHAT_COMPLETIONS,
        "outcome": billing_pb2.OUTCOME_OK,
        "usage": usage_pb2.TokenUsage(prompt_tokens=100, completion_tokens=20),
        "start_time": NOON,
        "finish_time": NOON,
    }
    return billing_pb2.UsageEvent(**(fields | changes))


@dataclass
class Books:
    """A client of the service, and a look behind it."""

    stub: billing_pb2_grpc.BillingServiceStub
    database: asyncpg.Connection
    settings: Settings
    clock: ManualClock
    channel: grpc.aio.Channel

    async def ingest(self, *events: billing_pb2.UsageEvent) -> list[billing_pb2.Receipt]:
        request = billing_pb2.IngestRequest(events=events)
        response = await call(self.stub.Ingest, request, timeout_s=20, peer="billing")
        return list(response.receipts)

    async def account(self, organization_id: str) -> billing_pb2.GetAccountResponse:
        request = billing_pb2.GetAccountRequest(organization_id=organization_id)
        response: billing_pb2.GetAccountResponse = await call(
            self.stub.GetAccount, request, timeout_s=5, peer="billing"
        )
        return response

    async def prices(self) -> list[billing_pb2.Price]:
        response = await call(self.stub.ListPrices, billing_pb2.ListPricesRequest(), timeout_s=5, peer="billing")
        return list(response.prices)

    async def value(self, question: str, *args: object) -> Any:
        return await self.database.fetchval(question, *args)


async def ask(books: Books, name: str, **fields: Any) -> Any:
    """Ask the service of budgets."""
    stub = budgets_pb2_grpc.BudgetServiceStub(books.channel)
    request = getattr(budgets_pb2, f"{name}Request")(**fields)
    return await call(getattr(stub, name), request, timeout_s=5, peer="billing")


@pytest.fixture
def settings(postgres_dsn: str) -> Settings:
    return Settings(dsn=SecretStr(postgres_dsn))


@pytest.fixture
def organization_id(request: pytest.FixtureRequest) -> str:
    """An organisation of the test's own, since tests of a module share a database."""
    return "org-" + request.node.name


@pytest.fixture
async def books(settings: Settings) -> AsyncIterator[Books]:
    assert await commands.migrate(settings) == 0
    clock = ManualClock(NOON.timestamp())
    database = await asyncpg.connect(settings.database())
    try:
        async with (
            running("billing", build, settings, clock=clock) as service,
            connect(service.address) as channel,
        ):
            yield Books(billing_pb2_grpc.BillingServiceStub(channel), database, settings, clock, channel)
        assert await violated(settings) == []
    finally:
        await database.close()


async def violated(settings: Settings) -> list[Finding]:
    """Check the books. What tests park is parked on purpose, nobody is here who refuses what is over a limit, and what
    engines told is not waited for.
    """
    async with pool(settings.database(), application_name="test", max_size=1) as connections:
        findings = await check(Tenancy(connections, "billing"), NOON - timedelta(days=3650), Evidence())
    return [finding for finding in findings if finding.holds is False and finding.invariant not in ("I9", "I12")]
