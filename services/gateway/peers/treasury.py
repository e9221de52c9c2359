"""Billing as treasurer: what things cost, what a project may spend, what was posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc, budgets_pb2, budgets_pb2_grpc
from chassis.clock import Clock
from chassis.coalesce import Coalescer
from services.gateway.charges import BudgetKind
from services.gateway.money import Price
from services.gateway.peers.calls import call

_KINDS: dict[int, BudgetKind] = {
    budgets_pb2.BUDGET_KIND_CREDIT: "credit",
    budgets_pb2.BUDGET_KIND_ORGANIZATION: "organization",
    budgets_pb2.BUDGET_KIND_PROJECT: "project",
}


_Told = tuple[budgets_pb2.SpendingTerms, float | None]
"""With `PaymentTerms.epoch_s`."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A budget that binds a project's requests, and how it stood when billing was asked."""

    subject_id: str
    kind: BudgetKind
    period_id: str
    cap_nanousd: int
    posted_nanousd: int
    soft: bool


@dataclass(frozen=True, slots=True)
class Recovered:
    """A request that billing settled for a gateway which died, and may still be held."""

    request_id: str
    tokens: int


@dataclass(frozen=True, slots=True)
class PaymentTerms:
    """How a project's spending is bound."""

    caps: tuple[Cap, ...]
    prepaid: bool
    max_exposure_nanousd: int
    """What may be served on trust while money cannot be checked."""
    recovered: tuple[Recovered, ...] = ()
    """Lately; what the caps have posted has them."""
    epoch_s: float | None = None
    """Unix seconds by billing's clock, by which months turn, at 0 of this gateway's monotonic one; None: not told."""

    @property
    def bound(self) -> bool:
        """Whether nothing may be served while money cannot be checked."""
        return self.prepaid or any(not cap.soft for cap in self.caps)


class Treasury:
    """The gateway's view of prices and budgets. Every method raises `CapstanError` when billing is away."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float, clock: Clock) -> None:
        self._billing = billing_pb2_grpc.BillingServiceStub(channel)
        self._budgets = budgets_pb2_grpc.BudgetServiceStub(channel)
        self._timeout_s = timeout_s
        self._clock = clock
        self._coalescer: Coalescer[budgets_pb2.BudgetQuery, _Told] = Coalescer(self._check)

    async def terms(self, organization_id: str, project_id: str) -> PaymentTerms:
        """Answer what binds a project now."""
        found, epoch_s = await self._coalescer.submit(
            budgets_pb2.BudgetQuery(organization_id=organization_id, project_id=project_id)
        )
        caps = (
            Cap(
                budget.subject_id,
                _KINDS.get(budget.kind, "project"),  # a kind that only a newer billing knows binds all the same
                budget.period_id,
                budget.cap_nanousd,
                budget.posted_nanousd,
                budget.soft,
            )
            for budget in found.budgets
        )
        recovered = (Recovered(one.request_id, one.token_count) for one in found.recovered)
        return PaymentTerms(tuple(caps), found.prepaid, found.max_exposure_nanousd, tuple(recovered), epoch_s)

    async def posted(self, subject_id: str, period_id: str) -> int:
        """Answer the nano-dollars posted to a budget so far."""
        request = budgets_pb2.GetPostedRequest(subject_id=subject_id, period_id=period_id)
        answer: budgets_pb2.GetPostedResponse = await call(
            self._budgets.GetPosted, request, timeout_s=self._timeout_s, peer="billing"
        )
        return answer.posted_nanousd

    async def prices(self) -> dict[str, Price]:
        """Answer the prices in force, by model."""
        answer: billing_pb2.ListPricesResponse = await call(
            self._billing.ListPrices, billing_pb2.ListPricesRequest(), timeout_s=self._timeout_s, peer="billing"
        )
        return {
            price.model: Price(
                price.version,
                price.input_picousd,
                price.cached_input_picousd,
                price.output_picousd,
                price.batch_permille,
                dict(price.tier_permilles),
            )
            for price in answer.prices
        }

    async def _check(self, items: Sequence[budgets_pb2.BudgetQuery]) -> Sequence[_Told]:
        answer: budgets_pb2.CheckBudgetsResponse = await call(
            self._budgets.CheckBudgets,
            budgets_pb2.CheckBudgetsRequest(items=items),
            timeout_s=self._timeout_s,
            peer="billing",
        )
        epoch_s = None
        if answer.HasField("time"):  # an older billing does not tell
            epoch_s = answer.time.ToNanoseconds() / 1e9 - self._clock.monotonic()
        return [(result, epoch_s) for result in answer.results]
