"""How full a meter is, as time passes: for what the gateway has to tell or decide without asking ratelimit. Pure.

Times are milliseconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_MS = 60_000
DAY_MS = 86_400_000
NEVER = -1
"""The wait of what can never fit."""


@dataclass(slots=True)
class Rate:
    """A level that drains at `limit` units a minute and must stay within `cap`; in 60,000ths of a unit, so integral."""

    limit: int
    cap: int
    at_ms: int
    level: int = 0

    @classmethod
    def told(cls, limit: int, cap: int, at_ms: int, reset_ms: int, used: int) -> Rate:
        """Make what stands so: it will be empty in `reset_ms`, which says more than whole units do."""
        return cls(limit, cap, at_ms, reset_ms * limit if limit else used * WINDOW_MS)

    @property
    def used(self) -> int:
        """Units in it, a begun one counted whole."""
        return -(-self.level // WINDOW_MS)

    @property
    def reset_ms(self) -> int:
        """Time until it is empty; one that never drains says a day."""
        if self.level == 0:
            return 0
        return -(-self.level // self.limit) if self.limit else DAY_MS

    def pass_to(self, now_ms: int) -> None:
        """Let time pass."""
        elapsed = max(0, now_ms - self.at_ms)
        self.level = max(0, self.level - elapsed * self.limit)
        self.at_ms += elapsed

    def wait_ms(self, cost: int) -> int:
        """How long until `cost` fits: 0 at once, or `NEVER`."""
        over = self.level + (cost - self.cap) * WINDOW_MS
        if cost == 0 or over <= 0:
            return 0
        return NEVER if cost > self.cap else -(-over // self.limit)

    def add(self, units: int) -> None:
        """Charge units, or give some back."""
        self.level = max(0, self.level + units * WINDOW_MS)


@dataclass(slots=True)
class Day:
    """A count that begins anew at `ends_ms`, a midnight of UTC."""

    limit: int
    ends_ms: int
    at_ms: int
    count: int = 0

    @property
    def used(self) -> int:
        """Units counted today."""
        return self.count

    @property
    def reset_ms(self) -> int:
        """Time until midnight."""
        return self.ends_ms - self.at_ms

    def pass_to(self, now_ms: int) -> None:
        """Let time pass."""
        self.at_ms = max(self.at_ms, now_ms)
        if self.at_ms >= self.ends_ms:
            self.count = 0
            self.ends_ms += ((self.at_ms - self.ends_ms) // DAY_MS + 1) * DAY_MS

    def wait_ms(self, cost: int) -> int:
        """How long until `cost` fits: 0 at once, or `NEVER`."""
        if cost == 0 or self.count + cost <= self.limit:
            return 0
        return NEVER if cost > self.limit else self.reset_ms

    def add(self, units: int) -> None:
        """Count units, or give some back."""
        self.count = max(0, self.count + units)


Level = Rate | Day
