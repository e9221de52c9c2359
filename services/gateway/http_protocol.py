"""HTTP/1.1 connections with bounds that uvicorn does not have: on headers, on idling, on pipelining, on their number.

A slow or huge request is refused before it costs anything but its socket. Every refusal here is OpenAI's envelope with
a request id. A connection whose client is still sending is not closed under it but drained for a moment (a "lingering
close"): the reset of a hard close would make many clients lose the answer that says why.

Built on uvicorn's httptools protocol by its callbacks: ASGI, keep-alive, pipelining and flow control stay its own.
"""

from __future__ import annotations

import asyncio
import http
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from chassis.ids import Ids
from chassis.ops import AsgiApp, Receive, Scope, Send
from services.gateway import request_errors
from services.gateway.edge import FIXED_HEADERS, send_error
from services.gateway.errors import ApiError, envelope

_CLOSE = (b"connection", b"close")
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection, and of all of them."""

    max_connections: int = 4096
    """Connections served at once. A tenth more are told so with a 503; beyond that they are cut."""
    header_time_s: float = 5.0
    """Longest time from the connection, or from a request's first byte, to the end of its headers."""
    header_bytes: int = 32_768
    """Largest request line and headers."""
    header_count: int = 100
    """Most headers."""
    request_bytes: int = 16 * 2**20
    """Most bytes on the wire for one request, with the framing of chunks and trailers. Bodies have tighter limits."""
    pipelined: int = 16
    """Most requests that may wait on one connection behind the one being answered."""
    write_stall_s: float = 60.0
    """How long a client may leave an answer unread."""
    linger_s: float = 2.0
    """How long a refused client may go on sending before it is cut."""


def http_protocol(limits: ConnectionLimits, ids: Ids, jitter: Callable[[], float]) -> type[HttpToolsProtocol]:
    """Make the class that `uvicorn.Config(http=…)` takes. `jitter` draws from 0 to 1."""
    return type("BoundedHttpProtocol", (BoundedProtocol,), {"limits": limits, "ids": ids, "jitter": Jitter(jitter)})


@dataclass(frozen=True, slots=True)
class Jitter:
    """A source of numbers from 0 to 1, wrapped so that a class attribute does not become a method."""

    draw: Callable[[], float]


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Use `http_protocol`, which gives the class its limits."""

    limits: ClassVar[ConnectionLimits]
    ids: ClassVar[Ids]
    jitter: ClassVar[Jitter]

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.ws_protocol_class = None  # an upgrade would leave this class and its bounds
        self._in_headers = False
        self._header_bytes = 0
        self._request_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._lingering = False
        self._refusal: ApiError | None = None
        self._held: RequestResponseCycle | None = None
        self._held_keep_alive = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        """Begin to wait for headers, or cut what is too many."""
        super().connection_made(transport)
        most = self.limits.max_connections
        if len(self.connections) > most:
            if len(self.connections) > most + max(1, most // 10):
                transport.abort()
                return
            self._refusal = request_errors.too_many_connections(2000 + 8000 * self.jitter.draw())
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        for timer in (self._header_timer, self._end_timer, self._stall_timer, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse, then look whether what is still incomplete stays within its bounds."""
        if self._lingering:
            return
        self._request_bytes += len(data)
        self._header_bytes += len(data)
        if not self._answering and b"grade" in data:
            data = _without_upgrade(data)
        super().data_received(data)
        if self._lingering or self.transport.is_closing():
            return
        if self._in_headers:
            # What came before in the same read is not counted: `on_message_begin` has reset the counter then.
            if self._header_bytes > self.limits.header_bytes or len(self.headers) > self.limits.header_count:
                self._refuse(request_errors.headers_too_large())
            elif self._header_timer is None:
                self._await_headers()
        elif self._answering:
            self._watch_body()
        elif self._header_timer is None and self.timeout_keep_alive_task is None:
            self._await_headers()  # bytes that begin no request, such as empty lines

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch_body(self) -> None:
        cycle = self.cycle
        if not cycle.more_body:
            return
        if self._request_bytes > self.limits.request_bytes or len(self.headers) > self.limits.header_count:
            self.transport.abort()
        elif self._held is None:
            # Should it be answered before its body is here, the connection ends, but gently.
            self._held, self._held_keep_alive = cycle, cycle.keep_alive
            cycle.keep_alive = False
            cycle.transport = _LingeringTransport(self)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        if self.cycle is not None:
            self._header_bytes = 0
            self._request_bytes = 0
        self._in_headers = True

    def on_headers_complete(self) -> None:
        """Start the request, or its refusal."""
        self._in_headers = False
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        refusal = self._refusal or self._judge()
        if refusal is not None:
            self.app = _refusing(refusal, self.ids)
        if len(self.pipeline) >= self.limits.pipelined:
            self.transport.abort()
        super().on_headers_complete()
        self.headers = []  # trailers come here, out of the application's sight

    def _judge(self) -> ApiError | None:
        if len(self.headers) > self.limits.header_count:
            return request_errors.headers_too_large()
        if self._header_bytes > self.limits.header_bytes or len(self.url) > self.limits.header_bytes:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > self.limits.header_bytes:
                return request_errors.headers_too_large()
        return None

    def on_message_complete(self) -> None:
        """Let a connection whose request is complete live on."""
        super().on_message_complete()
        held, self._held = self._held, None
        if held is not None:
            held.transport = self.transport
            if not held.response_started:
                held.keep_alive = self._held_keep_alive

    def on_response_complete(self) -> None:
        """Wait for the next request, or make sure of the end."""
        if self._lingering:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()
        if self.transport.is_closing() and self._end_timer is None:
            self._end_timer = self.loop.call_later(self.limits.write_stall_s, self.transport.abort)

    # The clients that are too slow

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(self.limits.header_time_s, self._headers_late)

    def _headers_late(self) -> None:
        self._header_timer = None
        if self._answering:  # of a pipelined request; the one before has the connection
            self._await_headers()
        elif self._in_headers:
            self._refuse(request_errors.headers_timeout())
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; one that has not read its answer is cut."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        """Begin to measure how long the client does not read."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.limits.write_stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def shutdown(self) -> None:
        """Close when idle, else after the answer."""
        super().shutdown()
        self._held_keep_alive = False

    # Refusals

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP; the parser's own words stay here."""
        self._refuse(request_errors.malformed_http())

    def _unsupported_upgrade_warning(self) -> None:
        """A wish that came in pieces past `_without_upgrade`: serve the request, but trust nothing after it."""
        if self._answering:
            self.cycle.keep_alive = False

    def _refuse(self, error: ApiError) -> None:
        """Answer without a request that could be answered."""
        if self._answering:
            self.transport.abort()
            return
        body = envelope(error)
        headers = (
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.ids.new("req_").encode()),
            *error.headers,
            *FIXED_HEADERS,
            _CLOSE,
        )
        phrase = http.HTTPStatus(error.status).phrase.encode()
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (error.status, phrase, head, body))
        self.linger()

    def linger(self) -> None:
        """Send what is written and the end, drop what comes in, and close when the client does or the time is up."""
        if self._lingering or self.transport.is_closing():
            return
        self._lingering = True
        self._unset_keepalive_if_required()
        if self._header_timer is not None:
            self._header_timer.cancel()
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._end_timer = self.loop.call_later(self.limits.linger_s, self.transport.abort)


class _LingeringTransport(asyncio.Transport):
    """What an answer is written to while its request is still coming in."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        super().__init__()
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.linger()


def _without_upgrade(data: bytes) -> bytes:
    """Take the wish to upgrade out of a request's head.

    The parser would hand the body over to the other protocol, that is, lose it. Java's HTTP client wishes for h2c with
    every request over plain HTTP; RFC 9110 (7.8) allows to ignore that.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + rest


def _refusing(error: ApiError, ids: Ids) -> AsgiApp:
    async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_error(send, error, [(b"x-request-id", ids.new("req_").encode()), *FIXED_HEADERS, _CLOSE])

    return refuse
