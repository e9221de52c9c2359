"""A plain ASGI endpoint for work that must be cheap: authenticate, read, parse, handle, answer.

FastAPI's own routes cost more than everything the gateway does for a request, so the paid endpoints do not use them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from chassis.errors import CapstanError, Reason, unavailable
from chassis.ops import Receive, Scope, Send
from services.gateway.admission import RateLimited
from services.gateway.answer import Answer, Headers, Whole
from services.gateway.api.once import once
from services.gateway.caller import Caller
from services.gateway.cancellation import CLIENT_GONE
from services.gateway.desk import Desk
from services.gateway.edge import BodyLimits, ClientGone, read_body
from services.gateway.errors import ApiError, EndpointKind, envelope
from services.gateway.exchange import Exchange, header
from services.gateway.limits_headers import headers as limit_headers
from services.gateway.schema.base import RequestModel
from services.gateway.schema.parse import parse
from services.gateway.terms import Terms

Body = TypeVar("Body", bound=RequestModel)

Handler = Callable[[Desk, Caller, Body, Exchange], Awaitable[Answer]]


class HotRoute(Generic[Body]):
    """One POST endpoint with a JSON body of type `schema`."""

    def __init__(self, desk: Desk, kind: EndpointKind, schema: type[Body], handler: Handler[Body]) -> None:
        self.schema = schema
        self._desk = desk
        self._kind = kind
        self._handler = handler
        self._limits = BodyLimits(max_bytes=desk.settings.max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A failure leaves in OpenAI's envelope; one after the head has left inside the stream."""
        exchange = Exchange(scope["state"]["request_id"], self._kind)
        try:
            caller = await authenticate(self._desk, scope, exchange)
            raw = await read_body(receive, self._limits, self._desk.clock)
            body = parse(self.schema, raw, header(scope, b"content-type"))
            exchange.model = getattr(body, "model", "")
            tier, cache_key = getattr(body, "service_tier", None), getattr(body, "prompt_cache_key", None)
            exchange.terms = Terms.of(scope["headers"], tier, cache_key)
            with client_watched(receive) as watch:
                answer = await self._answer(scope, raw, caller, body, exchange)
                await answer.send(send)
                watch.disarm()
        except (ApiError, RateLimited, CapstanError) as error:
            await fail(self._desk, error, exchange, scope, send)
        except ClientGone:
            pass
        except asyncio.CancelledError:  # the gateway stops, and would wait no longer
            await fail(self._desk, unavailable("gateway", "it stops"), exchange, scope, send)

    async def _answer(self, scope: Scope, raw: bytes, caller: Caller, body: Body, exchange: Exchange) -> Answer:
        key = header(scope, b"idempotency-key")
        if key is None or self._desk.replays is None:
            return await self._handler(self._desk, caller, body, exchange)
        return await once(
            self._desk.replays,
            caller,
            key,
            raw,
            lambda: self._handler(self._desk, caller, body, exchange),
            recorded=lambda: self._desk.admission.has_ended(exchange.request_id),
            streamed=bool(getattr(body, "stream", False)),
            path=scope["path"],
        )


async def authenticate(desk: Desk, scope: Scope, exchange: Exchange) -> Caller:
    """Find out who is calling from the request's headers. Raises `CapstanError` and `ApiError`."""
    return await desk.reception.identify(scope, exchange)


async def fail(
    desk: Desk, error: ApiError | RateLimited | CapstanError, exchange: Exchange, scope: Scope, send: Send
) -> None:
    """Answer what ended a request; a typed error whose head has left already was told inside the answer."""
    if isinstance(error, ApiError):
        await refuse(error, exchange, send)
    elif isinstance(error, RateLimited):
        await refuse(exchange.error(error.error), exchange, send, limit_headers(error.meters))
    else:
        if error.reason is Reason.INTERNAL:
            desk.log.error("internal error", exc_info=error, extra={"request_id": exchange.request_id})
        if not scope["state"].get("answered"):
            await refuse(exchange.error(error), exchange, send)


async def refuse(error: ApiError, exchange: Exchange, send: Send, more: Headers = ()) -> None:
    """Answer an error in OpenAI's envelope."""
    await Whole(envelope(error), [*error.headers, *exchange.tenant_headers, *more], error.status).send(send)


class ClientWatch:
    """Cancels a request's task when its client leaves."""

    def __init__(self, receive: Receive, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._armed = True
        self._watcher = asyncio.get_running_loop().create_task(self._watch(receive), name="client watch")

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if self._armed:
            self._task.cancel(CLIENT_GONE)

    def disarm(self) -> None:
        """The answer is out; from now on the client may leave."""
        self._armed = False
        self._watcher.cancel()


@contextmanager
def client_watched(receive: Receive) -> Iterator[ClientWatch]:
    """Watch the client while the block lasts. Raises `ClientGone` when it left."""
    task = asyncio.current_task()
    assert task is not None
    watch = ClientWatch(receive, task)
    try:
        yield watch
    except asyncio.CancelledError as error:
        if error.args != (CLIENT_GONE,):
            raise
        task.uncancel()
        raise ClientGone from None
    finally:
        watch.disarm()


__all__ = ["Answer", "Exchange", "Headers", "HotRoute", "Whole", "authenticate", "header", "refuse"]
