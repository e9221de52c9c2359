"""Who tries keys that are none: a bucket per client address, so that guessing and junk cost one address, not auth.

Pure but for the clock that its caller reads.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

MOST_ADDRESSES = 10_000
"""The one that was heard of least lately is forgotten."""


class WrongKeys:
    """Counts refused keys by address, `per_minute` of them for free; 0 counts nothing."""

    def __init__(self, per_minute: int) -> None:
        self._burst = float(per_minute)
        self._per_second = per_minute / 60.0
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Answer how long `address` must wait before another key is looked at; 0 when it need not."""
        home = _home(address)
        if home not in self._levels:
            return 0.0
        return max(0.0, (self._level(home, now) + 1.0 - self._burst) / self._per_second)

    def note(self, address: str, now: float) -> None:
        """A key from `address` was refused."""
        if not self._per_second or not address:
            return
        home = _home(address)
        self._levels[home] = (self._level(home, now) + 1.0, now)
        self._levels.move_to_end(home)
        if len(self._levels) > MOST_ADDRESSES:
            self._levels.popitem(last=False)

    def _level(self, home: str, now: float) -> float:
        level, seen = self._levels.get(home, (0.0, now))
        return max(0.0, level - (now - seen) * self._per_second)


def _home(address: str) -> str:
    """Answer what one client has for certain: an IPv4 address, or the 64 bits that an IPv6 host chooses from."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False))
