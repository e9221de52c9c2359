"""What the gateway remembers of keys, and how far each memory can be believed: pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from chassis.errors import CapstanError
from services.gateway.caller import Caller

MAX_CALLERS = 50_000
MAX_REFUSALS = 10_000
"""Apart from the callers, so that junk never drives a good key out."""
STALE_S = 300.0
"""How long after its freshness a caller is still served while auth is away."""
REFUSAL_TTL_S = 5.0
RETRY_S = 1.0
"""How long a stale caller is served before auth is asked again."""


@dataclass(slots=True)
class Known:
    """A caller as auth described it. Times are monotonic seconds."""

    caller: Caller
    fresh_until: float
    stale_until: float


class KnownKeys:
    """Callers and refusals by the digest of their key."""

    def __init__(self) -> None:
        self._callers: OrderedDict[bytes, Known] = OrderedDict()
        self._refusals: OrderedDict[bytes, tuple[CapstanError, float]] = OrderedDict()
        self._changes = 0
        self._doubts = 0

    @property
    def moment(self) -> tuple[int, int]:
        """Mark a moment, for `learn`: how many changes and doubts there were."""
        return self._changes, self._doubts

    def fresh(self, digest: bytes, now: float) -> Caller | CapstanError | None:
        """Answer what can be believed without asking."""
        known = self._callers.get(digest)
        if known is not None and now < known.fresh_until:
            return known.caller
        refusal = self._refusals.get(digest)
        if refusal is not None and now < refusal[1]:
            return refusal[0]
        return None

    def has(self, digest: bytes) -> bool:
        """Whether a caller is remembered, however long ago it was."""
        return digest in self._callers

    def stale(self, digest: bytes, now: float) -> Caller | None:
        """Answer who it was, for a while after that, now that auth cannot be asked; believe it for a moment."""
        known = self._callers.get(digest)
        if known is None or now >= known.stale_until:
            return None
        known.fresh_until = min(now + RETRY_S, known.stale_until)
        return known.caller

    def learn(
        self, digest: bytes, verdict: Caller | CapstanError, ttl_s: float, now: float, asked_at: tuple[int, int]
    ) -> None:
        """Keep what auth said to a question from the `moment` `asked_at`.

        If anything has changed since, it is not kept. If something may have been missed since, it counts only for when
        auth is away.
        """
        if asked_at[0] != self._changes:
            return
        if asked_at != self.moment:
            if isinstance(verdict, CapstanError):
                return
            ttl_s = 0.0
        if isinstance(verdict, CapstanError):
            self._callers.pop(digest, None)
            self._refusals[digest] = (verdict, now + REFUSAL_TTL_S)
            _bound(self._refusals, digest, MAX_REFUSALS)
        else:
            self._refusals.pop(digest, None)
            self._callers[digest] = Known(verdict, now + ttl_s, now + ttl_s + STALE_S)
            _bound(self._callers, digest, MAX_CALLERS)

    def forget(self, key_ids: set[str], project_ids: set[str]) -> None:
        """Drop what auth says has changed. Refusals go too: a key may have come to life."""
        self._changes += 1
        self._refusals.clear()
        gone = [
            digest
            for digest, known in self._callers.items()
            if known.caller.key_id in key_ids or known.caller.project_id in project_ids
        ]
        for digest in gone:
            del self._callers[digest]

    def distrust(self, now: float) -> None:
        """Believe nothing without asking: changes may have been missed."""
        self._doubts += 1
        self._refusals.clear()
        for known in self._callers.values():
            known.fresh_until = min(known.fresh_until, now)


def _bound(
    cache: OrderedDict[bytes, Known] | OrderedDict[bytes, tuple[CapstanError, float]], digest: bytes, size: int
) -> None:
    cache.move_to_end(digest)
    if len(cache) > size:
        cache.popitem(last=False)
