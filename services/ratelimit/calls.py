"""How requests and answers are written for the scripts.

All keys of an organisation share the hash tag `{rl:<organisation>}`, so that one script may touch them also where
Valkey is a cluster:

    {rl:org-1}:requests:key_7:model        level of a rate; see scripts/meter.lua. Gone when empty.
    {rl:org-1}:tokens:proj_3:model
    {rl:org-1}:requests-day:key_7:model    day and count. Gone at midnight UTC.
    {rl:org-1}:tokens-day:key_7:model
    {rl:org-1}:running:key_7:model         request ids by the end of their leases
    {rl:org-1}:money:org-1:2026-11         posted and held, nano-dollars; with `:holds` behind it, the single holds
    {rl:org-1}:reservation:req_9           what of it can change, until the hold is over; a minute once settled
    {rl}:gateways                          gateways by when they were last heard of
    {rl}:reaper                            there while somebody gives ended holds back
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chassis.errors import CapstanError, Reason
from services.ratelimit.meters import (
    DEFAULT_HOLD_MS,
    GATEWAY_MS,
    LATE_MS,
    MOST,
    SETTLED_MS,
    Charge,
    Dimension,
    MeterState,
    Outcome,
    Renewal,
    Reservation,
    Settlement,
)

UNKNOWN = -2
"""A budget's wait when nothing is known of it."""

BUDGETS = "{rl:*}:money:*"
"""Matches the keys of all budgets and of their holds."""

_BUDGET = re.compile(r"(\{rl:([^}]+)\}:money:([^:]+):([^:]+))(?::holds)?")
_SCOPES = {"org": "organization", "proj": "project", "key": "key"}

Call = tuple[list[str], list[str | int]]


def reservation_key(of: Reservation | Settlement | Renewal) -> str:
    """Name the key under which the reservation is kept."""
    return f"{{rl:{of.organization_id}}}:reservation:{of.request_id}"


def meter_key(reservation: Reservation, charge: Charge) -> str:
    """Name the key of the meter that `charge` goes to."""
    last = charge.budget.period_id if charge.budget is not None else charge.model
    return f"{{rl:{reservation.organization_id}}}:{charge.dimension.value}:{charge.subject_id}:{last}"


def reserve_call(reservation: Reservation) -> Call:
    """Write a reservation as keys and arguments of reserve.lua."""
    spends = any(charge.dimension is Dimension.MONEY for charge in reservation.charges)
    kept_ms = reservation.hold_ms + (LATE_MS if spends else 0)
    keys = [reservation_key(reservation)]
    arguments: list[str | int] = [reservation.hold_ms, kept_ms, int(reservation.granted)]
    for charge in reservation.charges:
        keys.append(meter_key(reservation, charge))
        limit = charge.limit if charge.dimension is Dimension.MONEY else min(charge.limit, MOST)
        seed = charge.budget.seed_nanousd if charge.budget is not None else None
        arguments += (charge.dimension.kind.value, _flags(charge), limit, charge.cap, charge.cost)
        arguments.append("" if seed is None else seed)
        arguments.append(charge.budget.floor_nanousd if charge.budget is not None else 0)
    return keys, arguments


def _flags(charge: Charge) -> str:
    return "r" * charge.dimension.refundable + "s" * charge.shadow + "p" * charge.count_rejected


def budget_of(key: str) -> tuple[str, str, str, str] | None:
    """Read the key of a budget or of its holds: the budget's key, organisation, subject, period. None: neither."""
    match = _BUDGET.fullmatch(key)
    return (match[1], match[2], match[3], match[4]) if match else None


def settle_call(settlement: Settlement) -> Call:
    """Write a settlement as keys and arguments of settle.lua."""
    return [reservation_key(settlement)], [settlement.tokens, settlement.amount_nanousd, SETTLED_MS]


def renew_call(renewal: Renewal) -> Call:
    """Write a renewal as keys and arguments of renew.lua."""
    return [reservation_key(renewal)], [renewal.tokens, DEFAULT_HOLD_MS]


def heartbeat_call(gateway_id: str) -> Call:
    """Write a gateway's sign of life as keys and arguments of heartbeat.lua."""
    return ["{rl}:gateways"], [gateway_id, GATEWAY_MS]


def outcome(reservation: Reservation, reply: Sequence[int]) -> Outcome:
    """Read reserve.lua's reply: the refusing charge's place from 1 (0: none), its wait, then three numbers each."""
    place, wait_ms, *states = reply
    meters = tuple(
        MeterState(charge.dimension, charge.limit, max(0, charge.cap - used), reset_ms, bool(exceeded))
        for charge, used, reset_ms, exceeded in zip(
            reservation.charges, states[::3], states[1::3], states[2::3], strict=True
        )
    )
    if place == 0:
        return Outcome(None, meters)
    if wait_ms == UNKNOWN:
        return Outcome(_unknown(reservation), meters)
    return Outcome(_refusal(reservation.charges[place - 1], states[3 * (place - 1)], wait_ms), meters)


def _unknown(reservation: Reservation) -> CapstanError:
    """Name all budgets that came without a seed: one answer is enough to find out about all of them."""
    budgets = [
        f"{charge.subject_id}/{charge.budget.period_id}"
        for charge in reservation.charges
        if charge.budget is not None and charge.budget.seed_nanousd is None and not charge.shadow
    ]
    return CapstanError(Reason.BUDGET_UNKNOWN, "nothing is known of a budget", budgets=",".join(budgets))


def _refusal(charge: Charge, used: int, wait_ms: int) -> CapstanError:
    if charge.budget is not None:
        text = f"{charge.cost} nano-dollars do not fit into a budget of {charge.limit} of which {used} are used"
        return CapstanError(Reason.QUOTA_EXHAUSTED, text, budget=charge.budget.kind)
    metadata = {
        "dimension": charge.dimension.name.lower(),
        "limit": str(charge.limit),
        "requested": str(charge.cost),
    }
    if scope := _SCOPES.get(re.split("[-_]", charge.subject_id)[0]):
        metadata["scope"] = scope
    words = charge.dimension.name.lower().replace("_", " ")
    if wait_ms < 0:
        text = f"{charge.cost} can never fit into {charge.cap} {words}"
        return CapstanError(Reason.REQUEST_TOO_LARGE_FOR_LIMIT, text, **metadata)
    metadata |= {"used": str(used), "retry_after_ms": str(wait_ms)}
    text = f"{used} of {charge.limit} {words} are used, {charge.cost} more do not fit"
    return CapstanError(Reason.RATE_LIMITED, text, **metadata)
