"""Server-sent events: how deltas become bytes, and how bytes reach a client that may be slow, or gone.

A chunk without extras is a bytes template around one JSON-encoded text, so a token costs no object graph. The format is
OpenAI's: `data: {json}` and a blank line, no event names and no ids, `data: [DONE]` at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any

import orjson

from chassis.errors import CapstanError, unavailable
from services.gateway.cancellation import CLIENT_GONE
from services.gateway.metrics import Metrics

Headers = Sequence[tuple[bytes, bytes]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DONE = b"data: [DONE]\n\n"

KEEP_ALIVE: Mapping[str, Any] = MappingProxyType(
    {"type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True}
)
"""A comment: every parser of events passes over it."""

NEVER_S = 86_400.0

LAST_WORD_S = 0.5
"""How long a stream that is cut short may take to say so."""

HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx and its kin must not collect a stream into pages.
    (b"x-accel-buffering", b"no"),
)


def event(value: object) -> bytes:
    """Frame one JSON value. JSON text has no raw line breaks, so a value can never end its event early."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


class Pulse:
    """Writes a comment into a stream that was silent for an interval, so that nobody takes it for dead.

    A timer and no task: most streams are never silent.
    """

    def __init__(self, send: Send, interval_s: float) -> None:
        self._send = send
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(interval_s, self._tick)
        self._writing: asyncio.Task[None] | None = None
        self.silent = True
        """Set it to false with every write."""

    def _tick(self) -> None:
        if self.silent and (self._writing is None or self._writing.done()):
            self._writing = self._loop.create_task(self._write(), name="keep-alive")
        self.silent = True
        self._timer = self._loop.call_later(self._interval_s, self._tick)

    async def _write(self) -> None:
        await self._send(dict(KEEP_ALIVE))

    async def stop(self) -> None:
        """Write nothing more."""
        self._timer.cancel()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
            if not self._writing.cancelled():
                self._writing.exception()


@asynccontextmanager
async def _pulse(send: Send, interval_s: float | None) -> AsyncIterator[Pulse]:
    pulse = Pulse(send, interval_s or NEVER_S)
    try:
        yield pulse
    finally:
        await pulse.stop()


class EventStream:
    """An answer that is written while it is made.

    It owns what the answer holds on to (its grant and its generation): `held` is left when the stream has ended, with
    whatever ended it. A client that stops reading is cut by the connection's own bounds and counts as gone.
    """

    def __init__(
        self,
        events: AsyncIterator[bytes],
        headers: Headers,
        held: AsyncExitStack,
        *,
        error_event: Callable[[CapstanError], bytes],
        metrics: Metrics,
        keep_alive_s: float | None = None,
        late: bool = False,
    ) -> None:
        """After `keep_alive_s` of silence a comment is written; `late`: there was that much silence already."""
        self._events = events
        self._headers = headers
        self._held = held
        self._error_event = error_event
        self._metrics = metrics
        self._keep_alive_s = keep_alive_s
        self._late = late

    async def drop(self, error: BaseException) -> None:
        """Let go of what it holds: `error` is why it will not be sent."""
        await self._held.__aexit__(type(error), error, error.__traceback__)

    async def send(self, send: Send) -> None:
        """Write head, events and end.

        Raises `CapstanError` when the work failed in the middle, after the client was told so in a last event.
        """
        async with self._held:
            with self._metrics.open_streams.track_inprogress():
                await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *self._headers]})
                failure: CapstanError | None = None
                try:
                    async with _pulse(send, self._keep_alive_s) as pulse:
                        if self._late:
                            await send(dict(KEEP_ALIVE))
                        async for chunk in self._events:
                            pulse.silent = False
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except CapstanError as error:
                    failure = error
                except asyncio.CancelledError as error:
                    if error.args != (CLIENT_GONE,):
                        await self._cut_short(send)
                    raise
                last = b"" if failure is None else self._error_event(failure)
                await send({"type": "http.response.body", "body": last, "more_body": False})
                if failure is not None:
                    raise failure

    async def _cut_short(self, send: Send) -> None:
        """Tell a client that is still there why its answer ends, if it takes that at once."""
        last = self._error_event(unavailable("gateway", "it stops"))
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await send({"type": "http.response.body", "body": last, "more_body": False})
