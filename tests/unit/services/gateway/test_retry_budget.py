"""Second attempts: a few whatever happens, then a share of the requests of the last seconds, and never a flood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.retry_budget import WINDOW_S, RetryBudget

SHARE, LEAST = 0.2, 10


def take(budget: RetryBudget, now: float, wanted: int) -> int:
    return sum(budget.take(now) for _ in range(wanted))


def ask(budget: RetryBudget, now: float, count: int) -> None:
    for _ in range(count):
        budget.note_request(now)


def test_a_quiet_gateway_may_retry_a_few() -> None:
    assert take(RetryBudget(SHARE, LEAST), 0, 100) == LEAST


def test_a_share_of_zero_never_retries() -> None:
    budget = RetryBudget(0.0, LEAST)
    ask(budget, 0, 1000)
    assert take(budget, 0, 10) == 0


def test_a_busy_gateway_may_retry_its_share() -> None:
    budget = RetryBudget(SHARE, LEAST)
    ask(budget, 0, 1000)
    assert take(budget, WINDOW_S - 1, 1000) == 200


def test_a_busy_hour_saves_nothing_up_for_the_storm() -> None:
    budget = RetryBudget(SHARE, LEAST)
    for second in range(3600):
        ask(budget, second, 100)
    storm = 3600 + WINDOW_S
    ask(budget, storm, 100)
    assert take(budget, storm, 1000) == 20


@pytest.mark.parametrize("per_s", [5, 40, 400])
def test_when_everything_fails_there_are_at_most_1_2_attempts_for_a_request(per_s: int) -> None:
    budget, taken = RetryBudget(SHARE, LEAST), 0
    for second in range(60):
        for _ in range(per_s):
            budget.note_request(second)
            taken += budget.take(second)
    assert 60 * per_s + taken <= 1.2 * 60 * per_s


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 60), st.integers(0, 60)), max_size=80),
    st.floats(0.05, 1.0),
    st.integers(1, 20),
)
def test_no_request_pays_for_more_than_its_share(
    moments: list[tuple[float, int, int]], share: float, least: int
) -> None:
    budget, now, requests, taken = RetryBudget(share, least), 1000.0, 0, 0
    windows: set[int] = set()
    for pause_s, asked, wanted in moments:
        now += pause_s
        ask(budget, now, asked)
        requests += asked
        taken += take(budget, now, wanted)
        windows.add(int(now) // WINDOW_S)
    assert taken <= share * requests + least * len(windows) + 1e-9
