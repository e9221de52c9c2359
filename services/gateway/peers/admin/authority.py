"""The link to auth's AdminService, and what its messages have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from capstan.auth.v1 import actor_pb2, admin_pb2_grpc
from chassis.errors import CapstanError, Reason
from services.gateway.actor import Actor, Wanted
from services.gateway.kept import Order
from services.gateway.peers.calls import call

_ORDERS: dict[Order | None, actor_pb2.PageOrder.ValueType] = {
    None: actor_pb2.PAGE_ORDER_UNSPECIFIED,
    "asc": actor_pb2.PAGE_ORDER_ASCENDING,
    "desc": actor_pb2.PAGE_ORDER_DESCENDING,
}


_SAID_AS = {
    "permissions.models": "model_ids",
    "expire_time": "expires_in_seconds",
    "overlap": "overlap_seconds",
}
"""What requests call the fields of messages, where that is not the last part of their name."""


class Authority:
    """Where the objects of organisations are, and who judges what may be done to them."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self.stub = admin_pb2_grpc.AdminServiceStub(channel)
        self._timeout_s = timeout_s

    async def ask(self, method: Any, request: Any) -> Any:
        """Call a method of the stub.

        Raises `CapstanError`: OBJECT_NOT_FOUND, OBJECT_CONFLICT, PARAMETER_REFUSED, PERMISSION_DENIED, and UNAVAILABLE
        when auth is away.
        """
        try:
            return await call(method, request, timeout_s=self._timeout_s, peer="auth")
        except CapstanError as error:
            raise _as_asked(error) from None


def _as_asked(error: CapstanError) -> CapstanError:
    """Name a refused field as the request did; auth's sentence about it is fit for clients."""
    field = error.metadata.get("param")
    if error.reason is not Reason.INVALID_ARGUMENT or not field:
        return error
    last = field.rpartition(".")[2]
    param = _SAID_AS.get(field) or _SAID_AS.get(last) or last
    why = error.message.removeprefix(f"{field}: ")
    return CapstanError(Reason.PARAMETER_REFUSED, param=param, message=f"Invalid '{param}': it {why}.")


def acting(actor: Actor) -> actor_pb2.Actor:
    """Write who calls."""
    return actor_pb2.Actor(
        organization_id=actor.organization_id,
        key_id=actor.key_id,
        ip_address=actor.ip_address,
        request_id=actor.request_id,
    )


def page(wanted: Wanted) -> actor_pb2.Page:
    """Write which page is wanted."""
    return actor_pb2.Page(limit=wanted.limit, after=wanted.after, before=wanted.before, order=_ORDERS[wanted.order])


def seconds(message: Any, field: str) -> int | None:
    """Read an instant as unix seconds; None when it is unset."""
    return int(getattr(message, field).seconds) if message.HasField(field) else None


def instant(unix_s: float) -> Timestamp:
    """Write an instant."""
    made = Timestamp()
    made.FromDatetime(datetime.fromtimestamp(unix_s, UTC))
    return made
