"""Double entry: what an organisation comes to owe is what we come to earn, so the legs of a transaction sum to 0."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Account(enum.StrEnum):
    """Whose side a leg is on, within an organisation."""

    RECEIVABLE = "receivable"
    """What the organisation owes us."""
    REVENUE = "revenue"
    """What we earned from it, negative by convention."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a transaction."""

    transaction_id: str
    leg: int
    """1, 2, … within the transaction."""
    organization_id: str
    account: Account
    amount_nanousd: int


def legs(request_id: str, organization_id: str, amount_nanousd: int) -> tuple[Leg, ...]:
    """Enter a usage event; the transaction has the request's id. What costs nothing moves nothing."""
    if amount_nanousd == 0:
        return ()
    return (
        Leg(request_id, 1, organization_id, Account.RECEIVABLE, amount_nanousd),
        Leg(request_id, 2, organization_id, Account.REVENUE, -amount_nanousd),
    )
