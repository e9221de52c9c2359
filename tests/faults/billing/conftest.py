"""One suite of real processes for all faults of metering, with the simulator for an engine and short patience."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from capstan.billing.v1 import budgets_pb2, budgets_pb2_grpc, invoices_pb2, invoices_pb2_grpc
from chassis.rpc_client import call, connect
from tests.contract.suite import Suite, until
from tests.faults.billing.driver import Driver, Seen
from tests.stack import running_stack

LONG = bool(os.environ.get("CAPSTAN_LONG_FAULTS"))
SEEDS = [20261123 + number for number in range(5 if LONG else 1)]
"""Of what clients ask for. A failure replays with its test's name, which has the seed."""

TOKENS_PER_S = 40
GRACE_S = 180.0 if LONG else 60.0
"""Longer than billing is away in any test and the shipper then waits: what is only late must not be recovered."""
SETTINGS = {
    "CAPSTAN_INFERENCE_SIM_TOKENS_PER_S": str(TOKENS_PER_S),
    "CAPSTAN_INFERENCE_SIM_TTFT_S": "0.01",
    "CAPSTAN_INFERENCE_SIM_ANSWER_TOKENS": "1000000",
    "CAPSTAN_BILLING_RECOVERY_GRACE_S": str(GRACE_S),
    "CAPSTAN_BILLING_RECONCILE_INTERVAL_S": "0.5",
    # A busy machine is no fault of ratelimit's.
    "CAPSTAN_GATEWAY_RATELIMIT_TIMEOUT_S": "5",
    "CAPSTAN_RATELIMIT_VALKEY_TIMEOUT_S": "2",
    "CAPSTAN_GATEWAY_BUDGET_TIMEOUT_S": "5",
}


@pytest.fixture(scope="package")
def metered(store_folder: Path) -> Iterator[Books]:
    """The suite, with a look into its books."""
    with running_stack(store_folder / "faults", engine="simulator", durable=True, environment=SETTINGS) as stack:
        books = Books(Suite(stack))
        yield books
        books.verify()


class Books:
    """The running suite, and what must be true of its books."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.driver = Driver(suite.stack.base_url, suite.stack.api_key, suite.stack.model, suite.told)

    @property
    def organization_id(self) -> str:
        """Whose key it is."""
        return self.suite.get("/v1/models").headers["openai-organization"]

    def outcomes(self, seen: list[Seen]) -> dict[str, tuple[str, int, int]]:
        """Look up events by request id: outcome, prompt and completion tokens."""
        rows = self.suite.query(
            "select request_id, outcome, prompt_tokens, completion_tokens from billing.usage_events "
            "where request_id = any($1)",
            [one.request_id for one in seen if one.request_id],
        )
        return {row[0]: tuple(row)[1:] for row in rows}

    def settled(self, seen: list[Seen]) -> dict[str, tuple[str, int, int]]:
        """Wait until every request that was let in has its event, check what clients were told, and the books.

        For each completed request exactly one event with the tokens that its client was told; nothing else is charged
        twice or drifts, as `verify` sees it.
        """
        begun = [one for one in seen if one.status == 200]
        until(lambda: len(self.outcomes(begun)) == len(begun))
        events = self.outcomes(begun)
        for one in begun:
            if one.completed:
                told = (one.usage["prompt_tokens"], one.usage["completion_tokens"])
                assert events[one.request_id] == ("ok", *told), one
        self.verify()
        return events

    def verify(self) -> str:
        """See the books be sound, once engines and gateways have both told everything; answer what was printed."""
        return self.suite.sound_books()

    def budgets(self, name: str, **fields: Any) -> Any:
        """Call BudgetService."""
        return self._ask(budgets_pb2_grpc.BudgetServiceStub, name, getattr(budgets_pb2, f"{name}Request")(**fields))

    def issued(self, period: str) -> invoices_pb2.Invoice:
        """Issue the organisation's statement of a month."""
        request = invoices_pb2.IssueInvoiceRequest(organization_id=self.organization_id, period_id=period)
        answer: invoices_pb2.IssueInvoiceResponse = self._ask(
            invoices_pb2_grpc.InvoiceServiceStub, "IssueInvoice", request
        )
        return answer.invoice

    def spending(self) -> Counter[str]:
        """What is posted to the organisation by month."""
        rows = self.suite.query(
            "select period, amount_nanousd from billing.spending where organization_id = $1 and project_id = ''",
            self.organization_id,
        )
        return Counter({row["period"]: row["amount_nanousd"] for row in rows})

    def _ask(self, stub: Callable[[grpc.aio.Channel], Any], name: str, request: Message) -> Any:
        async def ask() -> Any:
            async with connect(self.suite.stack.address("billing")) as channel:
                return await call(getattr(stub(channel), name), request, timeout_s=10, peer="billing")

        return asyncio.run(ask())
