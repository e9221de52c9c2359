"""A replica that fails is shut out, tried again one request at a time, and forgiven in the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.ejection import Ejection, EjectionRules

RULES = EjectionRules(failures=3, pause_s=1.0, longest_pause_s=8.0, forgiven_after_s=60.0)


@pytest.fixture
def ejection() -> Ejection:
    return Ejection(RULES)


def fail(ejection: Ejection, now: float, times: int = 1, *, may_open: bool = True) -> None:
    for _ in range(times):
        ejection.failed(ejection.epoch, now, may_open=may_open)


def test_it_takes_several_failures_in_a_row(ejection: Ejection) -> None:
    fail(ejection, 0, 2)
    ejection.succeeded(ejection.epoch, 0)
    fail(ejection, 0, 2)
    assert not ejection.is_open
    fail(ejection, 0)
    assert ejection.is_open
    assert ejection.retry_at == 1.0


def test_a_session_that_breaks_under_fifty_requests_is_one_event(ejection: Ejection) -> None:
    epoch = ejection.epoch
    for _ in range(50):
        ejection.failed(epoch, 0, may_open=True)
    assert ejection.retry_at == 1.0


def test_a_trial_that_succeeds_brings_it_back(ejection: Ejection) -> None:
    fail(ejection, 0, 3)
    ejection.tried(1.0)
    assert ejection.retry_at == 2.0  # nobody follows the trial at once
    ejection.succeeded(ejection.epoch, 1.5)
    assert not ejection.is_open


def test_trials_that_fail_double_the_pause_up_to_a_bound(ejection: Ejection) -> None:
    fail(ejection, 0, 3)
    now, pauses = 0.0, []
    for _ in range(5):
        pauses.append(ejection.retry_at - now)
        now = ejection.retry_at
        ejection.tried(now)
        fail(ejection, now)
    assert pauses == [1, 2, 4, 8, 8]


def test_what_was_placed_before_says_nothing_about_the_trial(ejection: Ejection) -> None:
    before = ejection.epoch
    fail(ejection, 0, 3)
    ejection.succeeded(before, 0.5)  # a long stream that began in better times
    assert ejection.is_open
    ejection.failed(before, 0.5, may_open=True)
    assert ejection.retry_at == 1.0


def test_falling_again_soon_costs_a_longer_pause_and_serving_long_is_forgiven(ejection: Ejection) -> None:
    fail(ejection, 0, 3)
    ejection.succeeded(ejection.epoch, 1)
    fail(ejection, 2, 3)
    assert ejection.retry_at == 2 + 2
    ejection.succeeded(ejection.epoch, 5)
    fail(ejection, 5 + 61, 3)
    assert ejection.retry_at == 66 + 1


def test_a_pool_that_may_not_lose_it_keeps_it_until_it_may(ejection: Ejection) -> None:
    fail(ejection, 0, 10, may_open=False)
    assert not ejection.is_open
    fail(ejection, 0)
    assert ejection.is_open


@given(steps=st.lists(st.tuples(st.sampled_from(["good", "bad", "try"]), st.floats(0, 5), st.booleans())))
def test_a_pause_never_leaves_its_bounds(steps: list[tuple[str, float, bool]]) -> None:
    ejection, now = Ejection(RULES), 0.0
    for step, seconds, old in steps:
        now += seconds
        epoch = ejection.epoch - old
        if step == "good":
            ejection.succeeded(epoch, now)
        elif step == "bad":
            ejection.failed(epoch, now, may_open=True)
        elif ejection.is_open and now >= ejection.retry_at:
            ejection.tried(now)
        assert not ejection.is_open or ejection.retry_at - now <= RULES.longest_pause_s + 1e-9
