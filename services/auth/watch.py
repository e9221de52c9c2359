"""What changed, from the database to everyone who remembers principals.

PostgreSQL tells every auth replica (LISTEN) with the commit that changes something, and each tells its own cache and
the gateways on its Watch streams. A stream that cannot promise to have missed nothing ends, and who watched distrusts
what it remembers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from chassis.clock import Clock
from chassis.errors import unavailable

CHANNEL = "auth_changes"
MOST_UNREAD = 10_000
"""Names that a slow listener may have unread before its stream ends."""

_CONNECT_TIMEOUT_S = 2.0
_HEARTBEAT_S = 5.0
_HEARTBEAT_TIMEOUT_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0

_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass(frozen=True, slots=True)
class Change:
    """What must be forgotten."""

    key_ids: frozenset[str] = frozenset()
    project_ids: frozenset[str] = frozenset()
    call_id: str = ""
    """Nothing to forget: what a call of the administration changed was told before this."""


def parse(payload: str) -> Change:
    """Read a notification, `key:`, `project:` or `call:` and an id; another kind (a newer release's) is nothing."""
    kind, _, name = payload.partition(":")
    return Change(
        key_ids=frozenset([name] if kind == "key" else ()),
        project_ids=frozenset([name] if kind == "project" else ()),
        call_id=name if kind == "call" else "",
    )


class Subscription:
    """One listener's unread changes, added up."""

    def __init__(self) -> None:
        self._key_ids: set[str] = set()
        self._project_ids: set[str] = set()
        self._news = asyncio.Event()
        self._ended = False

    async def next(self) -> Change:
        """Wait for changes and take all of them.

        Raises:
            CapstanError: UNAVAILABLE when some may have been missed.
        """
        await self._news.wait()
        if self._ended:
            raise unavailable("auth", "changes may have been missed: watch again", retry_after_ms=100)
        change = Change(frozenset(self._key_ids), frozenset(self._project_ids))
        self._key_ids.clear()
        self._project_ids.clear()
        self._news.clear()
        return change

    def add(self, change: Change) -> None:
        """Add changes; end when too many are unread."""
        if self._ended:
            return
        self._key_ids |= change.key_ids
        self._project_ids |= change.project_ids
        if len(self._key_ids) + len(self._project_ids) > MOST_UNREAD:
            self.end()
        self._news.set()

    def end(self) -> None:
        """Let `next` raise."""
        self._ended = True
        self._key_ids.clear()
        self._project_ids.clear()
        self._news.set()


class Changes:
    """Hands changes to subscriptions. `forget` and `distrust` are the own cache's, called before anyone else hears."""

    def __init__(self, forget: Callable[[Change], None], distrust: Callable[[], None]) -> None:
        self._forget = forget
        self._distrust = distrust
        self._subscriptions: set[Subscription] = set()
        self._expected: dict[str, asyncio.Event] = {}
        self._following = False
        self._closed = False

    @property
    def following(self) -> bool:
        """True while every change arrives here."""
        return self._following

    @contextmanager
    def subscription(self) -> Iterator[Subscription]:
        """Subscribe for the length of the block.

        Raises:
            CapstanError: UNAVAILABLE while the database cannot be listened to, or the service is stopping.
        """
        if self._closed or not self._following:
            raise unavailable("auth", "changes cannot be followed now")
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    @contextmanager
    def expected(self, call_id: str) -> Iterator[asyncio.Event]:
        """Answer what is set when all that a call changed was heard here, or nothing can be heard."""
        event = self._expected[call_id] = asyncio.Event()
        if not self._following:
            event.set()
        try:
            yield event
        finally:
            del self._expected[call_id]

    def distrust(self) -> None:
        """Take for stale what is remembered here."""
        self._distrust()

    def publish(self, change: Change) -> None:
        """Tell everyone."""
        if change.call_id:
            if (event := self._expected.get(change.call_id)) is not None:
                event.set()
            return
        self._forget(change)
        for subscription in self._subscriptions:
            subscription.add(change)

    def set_following(self, following: bool) -> None:
        """Begin to follow, or stop: either way changes may have been missed before."""
        self._following = following
        self._distrust()
        self._end_all()

    def close(self) -> None:
        """End all subscriptions and take no more: the service is stopping."""
        self._closed = True
        self._end_all()

    def _end_all(self) -> None:
        for event in self._expected.values():
            event.set()
        for subscription in self._subscriptions:
            subscription.end()


async def follow(dsn: str, changes: Changes, clock: Clock, log: logging.Logger) -> None:
    """Listen to the database for ever, on a connection of its own that is asked for a sign of life every 5 s."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_HEARTBEAT_TIMEOUT_S)
        except _AWAY as error:
            log.debug("cannot listen to the database: %s", error)
            await clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            continue
        try:
            await _listen(connection, changes, clock)
        except _AWAY as error:
            log.warning("stopped listening to the database: %s", error)
        finally:
            changes.set_following(False)
            connection.terminate()
        pause_s = _FIRST_PAUSE_S
        await clock.sleep(pause_s)


async def _listen(connection: asyncpg.Connection, changes: Changes, clock: Clock) -> None:
    gone = asyncio.Event()
    connection.add_termination_listener(lambda _: gone.set())

    def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        changes.publish(parse(str(payload)))

    await connection.add_listener(CHANNEL, heard)
    changes.set_following(True)
    while not gone.is_set():
        await connection.execute("SELECT 1")
        sleeping = asyncio.ensure_future(clock.sleep(_HEARTBEAT_S))
        ending = asyncio.ensure_future(gone.wait())
        try:
            await asyncio.wait([sleeping, ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            ending.cancel()
