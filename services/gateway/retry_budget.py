"""How many second attempts there may be: a share of all requests, so that retries never double an overload."""

from __future__ import annotations


class RetryBudget:
    """A bucket of tokens: each request puts `share` of one in, each second attempt takes a whole one out.

    It starts with, and never holds more than, `burst`, so that a quiet gateway can retry at once and a busy one cannot
    save up (the scheme of Finagle's RetryBudget).
    """

    def __init__(self, share: float, burst: float = 10.0) -> None:
        self._share = share
        self._burst = burst
        self._tokens = burst if share > 0 else 0.0

    def note_request(self) -> None:
        """Count a first attempt."""
        self._tokens = min(self._burst, self._tokens + self._share)

    def take(self) -> bool:
        """Take leave for one second attempt, if there is any."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
