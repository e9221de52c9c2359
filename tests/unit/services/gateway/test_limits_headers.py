"""Durations in Go's style, and which of several limits is told."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.limits_headers import Meter, duration, headers

_UNITS_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (2, "2ms"),
        (120, "120ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1001, "1.001s"),
        (8640, "8.64s"),
        (37_973, "37.973s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (66_779, "1m6.779s"),
        (127_930, "2m7.93s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
        (86_400_000, "24h0m0s"),
        (90_061_001, "25h1m1.001s"),
    ],
)
def test_durations_are_written_as_recorded(ms: int, text: str) -> None:
    assert duration(ms) == text


@given(st.integers(min_value=1, max_value=10**10))
def test_a_duration_says_exactly_its_milliseconds_in_gos_grammar(ms: int) -> None:
    text = duration(ms)
    match = re.fullmatch(r"(?:(?:(\d+)h)?(\d+)m)?(\d+)(?:\.(\d{0,2}[1-9]))?(s|ms)", text)
    assert match is not None
    hours, minutes, whole, fraction, unit = match.groups()
    total = int(hours or 0) * _UNITS_MS["h"] + int(minutes or 0) * _UNITS_MS["m"] + int(whole) * _UNITS_MS[unit]
    assert total + int((fraction or "").ljust(3, "0")) == ms
    assert unit == "s" or ms < 1000


def test_no_meters_make_no_headers() -> None:
    assert headers([]) == []


def test_requests_come_before_tokens_and_all_six_are_there() -> None:
    made = headers([Meter("tokens", 1000, 900, 6), Meter("requests", 60, 59, 1000)])
    assert made == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-limit-tokens", b"1000"),
        (b"x-ratelimit-remaining-tokens", b"900"),
        (b"x-ratelimit-reset-tokens", b"6ms"),
    ]


def test_an_unlimited_dimension_has_no_headers() -> None:
    assert [name for name, _ in headers([Meter("requests", 1, 1, 0)])] == [
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
    ]


@pytest.mark.parametrize(
    ("meters", "limit"),
    [
        ([Meter("requests", 100, 50, 1), Meter("requests", 10, 4, 1)], 10),  # 40 % binds before 50 %
        ([Meter("requests", 10, 5, 1), Meter("requests", 1000, 100, 1)], 1000),  # though 100 is more than 5
        ([Meter("requests", 10, 5, 1), Meter("requests", 20, 10, 9)], 20),  # equal shares: the slower one
        ([Meter("requests", 10, 0, 1), Meter("requests", 0, 0, 0)], 0),  # nothing is allowed at all
    ],
)
def test_the_limit_with_the_smallest_share_left_is_told(meters: list[Meter], limit: int) -> None:
    for order in (meters, meters[::-1]):
        assert (b"x-ratelimit-limit-requests", b"%d" % limit) in headers(order)


_METERS = st.builds(
    Meter,
    dimension=st.sampled_from(["requests", "tokens"]),
    limit=st.integers(0, 10**9),
    remaining=st.integers(-5, 10**9),
    reset_ms=st.integers(0, 10**8),
)


@given(st.lists(_METERS, max_size=8))
def test_the_headers_tell_one_real_meter_per_dimension_and_none_has_a_smaller_share(meters: list[Meter]) -> None:
    made = dict(headers(meters))
    for dimension in (b"requests", b"tokens"):
        of_it = [meter for meter in meters if meter.dimension.encode() == dimension]
        assert (b"x-ratelimit-limit-" + dimension in made) == bool(of_it)
        if of_it:
            limit = int(made[b"x-ratelimit-limit-" + dimension])
            remaining = int(made[b"x-ratelimit-remaining-" + dimension])
            assert any(meter.limit == limit and max(0, meter.remaining) == remaining for meter in of_it)
            if limit:
                assert all(max(0, meter.remaining) * limit >= remaining * meter.limit for meter in of_it if meter.limit)
