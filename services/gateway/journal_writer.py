"""The journal's thread: takes what has gathered, commits it at once, and tells the event loop how that went."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from services.gateway.journal_file import JournalFile, Put

RETRY_S = 0.5
"""How often the disk is tried while there are records that could not be written."""

LONGEST_GROUP = 1000
"""Changes per commit, at most."""

ROOM_CHECK_INTERVAL = 256
"""Changes between two looks at the file's size."""


class Kind(enum.Enum):
    """What a change does to its request."""

    BEGIN = enum.auto()
    CHECKPOINT = enum.auto()
    FINISH = enum.auto()
    VOID = enum.auto()
    NOTE = enum.auto()
    """It ended, was free and never began."""


OWED = frozenset({Kind.FINISH, Kind.VOID})
"""Kept until they can be written: few, because each ends a request that was let in before nothing could be."""

REFUSABLE = frozenset({Kind.BEGIN, Kind.NOTE})
"""Not written where only the ends of what was begun have room left."""

ENDS = frozenset({Kind.FINISH, Kind.NOTE})
"""What is to be shipped."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change to make durable; `done` is for whoever waits for that."""

    kind: Kind
    request_id: str
    body: str
    done: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Work:
    """Anything else to do with the file, after the changes that came before it."""

    run: Callable[[JournalFile], Any]
    done: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Commit:
    """How a group went."""

    changes: Sequence[Change]
    """Those that were tried, each for the first time."""
    refused: Sequence[Change]
    """Those that were not, for want of room."""
    tried: bool
    """True when there was something to write, new or kept from before."""
    error: str
    """Why it failed; empty when it is durable."""
    finished: bool
    """True when there is something new to ship."""


class Listener(Protocol):
    """Who hears about it, on the event loop."""

    def opened(self, recovered_count: int, unshipped_count: int, /) -> None:
        """The file is open; so many requests were left open in it, and so many records wait to be shipped."""

    def committed(self, commit: Commit, /) -> None:
        """A group was tried."""

    def answered(self, done: asyncio.Future[Any], result: Any, error: Exception | None, /) -> None:
        """A `Work` was done, or the file could not be opened."""


class Writer:
    """Works through `entries` until it takes a None. What it must write and cannot, it keeps and tries again."""

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        entries: queue.SimpleQueue[Change | Work | None],
        listener: Listener,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._entries = entries
        self._listener = listener
        self._loop = loop
        self._owed: list[Change] = []
        self._has_room = True
        self._since_room_check = 0

    def run(self, opened: asyncio.Future[None]) -> None:
        """Open the file, then write. The body of the thread."""
        try:
            file = JournalFile(self._path, max_bytes=self._max_bytes)
            self._look_for_room(file)
        except Exception as error:
            self._tell(self._listener.answered, opened, None, error)
            return
        self._tell(self._listener.opened, file.recovered_count, file.finished_count)
        self._tell(self._listener.answered, opened, None, None)
        try:
            while self._turn(file):
                pass
        finally:
            file.close()

    def _turn(self, file: JournalFile) -> bool:
        group, last = self._gathered()
        changes = [entry for entry in group if isinstance(entry, Change)]
        if changes or self._owed:
            self._tell(self._listener.committed, self._commit(file, changes))
        for entry in group:
            if isinstance(entry, Work):
                self._do(file, entry)
        return not last

    def _gathered(self) -> tuple[list[Change | Work], bool]:
        """Wait for something to do and take all there is; the second value is True when it is the last."""
        group: list[Change | Work] = []
        with contextlib.suppress(queue.Empty):
            entry = self._entries.get(timeout=RETRY_S if self._owed else None)
            while entry is not None:
                group.append(entry)
                if len(group) >= LONGEST_GROUP:
                    return group, False
                entry = self._entries.get_nowait()
            return group, True
        return group, False

    def _commit(self, file: JournalFile, new: list[Change]) -> Commit:
        refused = [] if self._has_room else [change for change in new if change.kind in REFUSABLE]
        changes = new if self._has_room else [change for change in new if change.kind not in REFUSABLE]
        everything = [*self._owed, *changes]
        finishes = any(change.kind in ENDS for change in everything)
        try:
            self._write(file, everything)
        except Exception as failure:  # this thread must outlive whatever the disk does
            self._owed = [change for change in everything if change.kind in OWED]
            reason = f"{type(failure).__name__}: {failure}"
            return Commit(changes, refused, tried=True, error=reason, finished=False)
        self._owed = []
        return Commit(changes, refused, tried=bool(everything), error="", finished=finishes)

    def _write(self, file: JournalFile, changes: Sequence[Change]) -> None:
        puts = [
            Put(change.request_id, change.body, change.kind in ENDS)
            for change in changes
            if change.kind is Kind.BEGIN or change.kind in ENDS
        ]
        file.write(
            puts,
            voids=[change.request_id for change in changes if change.kind is Kind.VOID],
            reached=[(change.request_id, change.body) for change in changes if change.kind is Kind.CHECKPOINT],
        )
        self._since_room_check += len(puts)
        if self._since_room_check >= ROOM_CHECK_INTERVAL or not self._has_room:
            self._look_for_room(file)

    def _look_for_room(self, file: JournalFile) -> None:
        self._has_room = file.has_room()
        self._since_room_check = 0

    def _do(self, file: JournalFile, work: Work) -> None:
        try:
            result = work.run(file)
            if not self._has_room:
                self._look_for_room(file)
        except Exception as error:
            self._tell(self._listener.answered, work.done, None, error)
        else:
            self._tell(self._listener.answered, work.done, result, None)

    def _tell(self, what: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(what, *args)
