"""Valkey as the services use it: one multiplexed connection, one deadline for everything, a breaker.

    async with connect("unix:///run/valkey.sock") as valkey:
        script = valkey.script(LUA)
        await script(keys=["{rl:org-1}:s"], args=["req_1"])

A command never waits for a connection: while there is none, it fails at once and the connection is dialled again in
the background. All failures of the server are CapstanError(UNAVAILABLE, service="valkey"). One server is assumed
(behind a fail-over address, if there are several): MOVED is not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from chassis.breaker import Breaker
from chassis.errors import CapstanError, unavailable
from chassis.valkey_link import Argument, Link, Reply, ReplyError

__all__ = ["Argument", "Reply", "ReplyError", "Script", "Valkey", "connect"]

log = logging.getLogger(__name__)

_DIAL_TIMEOUT_S = 1.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True)
class Address:
    """Where the server is and how to introduce oneself."""

    path: str | None
    host: str
    port: int
    tls: bool
    database: int
    username: str
    password: str = field(repr=False)


def parse(url: str) -> Address:
    """Read `unix:///path`, `valkey://[user:password@]host[:port][/database]` or `valkeys://…` (TLS).

    Raises:
        ValueError: another scheme, no host or path, a database that is not a number. It never quotes the URL, which
            may hold a password.
    """
    parts = urlsplit(url)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix" and parts.path:
        return Address(unquote(parts.path), "", 0, False, 0, username, password)
    if parts.scheme in {"valkey", "redis", "valkeys", "rediss"} and parts.hostname:
        database = parts.path.strip("/") or "0"
        if not database.isdecimal():
            raise ValueError("the database in the Valkey URL is not a number")
        tls = parts.scheme.endswith("s")
        return Address(None, parts.hostname, parts.port or 6379, tls, int(database), username, password)
    raise ValueError("a Valkey URL is unix:///path, valkey://host:port/database or valkeys://host:port/database")


class Valkey:
    """A client of one server. Made by `connect`."""

    def __init__(self, address: Address, *, timeout_s: float, max_in_flight: int, jitter: Callable[[], float]) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._max_in_flight = max_in_flight
        self._jitter = jitter
        self._breaker = Breaker(asyncio.get_running_loop().time)
        self._link: Link | None = None

    @property
    def is_away(self) -> bool:
        """True while commands are refused without being sent: no connection, or the breaker is open."""
        return self._link is None or self._breaker.is_open

    def send(self, *arguments: Argument) -> asyncio.Future[Reply]:
        """Put a command into this turn's write; the future ends within the timeout.

        Raises:
            CapstanError: UNAVAILABLE (no connection, breaker open) or OVERLOADED; the future also ReplyError.
        """
        if self._link is None:
            raise unavailable("valkey", "not connected")
        if not self._breaker.allows():
            raise unavailable("valkey", "not tried: the last calls failed")
        return self._link.send(arguments)

    async def command(self, *arguments: Argument) -> Reply:
        """Run one command, e.g. `await valkey.command("GET", "key")`.

        Raises:
            CapstanError: UNAVAILABLE or OVERLOADED.
            ReplyError: the server refuses this command.
        """
        return await self.send(*arguments)

    def script(self, text: str) -> Script:
        """Name a Lua script; it is loaded when the server first says that it does not know it."""
        return Script(self, text)

    async def keep_connected(self, tried: asyncio.Event) -> None:
        """Dial, wait for the end of the connection, dial again: for ever. Sets `tried` after the first attempt."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                link = await self._dialled()
            except (OSError, TimeoutError, CapstanError, ReplyError) as error:
                tried.set()
                log.debug("valkey does not answer: %s", error)
                await asyncio.sleep(pause_s * (0.5 + self._jitter() / 2))
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                continue
            log.info("connected to valkey")
            self._link, pause_s = link, _FIRST_PAUSE_S
            tried.set()
            try:
                await asyncio.wait([link.ended])
            finally:
                self._link = None
                link.close()
                await asyncio.wait([link.ended])
            log.warning("lost the connection to valkey")

    async def _dialled(self) -> Link:
        """Open a connection and introduce ourselves, within `_DIAL_TIMEOUT_S`; it has answered a PING in time."""
        address, loop = self._address, asyncio.get_running_loop()

        def make() -> Link:
            return Link(self._breaker, timeout_s=self._timeout_s, max_in_flight=self._max_in_flight)

        async with asyncio.timeout(_DIAL_TIMEOUT_S):
            if address.path is not None:
                _, link = await loop.create_unix_connection(make, address.path)
            else:
                context = ssl.create_default_context() if address.tls else None
                _, link = await loop.create_connection(make, address.host, address.port, ssl=context)
            try:
                for words in self._introduction():
                    await link.send(words)
            except BaseException:
                link.close()
                raise
            return link

    def _introduction(self) -> list[tuple[Argument, ...]]:
        address = self._address
        words: list[tuple[Argument, ...]] = []
        if address.password:
            words.append(("AUTH", *([address.username] if address.username else []), address.password))
        if address.database:
            words.append(("SELECT", address.database))
        return [*words, ("PING",)]


class Script:
    """A Lua script called by its digest."""

    def __init__(self, valkey: Valkey, text: str) -> None:
        self._valkey = valkey
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Reply:
        """Run it once; two round trips when the server does not know it (yet, or after a restart or SCRIPT FLUSH).

        Raises:
            CapstanError: UNAVAILABLE or OVERLOADED.
            ReplyError: the script failed.
        """
        [reply] = await self.many([(keys, args)])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def many(
        self, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]
    ) -> list[Reply | CapstanError | ReplyError]:
        """Run it once per pair of keys and arguments, all in one write; answer replies or failures in their order."""
        results = await self._round(calls)
        unknown = [place for place, result in enumerate(results) if _is_unknown(result)]
        if unknown:
            again = await self._round([calls[place] for place in unknown], load=True)
            for place, result in zip(unknown, again, strict=True):
                results[place] = result
        return results

    async def _round(
        self, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]], *, load: bool = False
    ) -> list[Reply | CapstanError | ReplyError]:
        sent: list[asyncio.Future[Reply] | CapstanError] = []
        if load:
            sent.append(self._sent("SCRIPT", "LOAD", self._text))
        sent += [self._sent("EVALSHA", self._digest, len(keys), *keys, *args) for keys, args in calls]
        try:
            return [await _outcome(one) for one in sent][1 if load else 0 :]
        finally:
            for one in sent:
                if isinstance(one, asyncio.Future):
                    one.cancel()

    def _sent(self, *arguments: Argument) -> asyncio.Future[Reply] | CapstanError:
        try:
            return self._valkey.send(*arguments)
        except CapstanError as error:
            return error


async def _outcome(sent: asyncio.Future[Reply] | CapstanError) -> Reply | CapstanError | ReplyError:
    if isinstance(sent, CapstanError):
        return sent
    try:
        return await sent
    except (CapstanError, ReplyError) as error:
        return error


def _is_unknown(result: object) -> bool:
    return isinstance(result, ReplyError) and str(result).startswith("NOSCRIPT")


@asynccontextmanager
async def connect(
    url: str,
    *,
    password: str | None = None,
    timeout_s: float = 0.05,
    max_in_flight: int = 10_000,
    jitter: Callable[[], float] = random.random,
) -> AsyncIterator[Valkey]:
    """Make a client of the server at `url` (see `parse`); succeeds while the server is away.

    `password` is used instead of the URL's. A command without a reply after `timeout_s` fails. After three failures in
    a row commands fail at once for a second, then one of them tries; while that fails the pause doubles up to 5 s.
    `max_in_flight` bounds the commands without a reply.
    """
    address = parse(url) if password is None else replace(parse(url), password=password)
    valkey = Valkey(address, timeout_s=timeout_s, max_in_flight=max_in_flight, jitter=jitter)
    tried = asyncio.Event()
    keeper = asyncio.create_task(valkey.keep_connected(tried), name="valkey")
    try:
        await tried.wait()
        yield valkey
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
