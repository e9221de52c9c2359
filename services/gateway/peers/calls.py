"""How the gateway calls a service: what that service stands on is its own business."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from chassis import rpc_client
from chassis.errors import CapstanError, Reason

Response = TypeVar("Response")


async def call(method: Callable[..., Any], request: Any, *, timeout_s: float, peer: str) -> Any:
    """Call as `chassis.rpc_client.call` does; what it raises is `as_said_by` the peer."""
    try:
        return await rpc_client.call(method, request, timeout_s=timeout_s, peer=peer)
    except CapstanError as error:
        raise as_said_by(peer, error) from None


async def waited_for(calling: Coroutine[Any, Any, Response]) -> Response:
    """Wait for a call in a request's own task, which may be cancelled in the middle of it.

    A call of gRPC that is cancelled forgets what with, and so who it was that left. Calls of tasks that no request is
    cancelled with need no wait around them.
    """
    task = asyncio.ensure_future(calling)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task.cancel()
        raise
    return task.result()


def as_said_by(peer: str, error: CapstanError) -> CapstanError:
    """Name `peer` as the one that is UNAVAILABLE, also when it is the store behind it that is away."""
    if error.reason is Reason.UNAVAILABLE:
        return CapstanError(error.reason, error.message, **{**error.metadata, "service": peer})
    return error
