"""The outermost layer of the HTTP API: what holds for every request, whatever endpoint it is for.

Each answer has a request id, whoever makes it; each failure that nobody caught leaves in OpenAI's envelope; a body is
bounded in size and time before anything reads it. What happens before there is a request is `http_protocol`'s business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from chassis.clock import Clock
from chassis.errors import CapstanError, Reason
from chassis.ids import Ids
from chassis.ops import AsgiApp, Receive, Scope, Send
from services.gateway import request_errors
from services.gateway.errors import ApiError, ErrorContext, envelope, to_api_error

API_VERSION = b"2020-10-01"
"""The only one there has ever been."""

FIXED_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"openai-version", API_VERSION),
    (b"access-control-expose-headers", b"X-Request-ID"),
    (b"x-content-type-options", b"nosniff"),
)

_PLAIN_ENCODINGS = (b"", b"identity")


class ClientGone(Exception):  # noqa: N818 - a state of affairs, nobody's error
    """The client closed its connection; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of one request's body."""

    max_bytes: int = 4 * 2**20
    """Largest body."""
    time_s: float = 10.0
    """Longest time from the headers to the last byte."""
    grace_s: float = 3.0
    """Time until the least rate counts."""
    min_bytes_per_s: float = 1024.0
    """Least rate, on average."""

    def allowance_s(self, received_bytes: int) -> float:
        """Answer how long so many bytes may have taken at the most."""
        return min(self.time_s, self.grace_s + received_bytes / self.min_bytes_per_s)


async def read_body(receive: Receive, limits: BodyLimits, clock: Clock) -> bytes:
    """Read a request's body to its end.

    Raises `ApiError` 413 when it is too large and 408 when it takes too long or comes too slowly, `ClientGone` when the
    client leaves before its end.
    """
    begin = clock.monotonic()
    now = asyncio.get_running_loop().time
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.allowance_s(0)) as silence:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > limits.max_bytes:
                    raise request_errors.body_too_large(limits.max_bytes)
                if not message.get("more_body", False):
                    return b"".join((*chunks, chunk)) if chunks else chunk
                chunks.append(chunk)
                left = limits.allowance_s(size) - (clock.monotonic() - begin)
                if left <= 0:
                    raise request_errors.body_timeout()
                silence.reschedule(now() + left)
    except TimeoutError:
        raise request_errors.body_timeout() from None


async def send_error(send: Send, error: ApiError, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Send an error as a whole answer."""
    body = envelope(error)
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                *error.headers,
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


class Edge:
    """ASGI middleware around the whole API.

    `scope["state"]` gets `request_id` and, once the head of the answer has left, `answered`. A path in `uploads` has
    body limits of its own.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        limits: BodyLimits,
        clock: Clock,
        ids: Ids,
        log: logging.Logger,
        uploads: Mapping[str, BodyLimits] = MappingProxyType({}),
    ) -> None:
        self._app = app
        self._limits = limits
        self._uploads = uploads
        self._monotonic = clock.monotonic
        self._new_id = ids.new
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other scopes (lifespan) are not served."""
        if scope["type"] != "http":
            return
        begin = self._monotonic()
        state: dict[str, Any] = scope.setdefault("state", {})
        request_id = state["request_id"] = self._new_id("req_")

        def tagged(message: dict[str, Any]) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                state["answered"] = True
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"openai-processing-ms", b"%d" % ((self._monotonic() - begin) * 1000)),
                    *FIXED_HEADERS,
                ]
            return send(message)

        try:
            self._judge(scope)
            await self._app(scope, receive, tagged)
        except ClientGone:
            return
        except Exception as error:
            if "answered" in state:
                raise  # the server breaks the connection, so that the client cannot take this for the end
            await send_error(tagged, self._translated(error, request_id))

    def _judge(self, scope: Scope) -> None:
        """Refuse by its headers a body that would be refused anyway, before the client sends it."""
        for name, value in scope["headers"]:
            if name == b"content-length":
                limits = self._uploads.get(scope["path"], self._limits) if self._uploads else self._limits
                if int(value) > limits.max_bytes:
                    raise request_errors.body_too_large(limits.max_bytes)
            elif name == b"content-encoding" and value.strip().lower() not in _PLAIN_ENCODINGS:
                raise request_errors.unsupported_content_encoding(value.decode("latin-1"))

    def _translated(self, error: Exception, request_id: str) -> ApiError:
        if isinstance(error, ApiError):
            return error
        if not isinstance(error, CapstanError):
            self._log.error("unexpected %s", type(error).__name__, exc_info=error, extra={"request_id": request_id})
            error = CapstanError(Reason.INTERNAL)
        return to_api_error(error, context=ErrorContext(request_id=request_id))
