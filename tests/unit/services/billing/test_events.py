"""What is wrong with an event is said in words, and times that cannot be are put right."""

from datetime import timedelta

import pytest
from hypothesis import given

from services.billing.events import MOST_TOKENS, UsageEvent, by_our_clock, fault_of, with_believable_times
from tests.unit.services.billing.events import NOON, event, events


@given(event=events())
def test_an_ordinary_event_is_acceptable(event: UsageEvent) -> None:
    assert fault_of(event) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"request_id": ""}, "request_id is empty"),
        ({"organization_id": ""}, "organization_id is empty"),
        ({"model": ""}, "model is empty"),
        ({"owner_id": "a\0b"}, "owner_id contains NUL"),
        ({"key_id": "k" * 257}, "key_id is longer"),
        ({"prompt_tokens": -1, "cached_prompt_tokens": -1}, "negative"),
        ({"completion_tokens": MOST_TOKENS + 1}, "impossibly large"),
        ({"cached_prompt_tokens": 101}, "more prompt tokens were cached"),
        ({"reasoning_tokens": 21}, "more reasoning tokens"),
    ],
)
def test_a_bad_event_is_named_for_what_is_wrong(changes: dict[str, object], words: str) -> None:
    assert words in fault_of(event(**changes))


def test_a_clock_that_runs_ahead_does_not_reach_into_next_month() -> None:
    ahead = event(start_time=NOON + timedelta(minutes=10), finish_time=NOON + timedelta(minutes=11))
    settled = with_believable_times(ahead, received=NOON)
    assert (settled.start_time, settled.finish_time) == (NOON, NOON)


def test_a_little_skew_is_believed() -> None:
    ahead = event(start_time=NOON + timedelta(seconds=30), finish_time=NOON + timedelta(seconds=59))
    assert with_believable_times(ahead, received=NOON) is ahead


def test_an_event_that_was_kept_long_is_believed() -> None:
    late = event(start_time=NOON - timedelta(days=9), finish_time=NOON - timedelta(days=9))
    assert with_believable_times(late, received=NOON) is late


def test_nothing_ends_before_it_began() -> None:
    jumped = event(start_time=NOON, finish_time=NOON - timedelta(hours=1))
    assert with_believable_times(jumped, received=NOON).finish_time == NOON


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)])
def test_times_of_a_wrong_clock_are_put_right_by_its_difference(ahead: timedelta) -> None:
    told = event(start_time=NOON + ahead, finish_time=NOON + ahead + timedelta(seconds=3))
    right = by_our_clock(told, ahead)
    assert (right.start_time, right.finish_time) == (NOON, NOON + timedelta(seconds=3))


def test_a_clock_that_is_a_little_wrong_is_believed() -> None:
    told = event(start_time=NOON, finish_time=NOON)
    assert by_our_clock(told, timedelta(seconds=-60)) is told
