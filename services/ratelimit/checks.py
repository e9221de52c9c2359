"""What no correct caller sends, refused by the name of the field: the scripts trust what comes to them."""

from __future__ import annotations

import re

from chassis.errors import CapstanError, Reason
from services.ratelimit.meters import (
    LONGEST_HOLD_MS,
    MOST,
    MOST_NANOUSD,
    SHORTEST_HOLD_MS,
    Charge,
    Dimension,
    Renewal,
    Reservation,
    Settlement,
)

MOST_CHARGES = 32
"""Five limits of each of three scopes and three budgets are 18."""
MOST_CHARACTERS = 256
BUDGET_KINDS = ("credit", "organization", "project")

_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)
_PERIOD = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_MODEL = re.compile(r"[^\x00-\x1f\x7f]{0,256}")


def check(reservation: Reservation) -> None:
    """Refuse what no correct caller sends.

    Raises:
        CapstanError: INVALID_ARGUMENT with the field in `param`.
    """
    check_id("request_id", reservation.request_id)
    check_id("organization_id", reservation.organization_id)
    if not 1 <= len(reservation.charges) <= MOST_CHARGES:
        raise _invalid("charges", f"there must be 1 to {MOST_CHARGES}")
    if not SHORTEST_HOLD_MS <= reservation.hold_ms <= LONGEST_HOLD_MS:
        raise _invalid("hold", "must be 1 s to 1 h")
    for charge in reservation.charges:
        _check_charge(charge)
    meters = {
        (charge.dimension, charge.subject_id, charge.budget.period_id if charge.budget else charge.model)
        for charge in reservation.charges
    }
    if len(meters) < len(reservation.charges):
        raise _invalid("charges", "two charges name the same meter")


def _check_charge(charge: Charge) -> None:
    money = charge.dimension is Dimension.MONEY
    check_id("subject_id", charge.subject_id)
    if not _MODEL.fullmatch(charge.model):
        raise _invalid("model", f"must be at most {MOST_CHARACTERS} characters without control characters")
    if charge.limit < 0 or (money and charge.limit > MOST_NANOUSD):
        raise _invalid("limit", f"must be 0 to {MOST_NANOUSD}" if money else "must be 0 or greater")
    most = MOST_NANOUSD if money else 1 if charge.dimension is Dimension.CONCURRENT_REQUESTS else MOST
    if not 0 <= charge.cost <= most:
        raise _invalid("cost", f"must be 0 to {most}")
    if not 1 <= charge.burst_percent <= 100:
        raise _invalid("burst_percent", "must be 1 to 100")
    if charge.count_rejected and charge.dimension is not Dimension.REQUESTS_PER_MINUTE:
        raise _invalid("count_rejected", "is of requests per minute alone")
    if money:
        _check_budget(charge)


def _check_budget(charge: Charge) -> None:
    if charge.budget is None:
        raise _invalid("budget", "must name the money")
    if not _PERIOD.fullmatch(charge.budget.period_id):
        raise _invalid("budget.period_id", "must be 1 to 64 letters, digits, '_', '.' or '-'")
    if charge.budget.kind not in BUDGET_KINDS:
        raise _invalid("budget.kind", f"must be one of {', '.join(BUDGET_KINDS)}")
    if charge.budget.seed_nanousd is not None and not 0 <= charge.budget.seed_nanousd <= MOST_NANOUSD:
        raise _invalid("budget.seed_nanousd", f"must be 0 to {MOST_NANOUSD}")
    if not 0 <= charge.budget.floor_nanousd <= MOST_NANOUSD:
        raise _invalid("budget.floor_nanousd", f"must be 0 to {MOST_NANOUSD}")


def check_settlement(settlement: Settlement) -> None:
    """Refuse what no correct caller sends.

    Raises:
        CapstanError: INVALID_ARGUMENT with the field in `param`.
    """
    check_renewal(Renewal(settlement.request_id, settlement.organization_id, settlement.tokens))
    if not 0 <= settlement.amount_nanousd <= MOST_NANOUSD:
        raise _invalid("amount_nanousd", f"must be 0 to {MOST_NANOUSD}")


def check_renewal(renewal: Renewal) -> None:
    """Refuse what no correct caller sends.

    Raises:
        CapstanError: INVALID_ARGUMENT with the field in `param`.
    """
    check_id("request_id", renewal.request_id)
    check_id("organization_id", renewal.organization_id)
    if not 0 <= renewal.tokens <= MOST:
        raise _invalid("tokens", f"must be 0 to {MOST}")


def check_id(param: str, value: str) -> None:
    """Refuse what is not an id, and so could reach into another's keys."""
    if not _ID.fullmatch(value):
        raise _invalid(param, "must be 1 to 256 letters, digits, '_', '.' or '-'")


def _invalid(param: str, message: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, f"{param} {message}", param=param)
