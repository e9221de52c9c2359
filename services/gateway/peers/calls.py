"""How the gateway calls a service: what that service stands on is its own business."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chassis import rpc_client
from chassis.errors import CapstanError, Reason


async def call(method: Callable[..., Any], request: Any, *, timeout_s: float, peer: str) -> Any:
    """Call as `chassis.rpc_client.call` does; what it raises is `as_said_by` the peer."""
    try:
        return await rpc_client.call(method, request, timeout_s=timeout_s, peer=peer)
    except CapstanError as error:
        raise as_said_by(peer, error) from None


def as_said_by(peer: str, error: CapstanError) -> CapstanError:
    """Name `peer` as the one that is UNAVAILABLE, also when it is the store behind it that is away."""
    if error.reason is Reason.UNAVAILABLE:
        return CapstanError(error.reason, error.message, **{**error.metadata, "service": peer})
    return error
