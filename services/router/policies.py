"""How one of a pool's replicas is picked: four policies by name. Pure: the same question gets the same answer.

`prefix_affinity`, the default: prompts that begin alike go where their beginning is cached. Each beginning (256, 512,
1,024, … bytes of the prompt) has a home on the ring; the home of the shortest beginning that has room takes the
request. So all that share a system prompt share a home as long as it can bear them; when it cannot, longer beginnings
divide them. A conversation under way goes home to where its session is, and meets its own past there. "Room" is a
bound on the load: a home takes no more than `BOUND` times its part of all requests, and nothing while it has a queue
and others have none.

`session`: by the session alone, without a look at the prompt. `least_load`: who is least busy.
`round_robin`: each in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

from services.router.replicas import Replica
from services.router.ring import Ring

BOUND = 1.25
"""Most requests that a home takes, over its part of all."""

CALM_SHARE = 1 / 16
"""Share of its slots up to which a home takes requests whatever the others have: that few disturb nobody."""

PolicyName = Literal["prefix_affinity", "session", "least_load", "round_robin"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a policy looks at."""

    request_id: str
    prefix_hashes: Sequence[int] = ()
    session_hash: int = 0
    """0: none."""
    adapter: str = ""
    excluded: Collection[str] = ()
    """Ids of replicas."""


class Pool:
    """The replicas that serve one model for one kind of work, usable or not, by id."""

    __slots__ = ("_ring", "replicas", "turn")

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = replicas
        self._ring: Ring | None = None
        self.turn = 0
        """Counts the picks of `round_robin`."""

    @property
    def ring(self) -> Ring:
        """Their ring, made when first needed."""
        if self._ring is None:
            self._ring = Ring(self.replicas)
        return self._ring


Policy = Callable[[Pool, Wish, float], Replica | None]
"""Picks a replica that can be used now; None when there is none."""


def usable(pool: Pool, wish: Wish, now: float) -> list[Replica]:
    """Answer who can take it: those that have its adapter loaded, if any has."""
    excluded = wish.excluded
    found = [each for each in pool.replicas if each.usable_from <= now < each.usable_until and each.id not in excluded]
    if wish.adapter:
        return [each for each in found if wish.adapter in each.adapters] or found
    return found


def least_load(pool: Pool, wish: Wish, now: float) -> Replica | None:
    """Pick the one with the least score; among equals the request's id decides, the same everywhere."""
    return _least_loaded(usable(pool, wish, now), wish.request_id)


def round_robin(pool: Pool, wish: Wish, now: float) -> Replica | None:
    """Pick the next."""
    found = usable(pool, wish, now)
    pool.turn += 1
    return found[pool.turn % len(found)] if found else None


def prefix_affinity(pool: Pool, wish: Wish, now: float) -> Replica | None:
    """Pick the session's home if it has room, or else that of the prompt's shortest beginning which has."""
    return _at_home(pool, wish, now, (*_session(wish), *wish.prefix_hashes))


def session(pool: Pool, wish: Wish, now: float) -> Replica | None:
    """Pick the session's home if it has room."""
    return _at_home(pool, wish, now, _session(wish))


POLICIES: Mapping[PolicyName, Policy] = {
    "prefix_affinity": prefix_affinity,
    "session": session,
    "least_load": least_load,
    "round_robin": round_robin,
}


def _session(wish: Wish) -> Sequence[int]:
    return (wish.session_hash,) if wish.session_hash else ()


def _at_home(pool: Pool, wish: Wish, now: float, keys: Sequence[int]) -> Replica | None:
    found = usable(pool, wish, now)
    if keys and len(found) > 1:
        able = {each.id for each in found if each.connected}
        calm = [each for each in found if not each.waiting]
        if calm and len(calm) < len(found):
            able &= {each.id for each in calm}
        slots = sum([each.slots for each in found])
        share = BOUND * (sum([each.requests for each in found]) + 1) / slots
        for key in keys:
            home = next((each for each in pool.ring.walk(key) if each.id in able), None)
            if home is not None and _has_room(home, share):
                return home
        for home in pool.ring.walk(keys[-1]):
            if home.id in able and _has_room(home, share):
                return home
    return _least_loaded(found, wish.request_id)


def _has_room(replica: Replica, share: float) -> bool:
    return replica.requests < replica.slots * max(share, CALM_SHARE)


def _least_loaded(found: Sequence[Replica], request_id: str) -> Replica | None:
    if len(found) < 2:
        return found[0] if found else None
    best = min([each.score for each in found])
    equals = [each for each in found if each.score == best]
    return equals[0] if len(equals) == 1 else equals[crc32(request_id.encode()) % len(equals)]
