"""When to stop asking a dependency that does not answer, and when to ask again.

A frozen peer costs every caller a full timeout; after a few of those the answer is known. The breaker then refuses at
once, lets a single caller try again after a pause, and lengthens the pause while that fails.
"""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Closed until `failures` in a row; then open for `pause_s`, doubling up to `longest_pause_s` per failed probe.

    The caller asks `allows` before a call and reports with `succeeded` or `failed` after it. A probe that never
    reports (its caller was cancelled) is replaced after `longest_pause_s`.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        failures: int = 3,
        pause_s: float = 1.0,
        longest_pause_s: float = 5.0,
    ) -> None:
        self._monotonic = monotonic
        self._failures = failures
        self._pause_s = pause_s
        self._longest_pause_s = longest_pause_s
        self._failed = 0
        self._pause = pause_s
        self._open_until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """True while calls are refused or one of them is on probation."""
        return self._open_until is not None

    def allows(self) -> bool:
        """Say whether a call may go; while open, True for one caller per pause, who is the probe."""
        if self._open_until is None:
            return True
        now = self._monotonic()
        if now < self._open_until:
            return False
        self._probing = True
        self._open_until = now + self._longest_pause_s
        return True

    def succeeded(self) -> None:
        """Close: the dependency answers."""
        self._failed = 0
        self._open_until = None
        self._probing = False
        self._pause = self._pause_s

    def failed(self) -> None:
        """Count a failure; open at the limit; while open, only the probe's failure matters."""
        if self._open_until is None:
            self._failed += 1
            if self._failed >= self._failures:
                self._open_until = self._monotonic() + self._pause
        elif self._probing:
            self._probing = False
            self._pause = min(self._pause * 2, self._longest_pause_s)
            self._open_until = self._monotonic() + self._pause
