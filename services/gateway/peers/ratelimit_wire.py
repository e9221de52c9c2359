"""Charges and standings in ratelimit's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from capstan.ratelimit.v1 import ratelimit_pb2
from services.gateway.charges import Charge, Dimension
from services.gateway.running import Held
from services.gateway.seeds import BudgetId
from services.gateway.standings import Standing

_DIMENSIONS: Mapping[Dimension, ratelimit_pb2.Dimension.ValueType] = {
    "requests_per_minute": ratelimit_pb2.DIMENSION_REQUESTS_PER_MINUTE,
    "tokens_per_minute": ratelimit_pb2.DIMENSION_TOKENS_PER_MINUTE,
    "requests_per_day": ratelimit_pb2.DIMENSION_REQUESTS_PER_DAY,
    "tokens_per_day": ratelimit_pb2.DIMENSION_TOKENS_PER_DAY,
    "concurrent_requests": ratelimit_pb2.DIMENSION_CONCURRENT_REQUESTS,
    "money": ratelimit_pb2.DIMENSION_MONEY,
}


def reserve_item(
    held: Held, *, granted: bool = False, seeds: Mapping[BudgetId, int] | None = None
) -> ratelimit_pb2.ReserveItem:
    """Write a request's reservation."""
    item = ratelimit_pb2.ReserveItem(
        request_id=held.request_id,
        organization_id=held.organization_id,
        charges=[_charge(charge, seeds or {}) for charge in held.charges],
        granted=granted,
    )
    item.hold.FromMilliseconds(held.hold_ms)
    return item


def _charge(charge: Charge, seeds: Mapping[BudgetId, int]) -> ratelimit_pb2.Charge:
    budget = None
    if charge.budget is not None:
        budget = ratelimit_pb2.Budget(
            period_id=charge.budget.period_id,
            kind=charge.budget.kind,
            seed_nanousd=seeds.get((charge.budget.subject_id, charge.budget.period_id)),
            floor_nanousd=charge.budget.floor_nanousd,
        )
    return ratelimit_pb2.Charge(
        dimension=_DIMENSIONS[charge.dimension],
        subject_id=charge.subject_id,
        model=charge.model,
        limit=charge.limit,
        cost=charge.cost,
        shadow=charge.shadow,
        burst_percent=charge.burst_percent,
        count_rejected=charge.count_rejected,
        budget=budget,
    )


def standings(charges: Sequence[Charge], states: Sequence[ratelimit_pb2.MeterState]) -> list[Standing]:
    """Read how the meters stand; a refusal without any (of a wrong item) has none."""
    return [
        Standing(charge, state.remaining, state.reset.ToMilliseconds())
        for charge, state in zip(charges, states, strict=bool(states))
    ]
