"""The journal on disk: one SQLite file whose every write is a single durable commit.

All rows of a commit travel in one JSON argument of one statement. Each SQLite call gives the interpreter lock away and
waits for it again, up to 5 ms behind a busy event loop, so a call per row would make a commit of 100 rows last half a
second just then when the gateway has most to do.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from services.gateway.usage_record import UsageRecord

_SCHEMA_VERSION = 1
_PAGE_BYTES = 4096
_OPEN, _FINISHED, _SET_ASIDE = 0, 1, 2

LOCK_PATIENCE_S = 5.0
"""How long opening waits for a process that still has the file, as a predecessor on the same volume may."""

_RESERVE = 0.1
"""Share of the file that only the ends of requests may fill, so that what was begun can always be finished."""

_SCHEMA = f"""
create table journal(
    request_id text primary key, state integer not null, seq integer not null, body text not null
) without rowid;
create index journal_finished on journal(seq) where state = {_FINISHED};
pragma user_version = {_SCHEMA_VERSION};
"""

_PUT = f"""
insert into journal(request_id, state, seq, body)
select value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each(?) where true
on conflict(request_id) do update set state = excluded.state, seq = excluded.seq, body = excluded.body
where journal.state = {_OPEN}
"""  # noqa: S608 - only our own constants

# Only what is still open: a checkpoint that comes late must not bring back what is gone.
_REACH = f"""
update journal set body = reached.value ->> 1 from json_each(?) as reached
where journal.request_id = reached.value ->> 0 and journal.state = {_OPEN}
"""  # noqa: S608 - only our own constants

_VOID = f"delete from journal where state = {_OPEN} and request_id in (select value from json_each(?))"  # noqa: S608
_FORGET = f"delete from journal where state = {_FINISHED} and request_id in (select value from json_each(?))"  # noqa: S608
_READ = f"select request_id, body from journal where state = {_FINISHED} order by seq limit ?"  # noqa: S608
_SET = f"update journal set state = {_SET_ASIDE} where request_id in (select value from json_each(?))"  # noqa: S608


class JournalError(Exception):
    """The journal cannot be opened; the text says why. A person must look: it holds what was not billed yet."""


class Put(NamedTuple):
    """A row to write. Once a row is finished it does not change any more."""

    request_id: str
    body: str
    finished: bool


class JournalFile:
    """The file and its only connection; for one thread. Every method that writes is durable when it returns.

    What an earlier process began and never finished is finished on opening, as its `begin` said it should be, or its
    last checkpoint. What it could not read and set aside, this one tries anew: it may be the release that wrote it.

    Raises:
        JournalError: from the constructor.
        sqlite3.Error: from any method: nothing of that call was written.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._max_pages = max(16, max_bytes // _PAGE_BYTES)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_PATIENCE_S)
            self._prepare()
            path.chmod(0o600)
        except (sqlite3.Error, OSError) as error:
            with contextlib.suppress(AttributeError):
                self._connection.close()
            locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise JournalError(f"{path}: {'another process has it open' if locked else error}") from None

    def _prepare(self) -> None:
        ask = self._connection.execute
        # A lock for as long as the process lives: two gateways on one file would each bill the other's open requests.
        ask("pragma locking_mode = exclusive")
        ask("pragma journal_mode = wal")
        ask("pragma synchronous = full")
        ask("pragma journal_size_limit = 16777216")
        ask(f"pragma max_page_count = {self._max_pages}")
        version: int = ask("pragma user_version").fetchone()[0]
        if version == 0:
            self._connection.executescript(f"begin; {_SCHEMA} commit;")
        elif version != _SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"made by another version (schema {version}, this is {_SCHEMA_VERSION})")
        self.set_aside_count = 0
        """Finished records that a later release wrote: kept for it, because they cannot be read here."""
        ask("update journal set state = ? where state = ?", (_FINISHED, _SET_ASIDE))
        self.recovered_count: int = ask("update journal set state = ? where state = ?", (_FINISHED, _OPEN)).rowcount
        self._seq: int = ask("select coalesce(max(seq), 0) from journal").fetchone()[0]
        self.finished_count: int = ask("select count(*) from journal").fetchone()[0]

    def has_room(self) -> bool:
        """Say whether new requests may begin, or only begun ones end."""
        pages: int = self._connection.execute("pragma page_count").fetchone()[0]
        free: int = self._connection.execute("pragma freelist_count").fetchone()[0]
        return pages - free < self._max_pages * (1 - _RESERVE)

    def write(self, puts: Sequence[Put], voids: Sequence[str] = (), reached: Sequence[tuple[str, str]] = ()) -> None:
        """Write rows, note how far open ones got (id and body), and take voided ones back, in one commit."""
        rows = [
            (put.request_id, _FINISHED if put.finished else _OPEN, seq, put.body)
            for seq, put in enumerate(puts, self._seq + 1)
        ]
        work = [(_PUT, rows), (_REACH, reached), (_VOID, voids)]
        statements = [(statement, _json(items)) for statement, items in work if items]
        with self._transaction() if len(statements) > 1 else contextlib.nullcontext():
            for statement, items in statements:
                self._connection.execute(statement, (items,))
        self._seq += len(rows)

    def finished(self, limit: int) -> list[UsageRecord]:
        """Read the longest finished records, oldest first; what cannot be read is set aside and holds up no other."""
        while rows := self._connection.execute(_READ, (limit,)).fetchall():
            records, unread = [], []
            for request_id, body in rows:
                try:
                    records.append(UsageRecord.from_json(body))
                except (ValueError, KeyError, TypeError):
                    unread.append(request_id)
            if unread:
                self._connection.execute(_SET, (_json(unread),))
                self.set_aside_count += len(unread)
            if records:
                return records
        return []

    def forget(self, request_ids: Sequence[str]) -> None:
        """Delete finished records."""
        self._connection.execute(_FORGET, (_json(request_ids),))

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
            self._connection.execute("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("rollback")
            raise


def _json(value: Sequence[object]) -> str:
    return orjson.dumps(value).decode()
