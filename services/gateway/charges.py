"""What a request costs, limit by limit: pure, and the same whether ratelimit is asked or the gateway is on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from services.gateway.caller import Caller, FailureMode, Limit, Scope

Dimension = Literal[
    "requests_per_minute",
    "tokens_per_minute",
    "requests_per_day",
    "tokens_per_day",
    "concurrent_requests",
    "money",
]
BudgetKind = Literal["credit", "organization", "project"]

RATES: frozenset[Dimension] = frozenset({"requests_per_minute", "tokens_per_minute"})
DAYS: frozenset[Dimension] = frozenset({"requests_per_day", "tokens_per_day"})
TOKENS: frozenset[Dimension] = frozenset({"tokens_per_minute", "tokens_per_day"})

_TOLD_AS: Mapping[Dimension, Literal["requests", "tokens"]] = {
    "requests_per_minute": "requests",
    "requests_per_day": "requests",
    "tokens_per_minute": "tokens",
    "tokens_per_day": "tokens",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """Money that a request may use, and the most that it can take of it."""

    subject_id: str
    """The organisation's or project's id."""
    period_id: str
    """Period whose spending counts, e.g. "2026-11"; a prepaid credit has one of its own, e.g. "credit"."""
    kind: BudgetKind
    """What its refusal is told as."""
    cap_nanousd: int
    """Nano-dollars that may be spent in the period, 0 to 9 * 10^15."""
    amount_nanousd: int
    """The most this request can cost: what it holds until it is settled."""
    soft: bool = False
    """Counted, never refusing."""
    floor_nanousd: int = 0
    """What billing has posted to it, as it said last."""


class MeterId(NamedTuple):
    """Which meter. The limit belongs to it: what was seen under another limit says nothing."""

    organization_id: str
    dimension: Dimension
    subject_id: str
    model: str
    limit: int
    cap: int


@dataclass(slots=True)
class Charge:
    """A cost against one meter. Not changed once made; not frozen, because several are made for every request."""

    organization_id: str
    dimension: Dimension
    subject_id: str
    model: str
    limit: int
    cost: int
    scope: Scope = "organization"
    shadow: bool = False
    failure_mode: FailureMode = "local"
    burst_percent: int = 100
    count_rejected: bool = False
    budget: Budget | None = None
    cap: int = field(init=False)
    """The most units that may be in the meter at once."""
    meter: MeterId = field(init=False)
    """The meter it goes to."""
    kind: Literal["requests", "tokens"] | None = field(init=False)
    """Under which of the two names clients are told of it; None: not at all."""

    def __post_init__(self) -> None:
        limit, dimension = self.limit, self.dimension
        if self.burst_percent < 100 and dimension in RATES:
            self.cap = max(min(limit, 1), limit * self.burst_percent // 100)
        else:
            self.cap = limit
        self.meter = MeterId(self.organization_id, dimension, self.subject_id, self.model, limit, self.cap)
        self.kind = None if self.shadow else _TOLD_AS.get(dimension)


def charges(caller: Caller, model: str, tokens: int, budgets: Sequence[Budget] = ()) -> list[Charge]:
    """One charge per limit that applies; of two limits of one scope, the one that names the model wins."""
    chosen = {limit.scope: limit for limit in caller.limits if limit.model == ""}
    chosen |= {limit.scope: limit for limit in caller.limits if limit.model == model}
    made = [charge for limit in chosen.values() for charge in _of(limit, caller, model, tokens)]
    made += [
        Charge(
            organization_id=caller.organization_id,
            dimension="money",
            subject_id=budget.subject_id,
            model="",
            limit=budget.cap_nanousd,
            cost=budget.amount_nanousd,
            shadow=budget.soft,
            failure_mode="open" if budget.soft else "closed",
            budget=budget,
        )
        for budget in budgets
    ]
    return made


def _of(limit: Limit, caller: Caller, model: str, tokens: int) -> Iterator[Charge]:
    bounds: tuple[tuple[Dimension, int | None, int], ...] = (
        ("requests_per_minute", limit.requests_per_minute, 1),
        ("tokens_per_minute", limit.tokens_per_minute, tokens),
        ("requests_per_day", limit.requests_per_day, 1),
        ("tokens_per_day", limit.tokens_per_day, tokens),
        ("concurrent_requests", limit.concurrent_requests, 1),
    )
    for dimension, bound, cost in bounds:
        if bound is not None:
            yield Charge(
                organization_id=caller.organization_id,
                dimension=dimension,
                subject_id=caller.subject(limit.scope),
                model=model,
                limit=bound,
                cost=cost,
                scope=limit.scope,
                shadow=limit.shadow,
                failure_mode=limit.failure_mode,
                burst_percent=limit.burst_percent,
                count_rejected=limit.count_rejected and dimension == "requests_per_minute",
            )
