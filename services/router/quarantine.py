"""Requests that kill: what took two replicas down is not shown a third.

A replica that dies fails everything it runs, so one death says little about any of its requests. A request that was on
trial in two deaths is suspect enough to be refused for a while, and with it every request of the same content, by
whichever gateway it comes. One of that content that was served shows that the content was not it.
"""

from __future__ import annotations

from collections import OrderedDict

DURATION_S = 600.0
REPLICAS = 2
CAPACITY = 10_000


class Quarantine:
    """Contents by their hash. Bounded: the oldest are forgotten first."""

    def __init__(self, *, duration_s: float = DURATION_S) -> None:
        self._duration_s = duration_s
        self._suspects: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._until: OrderedDict[int, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def holds(self, body_hash: int, now: float) -> bool:
        """Say whether a content is refused at present."""
        until = self._until.get(body_hash)
        if until is None:
            return False
        if until <= now:
            del self._until[body_hash]
            return False
        return True

    def suspect(self, body_hash: int, request_id: str, replica_id: str, now: float) -> None:
        """Note that a replica died with this request."""
        if not body_hash:
            return
        died = self._suspects.pop(request_id, frozenset()) | {replica_id}
        if len(died) < REPLICAS:
            self._suspects[request_id] = died
            if len(self._suspects) > CAPACITY:
                self._suspects.popitem(last=False)
            return
        self._until[body_hash] = now + self._duration_s
        if len(self._until) > CAPACITY:
            self._until.popitem(last=False)

    def clear(self, body_hash: int, request_id: str) -> None:
        """Note that a request of this content was served."""
        self._suspects.pop(request_id, None)
        self._until.pop(body_hash, None)
