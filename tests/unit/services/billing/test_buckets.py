"""Buckets cover a question's range exactly once, page after page, and begin where the clock does."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.buckets import DAY, HOUR, MINUTE, RangeError, page

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WIDTHS = st.sampled_from([MINUTE, HOUR, DAY])


def test_days_begin_at_midnight_and_the_first_and_last_are_cut_by_the_range() -> None:
    found = page(NOON, NOON + DAY, DAY, 0, "")
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    assert list(found.buckets()) == [(NOON, midnight), (midnight, NOON + DAY)]
    assert found.whole_days == (NOON, NOON)
    assert found.token == ""


def test_whole_days_are_known_as_such() -> None:
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    whole = (midnight, midnight + 3 * DAY)
    assert page(*whole, DAY, 0, "").whole_days == whole
    assert page(*whole, HOUR, 0, "").whole_days == (midnight, midnight)
    assert page(midnight - MINUTE, midnight + 3 * DAY + MINUTE, DAY, 9, "").whole_days == whole


def test_seconds_are_rounded_outwards() -> None:
    found = page(NOON + timedelta(seconds=59), NOON + timedelta(seconds=61), MINUTE, 0, "")
    assert (found.start, found.end) == (NOON, NOON + 2 * MINUTE)


@given(start=st.integers(0, 10**6), length=st.integers(1, 10**5), width=WIDTHS, count=st.integers(1, 400))
def test_pages_follow_each_other_without_gap_or_overlap(start: int, length: int, width: timedelta, count: int) -> None:
    begin, end = NOON + start * MINUTE, NOON + (start + length) * MINUTE
    seen, token = [], ""
    for _ in range(100):
        found = page(begin, end, width, count, token)
        buckets = list(found.buckets())
        assert 1 <= len(buckets) <= count
        seen += buckets
        token = found.token
        if not token:
            break
    assert seen[0][0] == begin
    assert all(before[1] == after[0] for before, after in itertools.pairwise(seen))
    assert token or seen[-1][1] == end


@given(start=st.integers(0, 10**5), offset=st.integers(0, 5000), width=WIDTHS)
def test_a_time_is_in_the_bucket_that_it_is_counted_in(start: int, offset: int, width: timedelta) -> None:
    begin = NOON + start * MINUTE
    found = page(begin, begin + 10 * DAY, width, 0, "")
    time = begin + offset * MINUTE
    holding = [bucket for bucket in found.buckets() if bucket[0] <= time < bucket[1]]
    assert [found.bucket_of(time)] == [bucket[0] for bucket in holding] or time >= found.end


@pytest.mark.parametrize("token", ["page_", "x", "page_MTIz", "page_LTE", "page_" + "9" * 30])
def test_a_token_that_is_no_page_of_the_question_is_refused(token: str) -> None:
    with pytest.raises(RangeError, match="page"):
        page(NOON, NOON + DAY, HOUR, 0, token)


def test_an_empty_or_endless_range_is_refused() -> None:
    with pytest.raises(RangeError, match="end_time"):
        page(NOON, NOON, DAY, 0, "")
    with pytest.raises(RangeError, match="start_time"):
        page(NOON - 4000 * DAY, NOON, DAY, 0, "")
