"""A gRPC channel whose certificate changes under it.

gRPC's channels keep the credentials they were made with. This one makes another when the certificates were renewed:
new calls go over the new one, and streams that run stay where they are until they end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from chassis.certificates import Certificates

Current = Callable[[], tuple[int, Certificates]]


class RenewedChannel(grpc.aio.Channel):
    """Hands every call to a channel made with the newest certificates."""

    def __init__(self, current: Current, make: Callable[[Certificates], grpc.aio.Channel]) -> None:
        self._current = current
        self._make = make
        self._generation, certificates = current()
        self._newest = make(certificates)
        self._older: list[grpc.aio.Channel] = []
        """Kept open for their streams. A renewal happens every few weeks, so there are never many."""

    def newest(self) -> grpc.aio.Channel:
        """Answer the channel for a new call."""
        generation, certificates = self._current()
        if generation != self._generation:
            self._older.append(self._newest)
            self._generation, self._newest = generation, self._make(certificates)
        return self._newest

    async def __aenter__(self) -> RenewedChannel:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close all; calls under way have `grace` seconds, or none."""
        for channel in (*self._older, self._newest):
            await channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Answer the state of the newest."""
        return self.newest().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the newest is in another state."""
        await self.newest().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the newest is connected."""
        await self.newest().channel_ready()

    def unary_unary(self, *method: Any, **more: Any) -> Any:
        """Make the callable of a method."""
        return _Method(self, "unary_unary", method, more)

    def unary_stream(self, *method: Any, **more: Any) -> Any:
        """Make the callable of a method."""
        return _Method(self, "unary_stream", method, more)

    def stream_unary(self, *method: Any, **more: Any) -> Any:
        """Make the callable of a method."""
        return _Method(self, "stream_unary", method, more)

    def stream_stream(self, *method: Any, **more: Any) -> Any:
        """Make the callable of a method."""
        return _Method(self, "stream_stream", method, more)


class _Method:
    """One method as a stub holds it; bound anew when the channel under it is another."""

    def __init__(self, owner: RenewedChannel, kind: str, method: tuple[Any, ...], more: dict[str, Any]) -> None:
        self._owner = owner
        self._kind = kind
        self._method = method
        self._more = more
        self._bound_to: grpc.aio.Channel | None = None
        self._bound: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        channel = self._owner.newest()
        if self._bound is None or channel is not self._bound_to:
            self._bound_to = channel
            self._bound = getattr(channel, self._kind)(*self._method, **self._more)
        return self._bound(*arguments, **more)
