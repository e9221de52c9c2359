"""The simulator's KV cache: blocks of tokens, shared by equal prefixes, the least recently used ones forgotten first.

It counts blocks and keeps no contents. Like the real thing it never serves a whole prompt from the cache, because at
least one token has to be computed, and it shares only full blocks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile


def block_hashes(prompt: Sequence[int], *, salt: str, adapter: str, block_tokens: int) -> list[int]:
    """One hash per full block of the prompt that may come from the cache; each covers all that is before it."""
    parent = hash((salt, adapter))
    hashes = []
    for start in range(0, len(prompt) - block_tokens, block_tokens):
        parent = hash((parent, *prompt[start : start + block_tokens]))
        hashes.append(parent)
    return hashes


class BlockCache:
    """A fixed number of blocks: held by running sequences, or idle and still known, or free."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._holders: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._private = 0

    @property
    def usage(self) -> float:
        """Share of the blocks that running sequences hold, 0 to 1."""
        return (len(self._holders) + self._private) / self._capacity

    def acquire(self, hashes: Sequence[int], private: int) -> int | None:
        """Hold the blocks of these hashes and `private` unshared ones.

        Answers how many of the hashes were there already, from the first on; None when there is no room, and then
        nothing is held.
        """
        known = (block in self._holders or block in self._idle for block in hashes)
        found = sum(1 for _ in takewhile(bool, known))
        fresh = sum(block not in self._holders for block in hashes)
        if len(self._holders) + self._private + fresh + private > self._capacity:
            return None
        for block in hashes:
            self._idle.pop(block, None)
            self._holders[block] = self._holders.get(block, 0) + 1
        self._private += private
        self._forget()
        return found

    def grow(self) -> bool:
        """Hold one more private block; False when there is no room."""
        if len(self._holders) + self._private >= self._capacity:
            return False
        self._private += 1
        self._forget()
        return True

    def release(self, hashes: Sequence[int], private: int) -> None:
        """Give back what `acquire` and `grow` gave; the hashed blocks stay known until their room is needed."""
        for block in reversed(hashes):  # a prefix outlives what follows it
            self._holders[block] -= 1
            if not self._holders[block]:
                del self._holders[block]
                self._idle[block] = None
        self._private -= private

    def _forget(self) -> None:
        while len(self._holders) + len(self._idle) + self._private > self._capacity:
            self._idle.popitem(last=False)
