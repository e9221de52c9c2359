"""How many second attempts there may be: a share of the requests of the last seconds, so that retries never make an
overload worse.

A request pays only for second attempts within `WINDOW_S` after it, so a busy hour saves nothing up for a storm. What is
allowed besides is a small number however few requests there are: a quiet gateway whose one replica dies has a handful
of requests and no share to speak of (both are Finagle's scheme, with its defaults).
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_S = 10
"""Seconds for which a request or an attempt counts."""


@dataclass(slots=True)
class _Second:
    number: int = -WINDOW_S
    requests: int = 0
    taken: int = 0


class RetryBudget:
    """Counts per second of the window. Times are monotonic seconds and arguments."""

    def __init__(self, share: float, least: float) -> None:
        """`share`: second attempts per request, 0 to 1; 0 means none at all. `least`: those that the window allows
        whatever the share of its requests is.
        """
        self._share = share
        self._least = least if share > 0 else 0.0
        self._seconds = [_Second() for _ in range(WINDOW_S)]

    def note_request(self, now: float) -> None:
        """Count a first attempt."""
        self._second(now).requests += 1

    def take(self, now: float) -> bool:
        """Take leave for one second attempt, if there is any."""
        present = self._second(now)
        window = [each for each in self._seconds if present.number - each.number < WINDOW_S]
        allowed = max(self._least, self._share * sum(each.requests for each in window))
        if sum(each.taken for each in window) + 1 > allowed:
            return False
        present.taken += 1
        return True

    def _second(self, now: float) -> _Second:
        number = int(now)
        place = number % WINDOW_S
        if self._seconds[place].number != number:
            self._seconds[place] = _Second(number)
        return self._seconds[place]
