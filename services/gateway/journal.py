"""The usage journal: nothing is served that could be lost before it is billed.

    record = UsageRecord.begun(…)
    async with Journal.opened(path, log=log) as journal:
        await journal.begin(record)                        # before anything of the answer goes to the client
        …
        await journal.finish(record.ended(Outcome.OK, …))  # before the last byte goes to the client
        await journal.void(record.request_id)              # instead, when nothing was dispatched after all
        await journal.note(record)                         # instead of all this, for what was served for free

Each of the first three returns when it is on the disk, and all that wait at a time share one commit. Now and then
`checkpoint` says how far open requests got, which nobody waits for: it is what they are billed if this process dies.
The first `finish` of a request stands.
A `begin` that raises, also because its caller was cancelled, leaves nothing behind.

When the disk is full, fails or hangs, `begin` raises METERING_UNAVAILABLE (paid work is closed) and works again as
soon as a write succeeds. `finish` and `void` raise it too, but what they said is kept and written when that is
possible: a request that was served is billed as it ended, or, if this process dies before, as it began. What `note`
cannot write is dropped, for it is only missing in a report, and there is no end to what is served for free.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from chassis.errors import CapstanError, Reason
from services.gateway.journal_file import JournalError, JournalFile
from services.gateway.journal_writer import Change, Commit, Kind, Work, Writer
from services.gateway.usage_record import UsageRecord


class Journal:
    """The event loop's side of the journal; a thread of its own does the writing. Made by `opened`."""

    def __init__(self, *, log: logging.Logger, patience_s: float, max_waiting: int) -> None:
        self._log = log
        self._patience_s = patience_s
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._entries: queue.SimpleQueue[Change | Work | None] = queue.SimpleQueue()
        self._waiting_count = 0
        self._finished = asyncio.Event()
        self.writable = True
        """False from a failed write to the next that succeeds."""
        self.is_refusing = False
        """True from a beginning that was refused, for whatever reason, to the next that is written."""
        self.recovered_count = 0
        """Requests that an earlier process began and did not finish."""
        self.commit_count = 0
        """Commits so far, each of which costs one sync of the disk."""
        self.set_aside_count = 0
        """Finished records that only a later release can read; they stay in the file for it."""
        self.dropped_count = 0
        """Free requests that could not be written and are missing in reports."""
        self._open: dict[str, float] = {}
        """Requests that are begun, by when, oldest first."""

    @property
    def open_count(self) -> int:
        """Requests that were begun here and neither ended nor taken back."""
        return len(self._open)

    @property
    def oldest_open_s(self) -> float:
        """For how long the oldest of those runs; 0: there is none."""
        return self._loop.time() - next(iter(self._open.values())) if self._open else 0.0

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls,
        path: Path,
        *,
        log: logging.Logger,
        max_bytes: int = 1 << 30,
        patience_s: float = 2.0,
        max_waiting: int = 20_000,
    ) -> AsyncIterator[Journal]:
        """Open the journal at `path`, alone in the world; leaving writes what is left and lets go of the file.

        `max_bytes` bounds the file (about 700 bytes for a request that billing has not acknowledged); in its last
        tenth nothing begins any more. `patience_s` bounds each wait for the disk, `max_waiting` how many wait.

        Raises:
            JournalError: it cannot be opened, or another process has it open.
        """
        journal = cls(log=log, patience_s=patience_s, max_waiting=max_waiting)
        opened: asyncio.Future[None] = journal._loop.create_future()
        writer = Writer(path, max_bytes, journal._entries, _Listener(journal), journal._loop)
        thread = threading.Thread(target=writer.run, args=(opened,), name="journal", daemon=True)
        thread.start()
        try:
            await opened
            yield journal
        finally:
            journal._entries.put(None)
            await asyncio.to_thread(thread.join, patience_s)

    async def begin(self, record: UsageRecord) -> None:
        """Make durable what `record.request_id` will be billed if nothing better follows.

        Raises:
            CapstanError: METERING_UNAVAILABLE: it is not recorded and must not be served.
        """
        if self._waiting_count >= self._max_waiting:
            self.is_refusing = True
            raise refusal("too many requests wait for the disk")
        try:
            await self._change(Kind.BEGIN, record.request_id, record.to_json())
        except (TimeoutError, asyncio.CancelledError) as error:
            # The disk may still do it, long after anybody served the request.
            self._submit(Kind.VOID, record.request_id, "")
            if isinstance(error, TimeoutError):
                self.is_refusing = True
                raise refusal("the disk does not answer") from None
            raise
        except CapstanError:
            self.is_refusing = True
            raise
        self.is_refusing = False

    def checkpoint(self, records: Sequence[UsageRecord]) -> None:
        """Note how far open requests got; durable soon, in one commit. What cannot be written is forgotten."""
        if self._waiting_count + len(records) <= self._max_waiting:
            for record in records:
                self._submit(Kind.CHECKPOINT, record.request_id, record.to_json())

    async def finish(self, record: UsageRecord) -> None:
        """Make durable how a request ended, and hand it to the shipper.

        Raises:
            CapstanError: METERING_UNAVAILABLE: not yet durable; it is kept and tried again.
        """
        try:
            await self._change(Kind.FINISH, record.request_id, record.to_json())
        except TimeoutError:
            raise refusal("the disk does not answer") from None

    async def void(self, request_id: str) -> None:
        """Forget a request that was begun and then served nothing; a finished one stays.

        Raises:
            CapstanError: METERING_UNAVAILABLE: not yet durable; it is kept and tried again.
        """
        try:
            await self._change(Kind.VOID, request_id, "")
        except TimeoutError:
            raise refusal("the disk does not answer") from None

    async def note(self, record: UsageRecord) -> None:
        """Make durable that a request was served for free, and hand it to the shipper; drop it where that cannot be."""
        if self._waiting_count >= self._max_waiting:
            self.dropped_count += 1
            return
        with contextlib.suppress(TimeoutError, CapstanError):  # who drops it counts it
            await self._change(Kind.NOTE, record.request_id, record.to_json())

    async def wait_finished(self) -> None:
        """Return when there may be finished records to ship."""
        await self._finished.wait()

    async def finished(self, limit: int) -> list[UsageRecord]:
        """Read the longest finished records, oldest first.

        Raises:
            CapstanError: METERING_UNAVAILABLE: the disk cannot be read.
        """
        self._finished.clear()  # before reading: what is finished meanwhile sets it again
        records: list[UsageRecord] | None = None
        try:
            records, set_aside_count = await self._work(lambda file: (file.finished(limit), file.set_aside_count))
        finally:
            if records is None or records:
                self._finished.set()
        if set_aside_count > self.set_aside_count:
            self.set_aside_count = set_aside_count
            self._log.error("%d usage records of a later release wait in the journal for it", set_aside_count)
        return records

    async def forget(self, request_ids: Sequence[str]) -> None:
        """Delete finished records that billing has committed.

        Raises:
            CapstanError: METERING_UNAVAILABLE: they are still there; shipping them again changes nothing.
        """
        await self._work(lambda file: file.forget(request_ids))

    async def _change(self, kind: Kind, request_id: str, body: str) -> None:
        async with asyncio.timeout(self._patience_s):
            await self._submit(kind, request_id, body)

    def _submit(self, kind: Kind, request_id: str, body: str) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        # Whoever gave up waiting never looks at his future again, and that is no mistake.
        done.add_done_callback(lambda future: None if future.cancelled() else future.exception())
        self._waiting_count += 1
        self._entries.put(Change(kind, request_id, body, done))
        return done

    async def _work(self, run: Callable[[JournalFile], Any]) -> Any:
        done: asyncio.Future[Any] = self._loop.create_future()
        self._entries.put(Work(run, done))
        try:
            async with asyncio.timeout(self._patience_s):
                return await done
        except TimeoutError:
            raise refusal("the disk does not answer") from None


class _Listener:
    """What the writer has to tell, put into the journal's state and its callers' futures."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def opened(self, recovered_count: int, unshipped_count: int) -> None:
        """Note what was found in the file."""
        self._journal.recovered_count = recovered_count
        if unshipped_count:
            self._journal._finished.set()

    def committed(self, commit: Commit) -> None:
        """Tell the waiters of one group."""
        journal = self._journal
        journal._waiting_count -= len(commit.changes) + len(commit.refused)
        if commit.tried:
            journal.commit_count += not commit.error
            if journal.writable and commit.error:
                journal._log.error("the usage journal cannot be written, paid work is closed: %s", commit.error)
            elif not journal.writable and not commit.error:
                journal._log.info("the usage journal can be written again")
            journal.writable = not commit.error
        lost = [*commit.refused, *commit.changes] if commit.error else commit.refused
        journal.dropped_count += sum(change.kind is Kind.NOTE for change in lost)
        for change in commit.changes:
            if change.kind is Kind.BEGIN and not commit.error:
                journal._open[change.request_id] = journal._loop.time()
            elif change.kind in (Kind.FINISH, Kind.VOID):  # also after an error: it is kept and tried again
                journal._open.pop(change.request_id, None)
            self.answered(change.done, None, refusal(commit.error) if commit.error else None)
        for change in commit.refused:
            self.answered(change.done, None, refusal("the journal is full: billing has not taken its records"))
        if commit.finished:
            journal._finished.set()

    def answered(self, done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        """Tell one waiter."""
        if done.done():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, CapstanError | JournalError):
            done.set_exception(error)
        else:
            done.set_exception(refusal(f"{type(error).__name__}: {error}"))


def refusal(message: str) -> CapstanError:
    """Build the error of a journal that cannot be written."""
    return CapstanError(Reason.METERING_UNAVAILABLE, message, retry_after_ms="1000")
