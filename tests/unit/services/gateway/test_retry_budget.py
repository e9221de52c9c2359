"""Second attempts: some at once, then a share of the requests, and never a flood."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.retry_budget import RetryBudget


def test_a_quiet_gateway_may_retry_at_once() -> None:
    assert RetryBudget(0.2).take()


def test_a_share_of_zero_never_retries() -> None:
    budget = RetryBudget(0.0)
    for _ in range(100):
        budget.note_request()
    assert not budget.take()


@given(st.integers(1, 2000), st.floats(0.05, 0.5))
def test_when_everything_fails_attempts_stay_within_the_share_and_the_burst(requests: int, share: float) -> None:
    budget = RetryBudget(share)
    taken = 0
    for _ in range(requests):
        budget.note_request()
        taken += budget.take()
    assert taken <= 10 + share * requests + 1
