"""One connection to Valkey: commands out in one order, replies in in the same order.

Everything that is sent in one turn of the event loop leaves in one write, and a reply belongs to the oldest command
without one. A command whose time is over fails, and its place in the order stays taken until its reply comes or the
connection ends, so a late reply can never answer another command.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TypeAlias, cast

import hiredis

from chassis.breaker import Breaker
from chassis.errors import CapstanError, Reason, unavailable

Reply: TypeAlias = "int | bytes | list[Reply] | None"
Argument: TypeAlias = "str | bytes | int | float"

_SECOND_LOOK_S = 0.002
"""A command is given up this much after its timeout was noticed: if our own loop stalled, the reply lies in the socket,
and libuv runs timers before it reads."""

_SILENCE_S = 1.0
"""A connection whose oldest reply is late by this much is dropped and dialled again."""

_AWAY = ("OOM", "LOADING", "BUSY", "READONLY", "MASTERDOWN", "MISCONF", "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN")
"""Error replies that say: not now. The rest are faults of the command."""


class ReplyError(Exception):
    """The server refuses the command itself: a fault of ours, or of the server's configuration."""


class Link(asyncio.Protocol):
    """An asyncio protocol; its maker dials, hands it the breaker to report to, and waits for `ended`."""

    def __init__(self, breaker: Breaker, *, timeout_s: float, max_in_flight: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._max_in_flight = max_in_flight
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=self)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._waiting: deque[tuple[float, asyncio.Future[Reply]]] = deque()
        self._late = 0
        self._failed_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def send(self, arguments: tuple[Argument, ...]) -> asyncio.Future[Reply]:
        """Queue one command for the next write.

        The future ends within the timeout with the reply, `ReplyError`, or CapstanError(UNAVAILABLE).

        Raises:
            CapstanError: OVERLOADED (too many without a reply), UNAVAILABLE (the connection is gone).
        """
        if self._transport is None or self._transport.is_closing():
            raise unavailable("valkey", "not connected")
        if len(self._waiting) >= self._max_in_flight:
            raise CapstanError(Reason.OVERLOADED, "too many commands in flight", retry_after_ms="100")
        command = hiredis.pack_command(arguments)
        future: asyncio.Future[Reply] = self._loop.create_future()
        deadline = self._loop.time() + self._timeout_s
        self._waiting.append((deadline, future))
        if not self._out:
            self._loop.call_soon(self._write)
        self._out.append(command)
        if deadline < self._timer_at:
            self._set_timer(deadline)
        return future

    def close(self) -> None:
        """Drop the connection; what has no reply fails."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand each complete reply to the oldest command (asyncio calls this)."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not self:
                self._answer(reply)
        except (hiredis.ProtocolError, IndexError):  # not Valkey, or a reply that nobody asked for
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what has no reply (asyncio calls this)."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if len(self._waiting) > self._late:
            self._breaker.failed()
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(unavailable("valkey", "the connection was lost"))
        self._waiting.clear()
        if not self.ended.done():
            self.ended.set_result(None)

    def _write(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _answer(self, reply: Reply | ReplyError) -> None:
        _, future = self._waiting.popleft()
        if self._late:
            self._late -= 1
            return
        if not isinstance(reply, ReplyError):
            self._breaker.succeeded()
            if not future.done():
                future.set_result(reply)
            return
        error: Exception = reply
        if str(reply).startswith(_AWAY):
            self._breaker.failed()
            error = unavailable("valkey", str(reply))
        else:
            self._breaker.succeeded()
        if not future.done():
            future.set_exception(error)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        if len(self._waiting) > self._late and self._waiting[self._late][0] <= self._loop.time():
            self._timer = self._loop.call_later(_SECOND_LOOK_S, self._look)
        else:
            self._look()

    def _count_failure(self, *, sent_at: float, now: float) -> None:
        """Tell the breaker, once for all that one stall took: what was under way at a failure is no further sign."""
        if sent_at >= self._failed_at:
            self._failed_at = now
            self._breaker.failed()

    def _look(self) -> None:
        """Fail the commands whose time is over; drop a connection that has been silent for too long."""
        now = self._loop.time()
        for deadline, future in itertools.islice(self._waiting, self._late, None):
            if deadline > now:
                break
            self._late += 1
            self._count_failure(sent_at=deadline - self._timeout_s, now=now)
            if not future.done():
                future.set_exception(unavailable("valkey", f"no reply in {self._timeout_s * 1000:g} ms"))
        self._timer, self._timer_at = None, float("inf")
        if not self._waiting:
            return
        silent_at = self._waiting[0][0] + _SILENCE_S
        if silent_at <= now:
            self.close()
        elif len(self._waiting) > self._late:
            self._set_timer(min(silent_at, self._waiting[self._late][0]))
        else:
            self._set_timer(silent_at)
