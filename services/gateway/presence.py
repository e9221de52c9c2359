"""Whether ratelimit answers, and how many gateways share the limits when it does not. Pure.

After a few failures in a row nobody asks any more, so that a frozen peer costs those few requests a timeout and no
others; a heartbeat in the background finds out when it is back, so that no request is ever a probe.
"""

from __future__ import annotations

FAILURES = 3


class Presence:
    """What is known of ratelimit."""

    def __init__(self) -> None:
        self._failed = 0
        self.gateways = 1
        """Gateways that live, as last counted."""

    @property
    def is_away(self) -> bool:
        """Nobody should ask."""
        return self._failed >= FAILURES

    def failed(self) -> None:
        """A call had no answer."""
        self._failed += 1

    def answered(self) -> None:
        """A request's call had an answer. While away that says nothing: it had left before."""
        if not self.is_away:
            self._failed = 0

    def back(self) -> None:
        """A heartbeat had an answer, and what had been kept for ratelimit was taken."""
        self._failed = 0
