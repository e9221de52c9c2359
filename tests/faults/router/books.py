"""Billing that knows no prices and no budgets, and says so: nothing is served on trust or refused for money."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from capstan.billing.v1 import billing_pb2, budgets_pb2, budgets_pb2_grpc
from tests.integration.gateway.scripted import Billing, Peers, peers


@dataclass
class FreeBilling(Billing):
    """Keeps events, prices nothing."""

    async def ListPrices(self, request, context):
        return billing_pb2.ListPricesResponse()


class NoBudgets(budgets_pb2_grpc.BudgetServiceServicer):
    """Binds nobody."""

    async def CheckBudgets(self, request, context):
        return budgets_pb2.CheckBudgetsResponse(results=[budgets_pb2.SpendingTerms() for _ in request.items])


@asynccontextmanager
async def unbound_peers(folder: Path) -> AsyncIterator[Peers]:
    """Scripted peers with one key that no limit and no budget binds."""
    beside = {"billing": [(NoBudgets(), budgets_pb2_grpc.add_BudgetServiceServicer_to_server)]}
    async with peers(folder, billing=FreeBilling(), beside=beside) as made:
        made.auth.principal.ClearField("rate_limits")
        yield made
