"""In whatever order, and however often, gateways, engines and people tell billing, the books are sound afterwards."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from capstan.billing.v1 import (
    billing_pb2,
    budgets_pb2,
    budgets_pb2_grpc,
    invoices_pb2,
    invoices_pb2_grpc,
    witness_pb2,
    witness_pb2_grpc,
)
from capstan.usage.v1 import usage_pb2
from chassis.rpc_client import call
from services.billing import commands
from tests.integration.billing.conftest import NOON, Books, usage_event

REQUESTS = 60


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_of_everything_leaves_sound_books(books: Books, seed: int) -> None:
    drawn = random.Random(seed)
    steps: list[Any] = []
    wanted: dict[str, tuple[int, int]] = {}
    for number in range(REQUESTS):
        steps += _request(books, drawn, f"s{seed}n{number}", wanted)
    organization = f"org-mixed{seed}"
    budget, invoices = (
        budgets_pb2_grpc.BudgetServiceStub(books.channel),
        invoices_pb2_grpc.InvoiceServiceStub(books.channel),
    )
    for number in range(6):
        grant = budgets_pb2.GrantCreditRequest(
            grant_id=f"g{seed}{number % 3}", organization_id=organization, amount_nanousd=5
        )
        change = invoices_pb2.InvoiceCorrection(
            correction_id=f"c{seed}{number % 3}", refers_to="req_1", reason="kindness", amount_nanousd=-3
        )
        steps.append(lambda grant=grant: _told(budget.GrantCredit, grant))
        request = invoices_pb2.EnterCorrectionRequest(organization_id=organization, correction=change)
        steps.append(lambda request=request: _told(invoices.EnterCorrection, request))
        october = invoices_pb2.IssueInvoiceRequest(organization_id=organization, period_id="2026-10")
        steps.append(lambda october=october: _told(invoices.IssueInvoice, october))
    drawn.shuffle(steps)
    for start in range(0, len(steps), 8):
        await asyncio.gather(*(step() for step in steps[start : start + 8]))
    await books.clock.advance(books.settings.recovery_grace_s + 1)
    for _ in range(300):
        await books.clock.advance(books.settings.reconcile_interval_s)
        rows = await books.database.fetch(
            "select request_id, prompt_tokens, completion_tokens from billing.usage_events where request_id = any($1)",
            list(wanted),
        )
        if len(rows) == len(wanted):
            break
    assert {row[0]: (row[1], row[2]) for row in rows} == wanted
    everything = books.settings.model_copy(update={"recovery_grace_s": -(10.0**9)})
    assert await commands.verify(everything) == 0


async def _told(method: Any, request: Any) -> None:
    await call(method, request, timeout_s=20, peer="billing")


def _request(books: Books, drawn: random.Random, name: str, wanted: dict[str, tuple[int, int]]) -> list[Any]:
    """What is told of one request: by a gateway that lived, by one that died, or only by the engine; once to thrice."""
    prompt, completion = drawn.randrange(1, 500), drawn.randrange(100)
    usage = usage_pb2.TokenUsage(prompt_tokens=prompt, completion_tokens=completion)
    start = NOON - timedelta(seconds=drawn.randrange(40 * 86400))
    fields: dict[str, Any] = {
        "organization_id": f"org-mixed{name[1]}",
        "project_id": f"proj_{drawn.randrange(3)}",
        "start_time": start,
        "finish_time": start,
    }
    begun = usage_event(
        name,
        outcome=billing_pb2.OUTCOME_RECOVERED,
        usage_estimated=True,
        usage=usage_pb2.TokenUsage(prompt_tokens=1),
        **fields,
    )
    ended = usage_event(name, usage=usage, **fields)
    counted = witness_pb2.EngineUsage(
        part_id=begun.request_id, admission=begun.SerializeToString(), usage=usage, finish_time=start
    )
    witness = witness_pb2_grpc.WitnessServiceStub(books.channel)
    report = witness_pb2.ReportEngineUsageRequest(replica_id="replica-1", usages=[counted])

    async def by_engine() -> None:
        await _told(witness.ReportEngineUsage, report)

    async def by_gateway() -> None:
        await books.ingest(ended)

    async def by_a_gateway_that_died() -> None:
        await by_engine()  # it takes longer to come back than the engine to tell
        await books.ingest(begun)

    kind = drawn.choice([by_gateway, by_a_gateway_that_died, by_engine])
    wanted[begun.request_id] = (prompt, completion)
    return [kind] * drawn.randint(1, 3) + [by_engine] * drawn.randint(0, 2)
