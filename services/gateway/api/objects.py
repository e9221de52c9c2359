"""Endpoints for one kept object, or a list: found by the path, told by the query, paid for by nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import orjson

from chassis.errors import CapstanError
from chassis.ops import Receive, Scope, Send
from services.gateway import request_errors
from services.gateway.api.hot import Answer, Exchange, Whole, authenticate, fail, header
from services.gateway.api_error import ApiError
from services.gateway.caller import Caller
from services.gateway.desk import Desk
from services.gateway.edge import BodyLimits, ClientGone, read_body
from services.gateway.errors import EndpointKind
from services.gateway.kept import Filter, Json, Kept, Order
from services.gateway.schema.base import RequestModel
from services.gateway.schema.parse import parse

Body = TypeVar("Body", bound=RequestModel)

MOST_FIELDS = 64
LONGEST_PAGE = 100


class NoBody(RequestModel):
    """Nothing is read."""


@dataclass(frozen=True, slots=True)
class Ask(Generic[Body]):
    """What is asked for."""

    object_id: str
    """From the path; empty for a list."""
    query: list[tuple[str, str]]
    body: Body

    def filter(self, order: Order) -> Filter:
        """Read which page is wanted; `order` is the default. Raises `ApiError`."""
        return list_filter(self.query, order)


Handler = Callable[[Desk, Caller, Ask[Body], Exchange], Awaitable[Answer]]


class ObjectRoute(Generic[Body]):
    """One method of one path. The router puts the id that the path holds into `scope["state"]["object_id"]`."""

    def __init__(self, desk: Desk, kind: EndpointKind, schema: type[Body], handler: Handler[Body]) -> None:
        self._desk = desk
        self._kind = kind
        self._schema = schema
        self._handler = handler
        self._limits = BodyLimits(max_bytes=desk.settings.max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope["state"]["request_id"], self._kind)
        try:
            caller = await authenticate(self._desk, scope, exchange)
            raw = await read_body(receive, self._limits, self._desk.clock)
            content_type = header(scope, b"content-type")
            body = self._schema() if self._schema is NoBody else parse(self._schema, raw, content_type)
            ask = Ask(scope["state"].get("object_id", ""), fields(scope["query_string"]), body)
            answer = await self._handler(self._desk, caller, ask, exchange)
        except ClientGone:
            return
        except (ApiError, CapstanError) as error:
            await fail(self._desk, error, exchange, scope, send)
        else:
            await answer.send(send)


def fields(query: bytes) -> list[tuple[str, str]]:
    """Read a query. Raises `ApiError` when it holds too much."""
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise ApiError(400, f"The query holds more than {MOST_FIELDS} parameters.") from None


def list_filter(query: Sequence[tuple[str, str]], order: Order) -> Filter:
    """Read which page of a list is wanted. What a list does not know is passed over, as the live service does."""
    named = dict(query)
    wanted: dict[str, Any] = {"order": order}
    for name in ("after", "model"):
        if name in named:
            wanted[name] = named[name]
    if "limit" in named:
        wanted["limit"] = _limit(named["limit"])
    if "order" in named:
        if named["order"] not in ("asc", "desc"):
            raise request_errors.invalid_value("order", named["order"], ["asc", "desc"])
        wanted["order"] = named["order"]
    wanted["metadata"] = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in query
        if name.startswith("metadata[") and name.endswith("]")
    }
    return Filter(**wanted)


def _limit(text: str) -> int:
    if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit() or len(text) > 9:
        raise request_errors.invalid_type("limit", "an integer", "a string")
    limit = int(text)
    if limit < 1:
        raise request_errors.below_minimum("limit", 1, limit, integer=True)
    if limit > LONGEST_PAGE:
        raise request_errors.above_maximum("limit", LONGEST_PAGE, limit, integer=True)
    return limit


def whole(value: object, exchange: Exchange) -> Whole:
    """Answer a JSON value."""
    return Whole(orjson.dumps(value), exchange.tenant_headers)


def listed(data: Sequence[Json], *, has_more: bool) -> Json:
    """Write a page. The ids of an empty one are empty: the document wants strings."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else ("", "")
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}


def part_of(kept: Kept, wanted: Filter) -> Json:
    """Write a page of what was asked."""
    items = list(kept.inputs) if wanted.order == "asc" else list(reversed(kept.inputs))
    if wanted.after:
        ids = [item["id"] for item in items]
        if wanted.after not in ids:
            raise request_errors.invalid("after", "there is nothing with this id.")
        items = items[ids.index(wanted.after) + 1 :]
    return listed(items[: wanted.limit], has_more=len(items) > wanted.limit)
