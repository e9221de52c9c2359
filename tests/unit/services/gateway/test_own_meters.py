"""What the gateway decides without ratelimit: levels, its share of limits, who is over one, and what it owes."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Reason
from services.gateway.caller import Caller, Limit
from services.gateway.charges import Budget, Charge, charges
from services.gateway.levels import DAY_MS, NEVER, Day, Rate
from services.gateway.over_limits import REFUNDABLE_MS, TOLD_MS, OverLimits
from services.gateway.own_meters import OwnMeters, share
from services.gateway.presence import FAILURES, Presence
from services.gateway.running import Held, Running
from services.gateway.standings import RateLimited, Standing

NOON_S = 1_800_000_000 // 86_400 * 86_400 + 43_200.0
RPM = Charge("org-1", "requests_per_minute", "key_1", "m", 60, 1, scope="key")
TPM = Charge("org-1", "tokens_per_minute", "org-1", "m", 6000, 600)
RPD = Charge("org-1", "requests_per_day", "key_1", "m", 5, 1)
RUNNING = Charge("org-1", "concurrent_requests", "key_1", "m", 4, 1)


def caller(*limits: Limit) -> Caller:
    return Caller("org-1", "proj_1", "key_1", "user-1", frozenset("*"), frozenset(), "off", limits, None)


def own(meters: OwnMeters, *made: Charge, gateways: int = 1, now_ms: int = 0, running: int = 0) -> list[Standing]:
    return meters.reserve(made, gateways, now_ms, NOON_S + now_ms / 1000, lambda _: running)


def admitted(meters: OwnMeters, *made: Charge, gateways: int = 1, now_ms: int = 0, tries: int = 1000) -> int:
    count = 0
    for _ in range(tries):
        try:
            own(meters, *made, gateways=gateways, now_ms=now_ms)
        except RateLimited:
            return count
        count += 1
    return count


def test_every_limit_that_applies_is_a_charge_and_the_one_that_names_the_model_wins() -> None:
    limits = (
        Limit("key", "", 1, 2, 3, 4, 5, burst_percent=50),
        Limit("project", "", 10, None),
        Limit("project", "m", None, 20, shadow=True, failure_mode="open"),
        Limit("organization", "other", 99, 99),
    )
    made = charges(caller(*limits), "m", 7, [Budget("org-1", "2026-11", "credit", 100, 5)])
    assert [(one.dimension, one.subject_id, one.limit, one.cost) for one in made] == [
        ("requests_per_minute", "key_1", 1, 1),
        ("tokens_per_minute", "key_1", 2, 7),
        ("requests_per_day", "key_1", 3, 1),
        ("tokens_per_day", "key_1", 4, 7),
        ("concurrent_requests", "key_1", 5, 1),
        ("tokens_per_minute", "proj_1", 20, 7),
        ("money", "org-1", 100, 5),
    ]
    assert [one.kind for one in made] == ["requests", "tokens", "requests", "tokens", None, None, None]
    assert [one.cap for one in made] == [1, 1, 3, 4, 5, 20, 100]
    assert [one.count_rejected for one in made] == [True, *[False] * 6]
    assert made[-1].failure_mode == "closed"


@given(st.integers(0, 10**6), st.integers(1, 100), st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 50))))
def test_a_rate_admits_no_more_than_its_cap_and_what_drains(
    limit: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    rate = Rate(limit, max(min(limit, 1), limit * burst // 100), 0)
    taken, ends = 0, accumulate(pause for pause, _ in steps)
    for now_ms, (_, cost) in zip(ends, steps, strict=True):
        rate.pass_to(now_ms)
        wait_ms = rate.wait_ms(cost)
        if wait_ms == 0:
            rate.add(cost)
            taken += cost
        elif wait_ms != NEVER:
            later = replace(rate)
            later.pass_to(now_ms + wait_ms)
            assert later.wait_ms(cost) == 0
        assert taken * 60_000 <= rate.cap * 60_000 + limit * now_ms


def test_a_day_counts_until_midnight_and_begins_anew() -> None:
    day = Day(3, 1000, 0)
    day.add(3)
    assert (day.wait_ms(1), day.wait_ms(4), day.reset_ms) == (1000, NEVER, 1000)
    day.pass_to(1000 + DAY_MS)
    assert (day.used, day.wait_ms(3), day.reset_ms) == (0, 0, DAY_MS)


@given(st.integers(1, 10**6), st.integers(1, 50))
def test_shares_make_no_more_than_the_limit_where_it_can_be_shared(limit: int, gateways: int) -> None:
    assert share(limit, gateways) >= 1
    assert share(limit, gateways) * gateways <= max(limit, gateways)
    assert share(0, gateways) == 0


def test_alone_a_gateway_keeps_to_its_share_of_everything() -> None:
    for gateways, count in ((1, 60), (2, 30), (100, 1)):
        assert admitted(OwnMeters(), RPM, gateways=gateways) == count
    assert admitted(OwnMeters(), RPD, gateways=2) == 2
    assert admitted(OwnMeters(), TPM, gateways=2) == 5
    meters = OwnMeters()
    own(meters, RUNNING, gateways=2, running=1)
    with pytest.raises(RateLimited) as caught:
        own(meters, RUNNING, gateways=2, running=2)
    assert caught.value.error.metadata["dimension"] == "concurrent_requests"


def test_a_share_admits_its_burst_and_its_rate_over_time() -> None:
    meters = OwnMeters()
    assert sum(admitted(meters, RPM, gateways=2, now_ms=second * 1000) for second in range(121)) == 30 + 60


def test_a_refusal_alone_charges_nothing_and_says_when() -> None:
    meters = OwnMeters()
    assert admitted(meters, RPM, TPM) == 10
    with pytest.raises(RateLimited) as caught:
        own(meters, RPM, TPM)
    assert caught.value.error.metadata == {
        "dimension": "tokens_per_minute",
        "scope": "organization",
        "limit": "6000",
        "requested": "600",
        "used": "6000",
        "retry_after_ms": "6000",
    }
    assert [(one.dimension, one.limit, one.remaining) for one in caught.value.meters] == [
        ("requests", 60, 50),
        ("tokens", 6000, 0),
    ]
    with pytest.raises(RateLimited) as caught:
        own(meters, replace(TPM, cost=6001))
    assert caught.value.error.reason is Reason.REQUEST_TOO_LARGE_FOR_LIMIT


def test_open_limits_and_shadows_count_and_refuse_nothing() -> None:
    meters = OwnMeters()
    for charge in (replace(RPM, failure_mode="open"), replace(RPM, shadow=True, subject_id="key_2")):
        assert admitted(meters, charge, tries=100) == 100
    assert [debt.cost for debt in meters.debts(0)] == [100, 100]


def test_what_was_not_used_is_given_back_but_for_what_drained_meanwhile() -> None:
    meters = OwnMeters()
    own(meters, replace(TPM, cost=6000))
    meters.settle([replace(TPM, cost=6000)], 0, 0, 30_000)
    assert own(meters, replace(TPM, cost=0), now_ms=30_000)[0].remaining == 6000
    own(meters, replace(TPM, cost=6000), now_ms=60_000)
    meters.settle([replace(TPM, cost=6000)], 9000, 60_000, 60_000)
    assert [debt.cost for debt in meters.debts(60_000)] == [9000]


def test_debts_are_what_has_not_drained_and_whole_days() -> None:
    meters = OwnMeters()
    own(meters, RPM, replace(TPM, cost=6000), RPD)
    owed = {charge.dimension: charge.cost for charge in meters.debts(30_000)}
    assert owed == {"tokens_per_minute": 3000, "requests_per_day": 1}
    assert len(meters) == 0


def test_a_limit_that_changed_meanwhile_makes_one_debt_of_the_meter() -> None:
    """Ratelimit takes no two charges of one meter, so all debts beside them would be lost."""
    meters = OwnMeters()
    own(meters, RPD)
    own(meters, replace(RPD, limit=RPD.limit + 1))
    own(meters, replace(RPD, limit=RPD.limit + 1))
    assert [(debt.limit, debt.cost) for debt in meters.debts(0)] == [(RPD.limit + 1, 3)]


def test_going_local_is_no_second_burst_and_what_was_there_is_no_debt() -> None:
    levels = {
        RPM.meter: Rate(60, 60, 0, 30 * 60_000),
        RPD.meter: Day(5, DAY_MS, 0, 4),
    }
    meters = OwnMeters(levels.get)
    assert admitted(meters, RPM, gateways=2) == 15
    assert admitted(meters, RPD, gateways=2) == 1
    assert {charge.dimension: charge.cost for charge in meters.debts(0)} == {
        "requests_per_minute": 15,
        "requests_per_day": 1,
    }


def test_own_meters_and_memories_of_refusals_are_bounded() -> None:
    meters, over = OwnMeters(capacity=10), OverLimits(capacity=10)
    for number in range(100):
        charge = replace(RPM, subject_id=f"key_{number}")
        own(meters, charge)
        over.learn([Standing(charge, 0, 60_000)], 0)
    assert len(meters) == len(over) == 10


def refused(over: OverLimits, *made: Charge, now_ms: int) -> RateLimited | None:
    try:
        over.check(made, now_ms)
    except RateLimited as error:
        return error
    return None


def test_who_was_refused_is_refused_from_memory_until_it_fits() -> None:
    over = OverLimits()
    over.learn([Standing(RPM, 0, 60_000), Standing(TPM, 3000, 30_000)], 0)
    waits = []
    for now_ms in (0, 400, 999):
        error = refused(over, RPM, TPM, now_ms=now_ms)
        assert error is not None
        waits.append(error.error.metadata["retry_after_ms"])
        assert [(one.dimension, one.limit) for one in error.meters] == [("requests", 60), ("tokens", 6000)]
    assert waits == ["1000", "600", "1"]
    assert [one.remaining for one in error.meters] == [0, 3099]
    assert refused(over, RPM, TPM, now_ms=1000) is None


def test_memory_says_nothing_of_what_it_does_not_know_for_certain() -> None:
    over = OverLimits()
    assert refused(over, RPM, now_ms=0) is None
    over.learn([Standing(RPM, 0, 60_000), Standing(TPM, 0, 60_000)], 0)
    assert refused(over, replace(RPM, limit=600), TPM, now_ms=0) is None  # another limit, another meter
    assert refused(over, TPM, now_ms=REFUNDABLE_MS - 1) is not None
    assert refused(over, TPM, now_ms=REFUNDABLE_MS) is None  # an answer elsewhere may have given back
    assert (
        refused(
            over,
            RPM,
            TPM,
            now_ms=REFUNDABLE_MS + 1,
        )
        is None
    )  # 61 drained, one fits
    over.learn([Standing(RPM, 0, 60_000), Standing(TPM, 0, 60_000)], 5000)
    over.settled([RPM, TPM])
    assert refused(over, RPM, replace(TPM, cost=6001), now_ms=5000) is None  # too large, which waiting never mends
    assert refused(over, RPM, TPM, now_ms=5000) is None  # what tokens are left is not known
    assert refused(over, RPM, now_ms=5000) is not None


def test_a_day_that_is_used_up_is_asked_for_once_a_minute() -> None:
    over = OverLimits()
    over.learn([Standing(RPD, 0, 3_600_000)], 0)
    error = refused(over, RPD, now_ms=TOLD_MS - 1)
    assert error is not None
    assert error.error.metadata["retry_after_ms"] == str(3_600_000 - TOLD_MS + 1)
    assert refused(over, RPD, now_ms=TOLD_MS) is None


def test_after_some_failures_nobody_asks_until_a_heartbeat_is_answered() -> None:
    presence = Presence()
    for _ in range(FAILURES - 1):
        presence.failed()
    presence.answered()
    for _ in range(FAILURES):
        assert not presence.is_away
        presence.failed()
    assert presence.is_away
    presence.answered()  # it had left before
    assert presence.is_away
    presence.back()
    assert not presence.is_away


def test_running_requests_are_counted_from_their_reservation_to_their_end() -> None:
    running = Running()
    held = Held("req_1", "org-1", [RPM, RUNNING], 0, 1000)
    running.begin(held)
    assert running.count(RUNNING.meter) == 0
    running.made(held)
    assert (running.count(RUNNING.meter), len(running), list(running)) == (1, 1, [held])
    assert running.end("req_1") is held
    assert running.end("req_1") is None
    assert running.count(RUNNING.meter) == 0
