"""An endpoint without a body (GET, DELETE): one key, one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chassis.errors import CapstanError
from chassis.ops import Receive, Scope, Send
from services.gateway.api.hot import Answer, Exchange, authenticate, fail
from services.gateway.caller import Caller
from services.gateway.desk import Desk
from services.gateway.errors import ApiError, EndpointKind

Handler = Callable[[Desk, Caller, str, Exchange], Awaitable[Answer]]


class PlainRoute:
    """One such endpoint; `handler` gets the rest of the path after the route's prefix, decoded."""

    def __init__(self, desk: Desk, prefix: str, kind: EndpointKind, handler: Handler) -> None:
        self._desk = desk
        self._prefix = prefix
        self._kind = kind
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope["state"]["request_id"], self._kind)
        try:
            caller = await authenticate(self._desk, scope, exchange)
            answer = await self._handler(self._desk, caller, scope["path"][len(self._prefix) :], exchange)
        except (ApiError, CapstanError) as error:
            await fail(self._desk, error, exchange, scope, send)
        else:
            await answer.send(send)
