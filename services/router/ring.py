"""Consistent hashing: which replica a key belongs to, the same in every router that knows the same replicas.

Karger et al., "Consistent Hashing and Random Trees" (STOC 1997): when a replica comes or goes only its own share of the
keys moves. How much a replica takes at the most is the policy's to say ("with bounded loads": Mirrokni, Thorup and
Zadimoghaddam, 2018).
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache

from services.router.replicas import Replica

POINTS = 512
"""Places of each replica on the ring: shares differ by about 1/sqrt(512), 4 %. With 64 it is an eighth, and whoever has
the largest share has more to keep in its cache than fits, and loses what it needs next."""

_DIGEST_BYTES = 64
_POINT_BYTES = 8


class Ring:
    """Keys (0 to 2**64 - 1) to replicas."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        points = sorted((point, number) for number, replica in enumerate(replicas) for point in _points(replica.id))
        # Packed, because a search in a list of numbers that lie all over memory costs a miss of the cache each step.
        self._points = array("Q", [point for point, _ in points])
        self._owners = [replicas[number] for _, number in points]
        self._count = len(replicas)

    def walk(self, key: int) -> Iterator[Replica]:
        """Answer every replica once: the key's own first, then those that take its place."""
        size = len(self._points)
        start = bisect_left(self._points, key)
        seen: set[str] = set()
        for step in range(size):
            replica = self._owners[(start + step) % size]
            if replica.id not in seen:
                yield replica
                seen.add(replica.id)
                if len(seen) == self._count:
                    return


@lru_cache(maxsize=1024)
def _points(replica_id: str) -> tuple[int, ...]:
    """Kept, because every replica that comes or goes makes new rings of all others."""
    digests = [
        hashlib.blake2b(f"{replica_id}/{number}".encode(), digest_size=_DIGEST_BYTES).digest()
        for number in range(POINTS * _POINT_BYTES // _DIGEST_BYTES)
    ]
    return tuple(
        int.from_bytes(digest[place : place + _POINT_BYTES], "big")
        for digest in digests
        for place in range(0, _DIGEST_BYTES, _POINT_BYTES)
    )
