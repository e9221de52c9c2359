"""What is asked of the meters and what they answer, and how both are written for the scripts.

All keys of an organisation share the hash tag `{rl:<organisation>}`, so that one script may touch them also where
Valkey is a cluster:

    {rl:org-1}:requests:key_7:model     level of a meter; see scripts/meter.lua. Gone when empty.
    {rl:org-1}:tokens:proj_3:model
    {rl:org-1}:reservation:req_9        what was charged to token meters, until the hold is over; a minute once settled
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from chassis.errors import CapstanError, Reason

MOST = 10**12
"""Largest limit, cost and settlement: up to here the scripts are exact. A larger limit counts as this one."""

MOST_CHARGES = 16
MOST_CHARACTERS = 256
SHORTEST_HOLD_MS, DEFAULT_HOLD_MS, LONGEST_HOLD_MS = 1_000, 15 * 60_000, 60 * 60_000

SETTLED_MS = 60_000
"""How long a settled reservation is remembered, so that a reserve that is repeated late is not charged again."""

_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)
_MODEL = re.compile(r"[^\x00-\x1f\x7f]{0,256}")
_SCOPES = {"org": "organization", "proj": "project", "key": "key"}


class Dimension(enum.Enum):
    """What a meter counts. The value is its name in keys."""

    REQUESTS_PER_MINUTE = "requests"
    TOKENS_PER_MINUTE = "tokens"


@dataclass(frozen=True, slots=True)
class Charge:
    """A cost against one meter."""

    dimension: Dimension
    subject_id: str
    model: str
    limit: int
    cost: int

    @property
    def refundable(self) -> bool:
        """Whether settling may give some of it back: tokens are estimated, a request is a request."""
        return self.dimension is Dimension.TOKENS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one request is to be charged."""

    request_id: str
    organization_id: str
    charges: tuple[Charge, ...]
    hold_ms: int = DEFAULT_HOLD_MS


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one request really used."""

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a reservation: `refusal` is None when it was made."""

    refusal: CapstanError | None
    meters: tuple[MeterState, ...]


def check(reservation: Reservation) -> None:
    """Refuse what no correct caller sends.

    Raises:
        CapstanError: INVALID_ARGUMENT with the field in `param`.
    """
    _check_id("request_id", reservation.request_id)
    _check_id("organization_id", reservation.organization_id)
    if not 1 <= len(reservation.charges) <= MOST_CHARGES:
        raise _invalid("charges", f"there must be 1 to {MOST_CHARGES}")
    if not SHORTEST_HOLD_MS <= reservation.hold_ms <= LONGEST_HOLD_MS:
        raise _invalid("hold", "must be 1 s to 1 h")
    for charge in reservation.charges:
        _check_id("subject_id", charge.subject_id)
        if not _MODEL.fullmatch(charge.model):
            raise _invalid("model", f"must be at most {MOST_CHARACTERS} characters without control characters")
        if charge.limit < 0:
            raise _invalid("limit", "must be 0 or greater")
        if not 0 <= charge.cost <= MOST:
            raise _invalid("cost", f"must be 0 to {MOST}")
    meters = {(charge.dimension, charge.subject_id, charge.model) for charge in reservation.charges}
    if len(meters) < len(reservation.charges):
        raise _invalid("charges", "two charges name the same meter")


def check_settlement(settlement: Settlement) -> None:
    """Refuse what no correct caller sends.

    Raises:
        CapstanError: INVALID_ARGUMENT with the field in `param`.
    """
    _check_id("request_id", settlement.request_id)
    _check_id("organization_id", settlement.organization_id)
    if not 0 <= settlement.tokens <= MOST:
        raise _invalid("tokens", f"must be 0 to {MOST}")


def reservation_key(of: Reservation | Settlement) -> str:
    """Name the key under which the reservation is kept."""
    return f"{{rl:{of.organization_id}}}:reservation:{of.request_id}"


def meter_key(reservation: Reservation, charge: Charge) -> str:
    """Name the key of the meter that `charge` goes to."""
    tag = f"{{rl:{reservation.organization_id}}}"
    return f"{tag}:{charge.dimension.value}:{charge.subject_id}:{charge.model}"


def reserve_call(reservation: Reservation) -> tuple[list[str], list[int]]:
    """Write a reservation as keys and arguments of reserve.lua."""
    keys, arguments = [reservation_key(reservation)], [reservation.hold_ms]
    for charge in reservation.charges:
        keys.append(meter_key(reservation, charge))
        arguments += (int(charge.refundable), min(charge.limit, MOST), charge.cost)
    return keys, arguments


def settle_call(settlement: Settlement) -> tuple[list[str], list[int]]:
    """Write a settlement as keys and arguments of settle.lua."""
    return [reservation_key(settlement)], [settlement.tokens, SETTLED_MS]


def outcome(reservation: Reservation, reply: Sequence[int]) -> Outcome:
    """Read reserve.lua's reply: the refusing charge's place from 1 (0: none), its wait, then (used, reset) each."""
    place, wait_ms, *states = reply
    meters = tuple(
        MeterState(charge.dimension, charge.limit, max(0, min(charge.limit, MOST) - used), reset_ms)
        for charge, used, reset_ms in zip(reservation.charges, states[::2], states[1::2], strict=True)
    )
    if place == 0:
        return Outcome(None, meters)
    return Outcome(_refusal(reservation.charges[place - 1], states[2 * (place - 1)], wait_ms), meters)


def _refusal(charge: Charge, used: int, wait_ms: int) -> CapstanError:
    metadata = {
        "dimension": charge.dimension.name.lower(),
        "limit": str(charge.limit),
        "requested": str(charge.cost),
    }
    if scope := _SCOPES.get(re.split("[-_]", charge.subject_id)[0]):
        metadata["scope"] = scope
    if wait_ms < 0:
        text = f"{charge.cost} {charge.dimension.value} can never fit into {charge.limit} a minute"
        return CapstanError(Reason.REQUEST_TOO_LARGE_FOR_LIMIT, text, **metadata)
    metadata |= {"used": str(used), "retry_after_ms": str(wait_ms)}
    text = f"{used} of {charge.limit} {charge.dimension.value} a minute are used, {charge.cost} more do not fit"
    return CapstanError(Reason.RATE_LIMITED, text, **metadata)


def _check_id(param: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise _invalid(param, "must be 1 to 256 letters, digits, '_', '.' or '-'")


def _invalid(param: str, message: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, f"{param} {message}", param=param)
