"""How meters stand, and the refusal that follows from it, in the words that ratelimit itself would use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.errors import CapstanError, Reason
from services.gateway.charges import Charge
from services.gateway.limits_headers import Meter


@dataclass(slots=True)
class Standing:
    """How the meter of `charge` stands. Not changed once made."""

    charge: Charge
    remaining: int
    reset_ms: int


class RateLimited(Exception):  # noqa: N818 - a refusal, not a fault
    """A limit refused the request; `error` says which, `meters` how all of them stand."""

    def __init__(self, error: CapstanError, meters: list[Meter]) -> None:
        super().__init__(str(error))
        self.error = error
        self.meters = meters


def meters(standings: Sequence[Standing]) -> list[Meter]:
    """What clients are told of."""
    return [
        Meter(kind, standing.charge.limit, standing.remaining, standing.reset_ms)
        for standing in standings
        if (kind := standing.charge.kind) is not None
    ]


def refusal(charge: Charge, used: int, wait_ms: int) -> CapstanError:
    """Make the error for a charge that does not fit for `wait_ms`; negative: never."""
    metadata = {
        "dimension": charge.dimension,
        "scope": charge.scope,
        "limit": str(charge.limit),
        "requested": str(charge.cost),
    }
    if wait_ms < 0:
        return CapstanError(Reason.REQUEST_TOO_LARGE_FOR_LIMIT, "can never fit", **metadata)
    metadata |= {"used": str(used), "retry_after_ms": str(wait_ms)}
    return CapstanError(Reason.RATE_LIMITED, f"{charge.dimension} of {charge.limit} is used up", **metadata)
