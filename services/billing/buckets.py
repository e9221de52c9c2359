"""Buckets of time and their pages: which ones a question about usage asks for, and where its next page begins.

Buckets begin at multiples of their width since the epoch, which is UTC's minutes, hours and days. The first and the
last may be cut short by the question itself, at whole minutes: what is finer is not kept.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

USUAL_COUNT = {MINUTE: 60, HOUR: 24, DAY: 7}
"""Buckets on a page when nobody says how many."""

LONGEST_RANGE = timedelta(days=3660)
"""Between start and end, at most."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RangeError(ValueError):
    """The question's times or its page make no sense; the text says which, beginning with the field's name."""


@dataclass(frozen=True, slots=True)
class Page:
    """A run of buckets, all of one width but for the first and the last, which the range may cut."""

    start: datetime
    """Inclusive."""
    end: datetime
    """Exclusive."""
    width: timedelta
    token: str
    """Of the page that follows; empty when there is none."""

    @property
    def whole_days(self) -> tuple[datetime, datetime]:
        """Start and end of what sums by day tell all about; what is before and after, or all, needs finer ones."""
        first = _ceil(self.start, DAY)
        last = _floor(self.end, DAY)
        return (first, last) if self.width == DAY and first < last else (self.start, self.start)

    def bucket_of(self, time: datetime) -> datetime:
        """Answer the start of the bucket that `time` is in."""
        return max(self.start, _floor(time, self.width))

    def buckets(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield start and end of each bucket."""
        start = self.start
        while start < self.end:
            end = min(self.end, _floor(start, self.width) + self.width)
            yield start, end
            start = end


def page(start: datetime, end: datetime, width: timedelta, count: int, token: str) -> Page:
    """Find the page of `count` buckets (0: the usual number) that `token` names (empty: the first).

    Raises:
        RangeError: the range is empty or absurdly long, or the token is none of its pages.
    """
    start, end = _floor(start, MINUTE), _ceil(end, MINUTE)
    if end <= start:
        raise RangeError("end_time: it must be after start_time")
    if end - start > LONGEST_RANGE:
        raise RangeError(f"start_time: more than {LONGEST_RANGE.days} days before the end")
    first = _read(token) if token else start
    if not start <= first < end or (first != start and _floor(first, width) != first):
        raise RangeError("page: it is no page of this question")
    last = min(end, _floor(first, width) + width * (count or USUAL_COUNT[width]))
    return Page(first, last, width, _token(last) if last < end else "")


def _floor(time: datetime, width: timedelta) -> datetime:
    return _EPOCH + (time - _EPOCH) // width * width


def _ceil(time: datetime, width: timedelta) -> datetime:
    return _EPOCH - (_EPOCH - time) // width * width


def _token(time: datetime) -> str:
    return "page_" + base64.urlsafe_b64encode(str(int(time.timestamp())).encode()).decode().rstrip("=")


def _read(token: str) -> datetime:
    try:
        text = base64.urlsafe_b64decode(token.removeprefix("page_") + "==").decode("ascii")
        return _EPOCH + timedelta(seconds=int(text))
    except (ValueError, OverflowError, binascii.Error):
        raise RangeError("page: it is no page of this question") from None
