"""Whether an engine that has work gets on with it: the health that matters, as a hung engine still answers."""

from __future__ import annotations


class Progress:
    """Remembers when something last happened while there was work. Times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self._since: float | None = None

    def began(self, now: float) -> None:
        """Work arrived; the time of idling before it does not count."""
        if self._since is None:
            self._since = now

    def stepped(self, now: float) -> None:
        """Something came out."""
        if self._since is not None:
            self._since = now

    def ended(self) -> None:
        """There is no work left."""
        self._since = None

    def stalled_s(self, now: float) -> float | None:
        """Time without progress; None when there is no work."""
        return None if self._since is None else max(0.0, now - self._since)
