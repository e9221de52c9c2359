"""What is asked of the meters and what they answer: plain values."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from chassis.errors import CapstanError

MOST = 10**12
"""Largest limit, cost and settlement of rates and counts: up to here the scripts are exact. A larger limit counts as
this one."""

MOST_NANOUSD = 9 * 10**15
"""Largest amount of money: 9 million dollars in nano-dollars. Lua's numbers are doubles, exact up to 2^53, which is a
little more. A larger one is refused."""

SHORTEST_HOLD_MS, DEFAULT_HOLD_MS, LONGEST_HOLD_MS = 1_000, 15 * 60_000, 60 * 60_000

SETTLED_MS = 60_000
"""How long a settled reservation is remembered, so that a reserve that is repeated late is not charged again."""

LATE_MS = 86_400_000
"""How long after its hold a reservation of money can still be settled."""

GATEWAY_MS = 10_000
"""How long a gateway that says nothing counts as one that lives."""


class Kind(enum.Enum):
    """How a dimension behaves. The value is its name in scripts/kinds.lua."""

    RATE = "rate"
    DAY = "day"
    RUNNING = "running"
    MONEY = "money"


class Dimension(enum.Enum):
    """What a meter counts. The value is its name in keys."""

    REQUESTS_PER_MINUTE = "requests"
    TOKENS_PER_MINUTE = "tokens"
    REQUESTS_PER_DAY = "requests-day"
    TOKENS_PER_DAY = "tokens-day"
    CONCURRENT_REQUESTS = "running"
    MONEY = "money"

    @property
    def kind(self) -> Kind:
        """How it behaves."""
        return _KINDS.get(self, Kind.RATE)

    @property
    def refundable(self) -> bool:
        """Whether settling may change the cost: tokens and money are estimated, a request is a request."""
        return self not in (Dimension.REQUESTS_PER_MINUTE, Dimension.REQUESTS_PER_DAY)


_KINDS = {
    Dimension.REQUESTS_PER_DAY: Kind.DAY,
    Dimension.TOKENS_PER_DAY: Kind.DAY,
    Dimension.CONCURRENT_REQUESTS: Kind.RUNNING,
    Dimension.MONEY: Kind.MONEY,
}


@dataclass(frozen=True, slots=True)
class Budget:
    """Which money is meant."""

    period_id: str
    kind: str
    """ "credit", "organization" or "project"."""
    seed_nanousd: int | None = None
    """What is posted so far, for where nothing is known."""
    floor_nanousd: int = 0
    """What billing has posted at the least: the meter is raised to it."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A cost against one meter. See ratelimit.proto."""

    dimension: Dimension
    subject_id: str
    model: str
    limit: int
    cost: int
    shadow: bool = False
    burst_percent: int = 100
    count_rejected: bool = False
    budget: Budget | None = None

    @property
    def cap(self) -> int:
        """The most units that may be in the meter."""
        limit = min(self.limit, MOST_NANOUSD if self.dimension is Dimension.MONEY else MOST)
        if self.dimension.kind is not Kind.RATE:
            return limit
        return max(min(limit, 1), limit * self.burst_percent // 100)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one request is to be charged."""

    request_id: str
    organization_id: str
    charges: tuple[Charge, ...]
    hold_ms: int = DEFAULT_HOLD_MS
    granted: bool = False
    """Charged whatever the meters say."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one request really used."""

    request_id: str
    organization_id: str
    tokens: int
    amount_nanousd: int = 0


@dataclass(frozen=True, slots=True)
class Renewal:
    """A request that runs, and the tokens it has used so far."""

    request_id: str
    organization_id: str
    tokens: int


@dataclass(frozen=True, slots=True)
class MeterState:
    """How a meter stands."""

    dimension: Dimension
    limit: int
    remaining: int
    reset_ms: int
    exceeded: bool = False
    """The charge did not fit."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a reservation: `refusal` is None when it was made."""

    refusal: CapstanError | None
    meters: tuple[MeterState, ...]
