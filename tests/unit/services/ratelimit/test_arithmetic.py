"""The definition of a meter holds what it promises, whatever comes in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ratelimit.arithmetic import LONGEST_MS, MOST_MARKS, NEVER, WINDOW_MS, Mark, Meter

LIMIT = 1000


@dataclass
class Request:
    """One request to a single meter."""

    reserved: int
    at_ms: int
    event: int
    charged: int
    """What it is known to cost now, charged when it was reserved."""


@dataclass
class History:
    """A meter, and everything that ever happened to it."""

    meter: Meter = field(default_factory=lambda: Meter(LIMIT))
    now_ms: int = 0
    requests: list[Request] = field(default_factory=list)
    debts: list[tuple[int, int]] = field(default_factory=list)
    open: list[Request] = field(default_factory=list)
    crowded: bool = False

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.meter.drain(ms)

    def reserve(self, cost: int) -> None:
        if self.meter.wait_ms(cost) == 0:
            event = self.meter.begin_event(self.now_ms * 1000)
            self.crowded |= len(self.meter.marks) == MOST_MARKS
            self.meter.charge(cost)
            request = Request(cost, self.now_ms, event, cost)
            self.requests.append(request)
            self.open.append(request)

    def settle(self, which: int, used: int) -> None:
        if not self.open:
            return
        request = self.open.pop(which % len(self.open))
        if used > request.reserved:
            self.meter.begin_event(self.now_ms * 1000)
            self.meter.charge(used - request.reserved)
            self.debts.append((self.now_ms, used - request.reserved))
        elif used < request.reserved:
            self.meter.give_back(request.event, request.reserved - used, self.now_ms * 1000)
            request.charged = used
        self.crowded |= len(self.meter.marks) == MOST_MARKS

    def level_had_true_costs_been_charged_at_once(self) -> Fraction:
        charges = sorted([(r.at_ms, r.charged) for r in self.requests] + self.debts)
        level, then = Fraction(0), 0
        for at, cost in charges:
            level = max(Fraction(0), level - Fraction(LIMIT * (at - then), WINDOW_MS)) + cost
            then = at
        return max(Fraction(0), level - Fraction(LIMIT * (self.now_ms - then), WINDOW_MS))


# Round numbers meet at the edges (full, empty, drained to the instant) far more often than random ones.
waits = st.sampled_from([0, 15_000, 30_000, 45_000, 60_000]) | st.integers(0, 90_000)
costs = st.sampled_from([250, 500, 750, 1000]) | st.integers(1, LIMIT)
uses = st.sampled_from([0, 0, 250, 500, 1000, 2000]) | st.integers(0, 2 * LIMIT)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), waits),
        st.tuples(st.just("reserve"), costs),
        st.tuples(st.just("settle"), st.integers(0, 5), uses),
    ),
    max_size=60,
)


def played(what: list[tuple[object, ...]]) -> History:
    history = History()
    for name, *arguments in what:
        getattr(history, str(name))(*arguments)
    return history


@given(steps)
def test_the_level_is_what_it_would_be_had_true_costs_been_charged_at_once(what: list[tuple[object, ...]]) -> None:
    history = played(what)
    level = Fraction(history.meter.level, WINDOW_MS)
    truth = history.level_had_true_costs_been_charged_at_once()
    assert level >= truth
    if not history.crowded:  # each refund may be short of a begun unit, as marks are whole
        assert level - truth < len(history.requests) + 1


@given(steps)
def test_no_span_of_time_admits_more_than_the_limit_and_the_rate(what: list[tuple[object, ...]]) -> None:
    history = played(what)
    admitted = history.requests
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            span = admitted[last].at_ms - admitted[first].at_ms
            used = sum(request.charged for request in admitted[first : last + 1])
            assert used <= LIMIT + Fraction(LIMIT * span, WINDOW_MS)


def test_a_refund_never_gives_back_what_has_drained_already() -> None:
    history = History()
    history.reserve(LIMIT)
    history.wait(WINDOW_MS)
    history.reserve(LIMIT)
    history.settle(0, 0)
    assert history.meter.wait_ms(1) > 0


def test_what_one_refund_gave_back_is_not_given_back_by_another() -> None:
    history = History()
    history.reserve(500)
    history.reserve(500)
    history.wait(45_000)
    history.reserve(750)
    history.settle(0, 0)
    assert history.meter.used == 750
    history.settle(0, 0)
    assert history.meter.used == 750


def test_a_refund_while_others_keep_the_meter_busy_is_whole() -> None:
    history = History()
    history.reserve(600)
    history.wait(30_000)
    history.reserve(900)
    history.wait(30_000)
    assert history.meter.used == 500
    history.reserve(500)
    history.settle(1, 400)
    assert history.meter.used == 500


def test_a_burst_with_more_steps_than_are_remembered_is_given_back_nearly_whole() -> None:
    history = History()
    for _ in range(100):
        history.reserve(10)
        history.wait(1)
    for _ in range(100):
        history.settle(0, 0)
    assert len(history.meter.marks) <= MOST_MARKS
    assert history.meter.used <= LIMIT // MOST_MARKS + 100


@given(st.integers(1, 10**12), st.integers(0, 10**12 * WINDOW_MS), st.integers(0, 10**12))
def test_whoever_waits_as_long_as_told_fits_and_a_moment_earlier_does_not(limit: int, level: int, cost: int) -> None:
    meter = Meter(limit, level)
    wait = meter.wait_ms(cost)
    if wait == NEVER:
        assert cost > limit
    elif wait > 0:
        meter.drain(wait - 1)
        assert meter.wait_ms(cost) == 1
        meter.drain(1)
        assert meter.wait_ms(cost) == 0


@given(st.integers(1, 10**6), st.integers(1, 10**9))
def test_the_meter_is_empty_after_its_reset_and_not_before(limit: int, level: int) -> None:
    meter = Meter(limit, level)
    reset = meter.reset_ms()
    if reset < LONGEST_MS:
        meter.drain(reset - 1)
        assert meter.level > 0
        meter.drain(1)
        assert meter.level == 0


@pytest.mark.parametrize(("limit", "burst"), [(1, 1), (60, 60), (1000, 1000)])
def test_a_client_that_is_paced_at_the_limit_is_never_refused(limit: int, burst: int) -> None:
    meter = Meter(limit)
    for _ in range(burst):
        meter.charge(1)
    pause = -(-WINDOW_MS // limit)
    for _ in range(1000):
        meter.drain(pause)
        assert meter.wait_ms(1) == 0
        meter.charge(1)


def test_marks_are_the_lowest_levels_since() -> None:
    meter = Meter(LIMIT)
    for number, units in enumerate([5, 3, 8, 4, 9], start=1):
        meter.mark(Mark(number, units))
    assert meter.marks == [Mark(2, 3), Mark(4, 4), Mark(5, 9)]


def test_too_many_marks_lose_the_smallest_difference_to_the_lower_side() -> None:
    meter = Meter(LIMIT)
    for number, units in enumerate([*range(0, 160, 10), 151], start=1):
        meter.mark(Mark(number, units))
    assert len(meter.marks) == MOST_MARKS
    assert meter.marks[-2:] == [Mark(15, 140), Mark(17, 150)]
