"""How one of a pool's replicas is picked: four policies by name. Pure: the same question gets the same answer.

`prefix_affinity`, the default: prompts that begin alike go where their beginning is cached. Each beginning (256, 512,
1,024, … bytes of the prompt) has a home on the ring; the home of the shortest beginning that has room takes the
request. So all that share a system prompt share a home as long as it can bear them; when it cannot, longer beginnings
divide them. A conversation under way goes home to where its session is, and meets its own past there.

"Room" is a bound on the load: a home takes no more than `BOUND` times its part of all requests (`SESSION_BOUND` for a
session, which has the most to lose), and nothing while more than `QUEUE_SLACK` more wait there than where fewest do.
And no prompt may crowd out the others at its home: beyond `CROWD_SHARE` of a replica's part it goes to its next homes.
So what is popular is cached in many places, and what is rare keeps the one it has.

`session`: by the session alone, without a look at the prompt. `least_load`: who is least busy.
`round_robin`: each in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal
from zlib import crc32

from services.router.replicas import Replica
from services.router.ring import Ring

BOUND = 1.5
"""Most requests that a home takes, over its part of all."""

SESSION_BOUND = 2.0
"""The same for the home of a session."""

CROWD_SHARE = 0.5
"""Most requests that one beginning or session has at a home, over a replica's part of all; of those that this router
placed, since others do not tell it theirs."""

QUEUE_SLACK = 1
"""Requests that may wait at a home beyond the fewest that wait anywhere: one that is being read in is no queue yet."""

ADAPTER_BUSY_SHARE = 0.5
"""Share of its slots from which a replica that has an adapter is spared, and another loads it as well."""

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

    @property
    def key(self) -> int:
        """What makes it one of a crowd: its session, or else its shortest beginning. 0: nothing."""
        return self.session_hash or (self.prefix_hashes[0] if self.prefix_hashes else 0)


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
    """Answer who can take it: of an adapter, those that have it loaded, or whoever shall load it."""
    found = [each for each in pool.replicas if each.usable_from <= now < each.usable_until]
    if wish.excluded:
        found = [each for each in found if each.id not in wish.excluded]
    return _adapted(pool, wish.adapter, found) if wish.adapter else found


def _adapted(pool: Pool, adapter: str, found: Sequence[Replica]) -> list[Replica]:
    """Narrow `found` to those that have an adapter loaded and are not busy, or else to the one that shall load it too.

    That is the adapter's next home on the ring which has a slot free, so that routers that decide at the same moment
    decide alike, and a burst loads it once; where none has one, whatever is idle there has to go.
    """
    able = [each for each in found if each.description is not None and each.description.max_adapters]
    loaded = [each for each in able if adapter in each.adapters]
    calm = [each for each in loaded if each.waiting <= QUEUE_SLACK and each.requests < each.slots * ADAPTER_BUSY_SHARE]
    if calm or len(loaded) == len(able):
        return calm or loaded
    others = {each.id: each for each in able if adapter not in each.adapters}
    least = min([each.requests / each.slots for each in others.values()])
    if loaded and least >= ADAPTER_BUSY_SHARE:
        return loaded
    walk = [others[each.id] for each in pool.ring.walk(_place(adapter)) if each.id in others]
    walk = [each for each in walk if each.requests < each.slots * max(ADAPTER_BUSY_SHARE, least)] or walk
    free = [each for each in walk if each.description and len(each.adapters) < each.description.max_adapters]
    return (free or walk)[:1]


def _place(adapter: str) -> int:
    return int.from_bytes(blake2b(adapter.encode(), digest_size=8).digest(), "big")


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
    return _at_home(pool, wish, now, wish.prefix_hashes)


def session(pool: Pool, wish: Wish, now: float) -> Replica | None:
    """Pick the session's home if it has room."""
    return _at_home(pool, wish, now, ())


POLICIES: Mapping[PolicyName, Policy] = {
    "prefix_affinity": prefix_affinity,
    "session": session,
    "least_load": least_load,
    "round_robin": round_robin,
}


def _at_home(pool: Pool, wish: Wish, now: float, beginnings: Sequence[int]) -> Replica | None:
    found = usable(pool, wish, now)
    if len(found) > 1 and (beginnings or wish.session_hash):
        room = _Room(found, wish)
        if wish.session_hash:
            home = room.home(pool.ring, wish.session_hash)
            if home is not None and room.has(home, SESSION_BOUND):
                return home
        for key in beginnings:
            home = room.home(pool.ring, key)
            if home is not None and room.has(home, BOUND):
                return home
        for home in pool.ring.walk(beginnings[-1] if beginnings else wish.session_hash):
            if room.has(home, BOUND):
                return home
    return _least_loaded(found, wish.request_id)


class _Room:
    """What each of some replicas may take, as a part of what all have."""

    __slots__ = ("_found", "_held_share", "_key", "_longest_queue", "_share")

    def __init__(self, found: Sequence[Replica], wish: Wish) -> None:
        self._found = set(found)
        self._key = wish.key
        self._longest_queue = min([each.waiting for each in found]) + QUEUE_SLACK
        slots = sum([each.slots for each in found])
        self._share = (sum([each.requests for each in found]) + 1) / slots
        self._held_share = CROWD_SHARE * (sum([each.held_count for each in found]) + 1) / slots

    def home(self, ring: Ring, key: int) -> Replica | None:
        """Answer the first on the ring that can be used."""
        return next((each for each in ring.walk(key) if each in self._found and each.connected), None)

    def has(self, replica: Replica, bound: float) -> bool:
        """Say whether a replica has room."""
        return (
            replica in self._found
            and replica.connected
            and replica.waiting <= self._longest_queue
            and replica.requests < replica.slots * max(bound * self._share, CALM_SHARE)
            and replica.crowds.get(self._key, 0) < replica.slots * max(self._held_share, CALM_SHARE)
        )


def _least_loaded(found: Sequence[Replica], request_id: str) -> Replica | None:
    if len(found) < 2:
        return found[0] if found else None
    best = min([each.score for each in found])
    equals = [each for each in found if each.score == best]
    return equals[0] if len(equals) == 1 else equals[crc32(request_id.encode()) % len(equals)]
