"""What was found lately, and how far it can be believed.

Found rows and strangers are kept apart, so that a flood of random keys cannot push out the good ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from services.auth.principals import KeyRow

FRESH_S = 60.0
"""A row is asked for again after this, even if nothing was heard: the bound on a lost push."""

STALE_S = 300.0
"""A row this old is still used while the database does not answer: the bound on a revocation during an outage."""

STRANGER_S = 5.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What the database said of a digest (`row` None: nothing), and when."""

    row: KeyRow | None
    at_s: float
    """Monotonic seconds."""


class Cache:
    """Keeps the most recently asked for. Rows and strangers each have `size` places."""

    def __init__(self, monotonic: Callable[[], float], size: int) -> None:
        self._monotonic = monotonic
        self._size = size
        self._found: OrderedDict[bytes, Entry] = OrderedDict()
        self._strangers: OrderedDict[bytes, Entry] = OrderedDict()
        self._trusted_since = monotonic()
        self.changes = 0
        """How often something was forgotten: what was asked before and answered after that is not kept."""

    def __len__(self) -> int:
        return len(self._found) + len(self._strangers)

    def fresh(self, digest: bytes) -> Entry | None:
        """Answer what needs no question to the database."""
        now = self._monotonic()
        entry = self._found.get(digest)
        if entry is not None:
            self._found.move_to_end(digest)
            good = now - entry.at_s < FRESH_S and entry.at_s >= self._trusted_since
            return entry if good else None
        entry = self._strangers.get(digest)
        return entry if entry is not None and now - entry.at_s < STRANGER_S else None

    def stale(self, digest: bytes) -> Entry | None:
        """Answer a row that is good enough while the database does not answer."""
        entry = self._found.get(digest)
        return entry if entry is not None and self._monotonic() - entry.at_s < STALE_S else None

    def keep(self, digest: bytes, row: KeyRow | None, asked_s: float, changes: int) -> None:
        """Remember an answer to a question of `asked_s`, unless something was forgotten since `changes` was read."""
        if changes != self.changes:
            return
        kept, other = (self._strangers, self._found) if row is None else (self._found, self._strangers)
        other.pop(digest, None)
        kept[digest] = Entry(row, asked_s)
        kept.move_to_end(digest)
        if len(kept) > self._size:
            kept.popitem(last=False)

    def forget(self, key_ids: Collection[str], project_ids: Collection[str]) -> None:
        """Drop what changed; walks over everything, as changes are rare."""
        self.changes += 1
        gone = [
            digest
            for digest, entry in self._found.items()
            if entry.row is not None and (entry.row.id in key_ids or entry.row.project_id in project_ids)
        ]
        for digest in gone:
            del self._found[digest]

    def distrust(self) -> None:
        """Take everything for stale, also what is being asked for now: changes may have been missed."""
        self._trusted_since = self._monotonic()
        self._strangers.clear()
