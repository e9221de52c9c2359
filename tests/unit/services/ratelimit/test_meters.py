"""What goes to the scripts and what comes back, in words."""

from dataclasses import replace

import pytest

from chassis.errors import CapstanError, Reason
from services.ratelimit.calls import UNKNOWN, heartbeat_call, outcome, renew_call, reserve_call, settle_call
from services.ratelimit.checks import check, check_settlement
from services.ratelimit.meters import (
    MOST,
    MOST_NANOUSD,
    Budget,
    Charge,
    Dimension,
    MeterState,
    Renewal,
    Reservation,
    Settlement,
)

REQUESTS = Charge(Dimension.REQUESTS_PER_MINUTE, "proj_1", "llama:8b", 60, 1)
TOKENS = Charge(Dimension.TOKENS_PER_MINUTE, "org-1", "llama:8b", 1000, 300)
RESERVATION = Reservation("req_1", "org-1", (REQUESTS, TOKENS))
CREDIT = Charge(Dimension.MONEY, "org-1", "", 5 * 10**9, 10**6, budget=Budget("credit", "credit"))
SPENT = Charge(Dimension.MONEY, "proj_1", "", 5 * 10**9, 10**6, budget=Budget("2026-11", "project", 7, 6))
PAID = Reservation("req_1", "org-1", (REQUESTS, CREDIT, SPENT))


def test_all_keys_of_an_organisation_share_one_hash_tag() -> None:
    keys, arguments = reserve_call(RESERVATION)
    assert keys == [
        "{rl:org-1}:reservation:req_1",
        "{rl:org-1}:requests:proj_1:llama:8b",
        "{rl:org-1}:tokens:org-1:llama:8b",
    ]
    assert arguments == [900_000, 900_000, 0, "rate", "", 60, 60, 1, "", 0, "rate", "r", 1000, 1000, 300, "", 0]
    assert settle_call(Settlement("req_1", "org-1", 20, 7)) == (keys[:1], [20, 7, 60_000])
    assert renew_call(Renewal("req_1", "org-1", 20)) == (keys[:1], [20, 900_000])
    assert heartbeat_call("gateway-1") == (["{rl}:gateways"], ["gateway-1", 10_000])


def test_money_is_kept_by_period_and_a_day_longer_than_its_hold() -> None:
    keys, arguments = reserve_call(PAID)
    assert keys[2:] == ["{rl:org-1}:money:org-1:credit", "{rl:org-1}:money:proj_1:2026-11"]
    assert arguments[:3] == [900_000, 900_000 + 86_400_000, 0]
    assert arguments[10:17] == ["money", "r", 5 * 10**9, 5 * 10**9, 10**6, "", 0]
    assert arguments[17:] == ["money", "r", 5 * 10**9, 5 * 10**9, 10**6, 7, 6]


@pytest.mark.parametrize(
    ("charge", "kind", "flags", "cap"),
    [
        (replace(REQUESTS, shadow=True, count_rejected=True), "rate", "sp", 60),
        (replace(TOKENS, burst_percent=50), "rate", "r", 500),
        (replace(REQUESTS, limit=5, burst_percent=1), "rate", "", 1),
        (replace(REQUESTS, limit=0, burst_percent=50), "rate", "", 0),
        (replace(TOKENS, dimension=Dimension.TOKENS_PER_DAY, burst_percent=50), "day", "r", 1000),
        (replace(REQUESTS, dimension=Dimension.REQUESTS_PER_DAY), "day", "", 60),
        (replace(REQUESTS, dimension=Dimension.CONCURRENT_REQUESTS), "running", "r", 60),
    ],
)
def test_a_charge_says_how_it_is_counted(charge: Charge, kind: str, flags: str, cap: int) -> None:
    _, arguments = reserve_call(replace(RESERVATION, charges=(charge,), granted=True))
    assert arguments[2:] == [1, kind, flags, charge.limit, cap, charge.cost, "", 0]


def test_money_that_does_not_fit_names_its_budget() -> None:
    refused = outcome(PAID, [3, -1, 1, 1000, 0, 0, 0, 0, 5 * 10**9, 0, 1])
    assert refused.refusal is not None
    assert refused.refusal.reason is Reason.QUOTA_EXHAUSTED
    assert refused.refusal.metadata == {"budget": "project"}


def test_a_budget_of_which_nothing_is_known_is_named_unless_its_seed_is_here() -> None:
    refused = outcome(PAID, [2, UNKNOWN, 1, 1000, 0, 0, 0, 1, 0, 0, 0])
    assert refused.refusal is not None
    assert refused.refusal.reason is Reason.BUDGET_UNKNOWN
    assert refused.refusal.metadata == {"budgets": "org-1/credit"}


def test_a_limit_beyond_what_is_exact_counts_as_the_largest_that_is() -> None:
    huge = replace(RESERVATION, charges=(replace(TOKENS, limit=2**62),))
    check(huge)
    assert reserve_call(huge)[1][5:7] == [MOST, MOST]
    assert outcome(huge, [0, 0, 300, 1, 0]).meters == (MeterState(Dimension.TOKENS_PER_MINUTE, 2**62, MOST - 300, 1),)


def test_a_reservation_that_was_made_says_how_the_meters_stand() -> None:
    made = outcome(RESERVATION, [0, 0, 1, 1000, 0, 300, 18_000, 1])
    assert made.refusal is None
    assert made.meters == (
        MeterState(Dimension.REQUESTS_PER_MINUTE, 60, 59, 1000),
        MeterState(Dimension.TOKENS_PER_MINUTE, 1000, 700, 18_000, exceeded=True),
    )


def test_a_refusal_names_the_meter_and_the_wait() -> None:
    refused = outcome(RESERVATION, [2, 12_000, 1, 1000, 0, 900, 54_000, 1])
    assert refused.refusal is not None
    assert refused.refusal.reason is Reason.RATE_LIMITED
    assert refused.refusal.metadata == {
        "dimension": "tokens_per_minute",
        "scope": "organization",
        "limit": "1000",
        "used": "900",
        "requested": "300",
        "retry_after_ms": "12000",
    }


def test_what_can_never_fit_has_no_wait() -> None:
    refused = outcome(RESERVATION, [2, -1, 0, 0, 0, 0, 0, 1])
    assert refused.refusal is not None
    assert refused.refusal.reason is Reason.REQUEST_TOO_LARGE_FOR_LIMIT
    assert refused.refusal.metadata == {
        "dimension": "tokens_per_minute",
        "scope": "organization",
        "limit": "1000",
        "requested": "300",
    }


def test_a_meter_in_debt_has_nothing_left() -> None:
    assert outcome(RESERVATION, [0, 0, 60, 1, 0, 1600, 96_000, 1]).meters[1].remaining == 0


@pytest.mark.parametrize(
    ("param", "wrong"),
    [
        ("request_id", replace(RESERVATION, request_id="")),
        ("request_id", replace(RESERVATION, request_id="req 1")),
        ("organization_id", replace(RESERVATION, organization_id="org-1}")),
        ("organization_id", replace(RESERVATION, organization_id="o" * 257)),
        ("charges", replace(RESERVATION, charges=())),
        ("charges", replace(RESERVATION, charges=(TOKENS,) * 17)),
        ("charges", replace(RESERVATION, charges=(TOKENS, replace(TOKENS, cost=1)))),
        ("hold", replace(RESERVATION, hold_ms=999)),
        ("hold", replace(RESERVATION, hold_ms=3_600_001)),
        ("subject_id", replace(RESERVATION, charges=(replace(TOKENS, subject_id="a:b"),))),
        ("model", replace(RESERVATION, charges=(replace(TOKENS, model="a\nb"),))),
        ("model", replace(RESERVATION, charges=(replace(TOKENS, model="m" * 257),))),
        ("limit", replace(RESERVATION, charges=(replace(TOKENS, limit=-1),))),
        ("cost", replace(RESERVATION, charges=(replace(TOKENS, cost=-1),))),
        ("cost", replace(RESERVATION, charges=(replace(TOKENS, cost=MOST + 1),))),
        (
            "cost",
            replace(RESERVATION, charges=(replace(REQUESTS, dimension=Dimension.CONCURRENT_REQUESTS, cost=2),)),
        ),
        ("burst_percent", replace(RESERVATION, charges=(replace(TOKENS, burst_percent=101),))),
        ("count_rejected", replace(RESERVATION, charges=(replace(TOKENS, count_rejected=True),))),
        ("budget", replace(RESERVATION, charges=(replace(CREDIT, budget=None),))),
        ("budget.period_id", replace(RESERVATION, charges=(replace(CREDIT, budget=Budget("a:b", "credit")),))),
        ("budget.kind", replace(RESERVATION, charges=(replace(CREDIT, budget=Budget("a", "team")),))),
        ("budget.seed_nanousd", replace(RESERVATION, charges=(replace(CREDIT, budget=Budget("a", "credit", -1)),))),
        ("limit", replace(RESERVATION, charges=(replace(CREDIT, limit=MOST_NANOUSD + 1),))),
        ("cost", replace(RESERVATION, charges=(replace(CREDIT, cost=MOST_NANOUSD + 1),))),
        ("charges", replace(RESERVATION, charges=(CREDIT, replace(CREDIT, model="m")))),
    ],
)
def test_what_no_correct_caller_sends_is_refused_by_name(param: str, wrong: Reservation) -> None:
    with pytest.raises(CapstanError) as caught:
        check(wrong)
    assert caught.value.reason is Reason.INVALID_ARGUMENT
    assert caught.value.metadata["param"] == param


@pytest.mark.parametrize("tokens", [-1, MOST + 1])
def test_a_settlement_out_of_range_is_refused(tokens: int) -> None:
    with pytest.raises(CapstanError, match="tokens"):
        check_settlement(Settlement("req_1", "org-1", tokens))


@pytest.mark.parametrize("amount", [-1, MOST_NANOUSD + 1])
def test_money_out_of_range_is_refused(amount: int) -> None:
    with pytest.raises(CapstanError, match="amount_nanousd"):
        check_settlement(Settlement("req_1", "org-1", 0, amount))


def test_every_limit_of_all_three_scopes_fits_beside_every_budget_there_can_be() -> None:
    subjects = ("org-1", "proj_1", "key_1")
    rates = [
        Charge(dimension, subject, "llama:8b", 10**6, 1)
        for dimension in Dimension
        if dimension is not Dimension.MONEY
        for subject in subjects
    ]
    whole = replace(SPENT, subject_id="org-1", budget=Budget("2026-11", "organization"))
    check(replace(RESERVATION, charges=(*rates, CREDIT, whole, SPENT)))
