"""What every operation of the admin API does first: find out who calls, then read a strict body.

The order is that of the public API (URL and method, key, body), and FastAPI's own reading of bodies, which is neither
bounded nor strict, is not used; what it does with the result, validation and description, is.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from chassis.errors import CapstanError, Reason
from chassis.ops import Receive, Scope
from services.gateway.actor import Actor
from services.gateway.admin.office import Office
from services.gateway.api_error import ApiError
from services.gateway.edge import BodyLimits, ClientGone, read_body
from services.gateway.exchange import Exchange, header
from services.gateway.schema.parse import read_object

BODY = BodyLimits(max_bytes=2**18)
"""Far more than any admin request needs."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class AdminRoute(APIRoute):
    """One operation. `app.state.office` is where its application keeps the parts."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()
        reads = self.body_field is not None

        async def handle(request: Request) -> Response:
            office: Office = request.app.state.office
            exchange = Exchange(request.scope["state"]["request_id"], "other")
            try:
                response = await handler(await _received(request, office, exchange, reads=reads))
            except (ApiError, RequestValidationError, HTTPException, ClientGone):
                raise
            except CapstanError as error:
                raise exchange.error(error).with_headers(*exchange.tenant_headers) from None
            except Exception as error:
                office.log.exception("unexpected %s", type(error).__name__, extra={"request_id": exchange.request_id})
                raise exchange.error(CapstanError(Reason.INTERNAL)) from None
            response.raw_headers.extend(exchange.tenant_headers)
            return response

        return handle


class _Read(Request):
    """A request whose body was read."""

    def __init__(self, scope: Scope, receive: Receive, raw: bytes, document: Any) -> None:
        super().__init__(scope, cast("Any", receive))
        self._said = raw, document

    async def body(self) -> bytes:
        return self._said[0]

    async def json(self) -> Any:
        return self._said[1]


async def _received(request: Request, office: Office, exchange: Exchange, *, reads: bool) -> Request:
    scope: Scope = dict(request.scope)
    receive = cast("Receive", request.receive)
    caller = await office.reception.identify(scope, exchange)
    scope["state"]["actor"] = Actor(caller.organization_id, caller.key_id, exchange.address, exchange.request_id)
    if not reads:
        return request
    raw = await read_body(receive, BODY, office.clock)
    return _Read(scope, receive, raw, read_object(raw, header(scope, b"content-type")))


def _acting(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


Acting = Annotated[Actor, Depends(_acting)]
"""Who calls."""
