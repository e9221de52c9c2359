"""Whether the service should get traffic: a set of named conditions, all of which must hold.

Conditions say something about this process (started, not draining, journal writable), never about a shared dependency:
if the database blinked and every replica turned unready at once, there would be nobody left to serve from cache.
"""

from __future__ import annotations

from collections.abc import Callable


class Condition:
    """One named thing that must be true."""

    def __init__(self, name: str, ready: bool, changed: Callable[[], None]) -> None:
        self.name = name
        self.ready = ready
        self.detail = ""
        self._changed = changed

    def set(self, ready: bool, detail: str = "") -> None:
        """Say whether it holds; `detail` is shown by /readyz."""
        self.ready, self.detail = ready, detail
        self._changed()


class Readiness:
    """All conditions of one service. Listeners are called when the conjunction changes."""

    def __init__(self) -> None:
        self._conditions: dict[str, Condition] = {}
        self._listeners: list[Callable[[bool], None]] = []
        self._last = False

    def condition(self, name: str, ready: bool = False) -> Condition:
        """Add a condition, or answer the one of that name."""
        if name not in self._conditions:
            self._conditions[name] = Condition(name, ready, self._changed)
            self._changed()
        return self._conditions[name]

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Call `listener` now and after each change."""
        self._listeners.append(listener)
        listener(self.ready)

    @property
    def ready(self) -> bool:
        """True when there is a condition and all hold."""
        return bool(self._conditions) and all(condition.ready for condition in self._conditions.values())

    def report(self) -> dict[str, str]:
        """What stands in the way: each condition that does not hold, with its detail."""
        return {c.name: c.detail or "not yet" for c in self._conditions.values() if not c.ready}

    def _changed(self) -> None:
        if self.ready != self._last:
            self._last = self.ready
            for listener in self._listeners:
                listener(self._last)
