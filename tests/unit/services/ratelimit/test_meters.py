"""What goes to the scripts and what comes back, in words."""

from dataclasses import replace

import pytest

from chassis.errors import CapstanError, Reason
from services.ratelimit.meters import (
    MOST,
    Charge,
    Dimension,
    MeterState,
    Reservation,
    Settlement,
    check,
    check_settlement,
    outcome,
    reserve_call,
    settle_call,
)

REQUESTS = Charge(Dimension.REQUESTS_PER_MINUTE, "proj_1", "llama:8b", 60, 1)
TOKENS = Charge(Dimension.TOKENS_PER_MINUTE, "org-1", "llama:8b", 1000, 300)
RESERVATION = Reservation("req_1", "org-1", (REQUESTS, TOKENS))


def test_all_keys_of_an_organisation_share_one_hash_tag() -> None:
    keys, arguments = reserve_call(RESERVATION)
    assert keys == [
        "{rl:org-1}:reservation:req_1",
        "{rl:org-1}:requests:proj_1:llama:8b",
        "{rl:org-1}:tokens:org-1:llama:8b",
    ]
    assert arguments == [900_000, 0, 60, 1, 1, 1000, 300]
    assert settle_call(Settlement("req_1", "org-1", 20)) == (keys[:1], [20, 60_000])


def test_a_limit_beyond_what_is_exact_counts_as_the_largest_that_is() -> None:
    huge = replace(RESERVATION, charges=(replace(TOKENS, limit=2**62),))
    check(huge)
    assert reserve_call(huge)[1][2] == MOST
    assert outcome(huge, [0, 0, 300, 1]).meters == (MeterState(Dimension.TOKENS_PER_MINUTE, 2**62, MOST - 300, 1),)


def test_a_reservation_that_was_made_says_how_the_meters_stand() -> None:
    made = outcome(RESERVATION, [0, 0, 1, 1000, 300, 18_000])
    assert made.refusal is None
    assert made.meters == (
        MeterState(Dimension.REQUESTS_PER_MINUTE, 60, 59, 1000),
        MeterState(Dimension.TOKENS_PER_MINUTE, 1000, 700, 18_000),
    )


def test_a_refusal_names_the_meter_and_the_wait() -> None:
    refused = outcome(RESERVATION, [2, 12_000, 1, 1000, 900, 54_000])
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
    refused = outcome(RESERVATION, [2, -1, 0, 0, 0, 0])
    assert refused.refusal is not None
    assert refused.refusal.reason is Reason.REQUEST_TOO_LARGE_FOR_LIMIT
    assert refused.refusal.metadata == {
        "dimension": "tokens_per_minute",
        "scope": "organization",
        "limit": "1000",
        "requested": "300",
    }


def test_a_meter_in_debt_has_nothing_left() -> None:
    assert outcome(RESERVATION, [0, 0, 60, 1, 1600, 96_000]).meters[1].remaining == 0


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
