"""The breaker: when it opens, whom it lets try, how it closes."""

import pytest

from chassis.breaker import Breaker


class Hands:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def breaker(hands: Hands) -> Breaker:
    return Breaker(hands)


def opened(breaker: Breaker) -> None:
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()


def test_it_opens_at_the_third_failure_in_a_row(breaker: Breaker) -> None:
    breaker.failed()
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    assert breaker.is_open


def test_an_answer_between_failures_starts_the_count_again(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_after_the_pause_exactly_one_caller_may_try(breaker: Breaker, hands: Hands) -> None:
    opened(breaker)
    hands.at += 0.999
    assert not breaker.allows()
    hands.at += 0.001
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_a_good_probe_closes_it(breaker: Breaker, hands: Hands) -> None:
    opened(breaker)
    hands.at += 1
    assert breaker.allows()
    breaker.succeeded()
    assert not breaker.is_open
    assert all(breaker.allows() for _ in range(3))


def test_each_failed_probe_doubles_the_pause_up_to_five_seconds(breaker: Breaker, hands: Hands) -> None:
    opened(breaker)
    hands.at += 1
    for pause in (2, 4, 5, 5):
        assert breaker.allows()
        breaker.failed()
        hands.at += pause - 0.001
        assert not breaker.allows()
        hands.at += 0.001


def test_failures_of_calls_from_before_it_opened_do_not_lengthen_the_pause(breaker: Breaker, hands: Hands) -> None:
    opened(breaker)
    for _ in range(100):
        breaker.failed()
    hands.at += 1
    assert breaker.allows()


def test_a_probe_that_never_reports_is_replaced(breaker: Breaker, hands: Hands) -> None:
    opened(breaker)
    hands.at += 1
    assert breaker.allows()
    hands.at += 4.999
    assert not breaker.allows()
    hands.at += 0.001
    assert breaker.allows()


def test_after_it_closed_the_pause_is_short_again(breaker: Breaker, hands: Hands) -> None:
    opened(breaker)
    hands.at += 1
    breaker.allows()
    breaker.failed()
    hands.at += 2
    breaker.allows()
    breaker.succeeded()
    opened(breaker)
    hands.at += 1
    assert breaker.allows()
