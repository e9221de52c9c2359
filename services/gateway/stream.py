"""Server-sent events: how deltas become bytes, and how bytes reach a client that may be slow, or gone.

A chunk without extras is a bytes template around one JSON-encoded text, so a token costs no object graph. The format is
OpenAI's: `data: {json}` and a blank line, no event names and no ids, `data: [DONE]` at the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import orjson

from chassis.errors import CapstanError
from services.gateway.metrics import Metrics

Headers = Sequence[tuple[bytes, bytes]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DONE = b"data: [DONE]\n\n"

HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx and its kin must not collect a stream into pages.
    (b"x-accel-buffering", b"no"),
)


def event(value: object) -> bytes:
    """Frame one JSON value. JSON text has no raw line breaks, so a value can never end its event early."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


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
    ) -> None:
        self._events = events
        self._headers = headers
        self._held = held
        self._error_event = error_event
        self._metrics = metrics

    async def send(self, send: Send) -> None:
        """Write head, events and end.

        Raises `CapstanError` when the work failed in the middle, after the client was told so in a last event.
        """
        async with self._held:
            with self._metrics.open_streams.track_inprogress():
                await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *self._headers]})
                failure: CapstanError | None = None
                try:
                    async for chunk in self._events:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except CapstanError as error:
                    failure = error
                last = b"" if failure is None else self._error_event(failure)
                await send({"type": "http.response.body", "body": last, "more_body": False})
                if failure is not None:
                    raise failure
