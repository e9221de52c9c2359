"""When a replica that fails is shut out of its pool, and how it comes back: one request on trial at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EjectionRules:
    """How patient the router is."""

    failures: int = 3
    """Failures in a row that shut a replica out."""
    pause_s: float = 1.0
    """First pause until a trial; doubles while trials fail and when the replica falls again soon."""
    longest_pause_s: float = 30.0
    forgiven_after_s: float = 60.0
    """A replica that served this long is as good as new: its next pause is the first one again."""


class Ejection:
    """One replica's standing. Closed (it serves) or open (it is shut out, `retry_at` says until when)."""

    __slots__ = ("_closed_at", "_failures", "_pause_s", "_rules", "epoch", "is_open", "retry_at")

    def __init__(self, rules: EjectionRules) -> None:
        self._rules = rules
        self._failures = 0
        self._pause_s = 0.0
        self._closed_at = float("-inf")
        self.epoch = 0
        """Grows with each change: what was placed before says nothing about what is now."""
        self.is_open = False
        self.retry_at = 0.0
        """Monotonic time from which one request may try; meaningless while closed."""

    def tried(self, now: float) -> None:
        """Note that a request goes there on trial: no other one follows for a pause, whatever becomes of it."""
        self.retry_at = now + self._pause_s

    def succeeded(self, epoch: int, now: float) -> None:
        """Note a request that went well and was placed in `epoch`."""
        self._failures = 0
        if self.is_open and epoch == self.epoch:
            self.is_open = False
            self.epoch += 1
            self._closed_at = now

    def failed(self, epoch: int, now: float, *, may_open: bool) -> None:
        """Note one that failed; `may_open` is False when too many of the pool are shut out already."""
        if self.is_open:
            if epoch == self.epoch:  # the trial; the others failed with what opened it
                self._open(now)
            return
        self._failures += 1
        if self._failures >= self._rules.failures and may_open:
            if now - self._closed_at > self._rules.forgiven_after_s:
                self._pause_s = 0.0
            self._open(now)

    def shut(self, now: float) -> None:
        """Shut it out for a fault that was seen and not counted, at once for the longest pause: a trial costs much."""
        if not self.is_open:
            self._pause_s = self._rules.longest_pause_s
            self._open(now)

    def prove(self, now: float) -> None:
        """Let it serve again: it has shown that it can."""
        if self.is_open:
            self.succeeded(self.epoch, now)

    def _open(self, now: float) -> None:
        longer = self._pause_s * 2 or self._rules.pause_s
        self._pause_s = min(longer, self._rules.longest_pause_s)
        self._failures = 0
        self.is_open = True
        self.epoch += 1
        self.retry_at = now + self._pause_s
