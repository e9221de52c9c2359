"""gRPC out: channels that notice dead peers, and calls that fail with typed errors only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from chassis.errors import DOMAIN, CapstanError, Reason, reason_named, unavailable
from chassis.rpc_server import MAX_MESSAGE_BYTES
from chassis.tracing import Tracing

Response = TypeVar("Response")

OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A frozen or vanished peer is noticed in 13 s even when no call is under way.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A peer that restarted is found again within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # What an attempt to connect may take: gRPC's name for it misleads. A busy peer needs its time.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Several addresses (a headless service) share the calls.
    ("grpc.lb_policy_name", "round_robin"),
    # A peer that is lost or asks to connect anew is looked up again; gRPC's own 30 s would leave new ones idle.
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    # No environment proxy ever belongs between two of our services.
    ("grpc.enable_http_proxy", 0),
    # Channels to one address each have a connection of their own, so that closing one disturbs no other.
    ("grpc.use_local_subchannel_pool", 1),
]


_STICKY = ("grpc.service_config", '{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}')


def connect(
    address: str,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    peer_name: str | None = None,
    sticky: bool = False,
) -> grpc.aio.Channel:
    """Make a channel to `unix:/path` or `host:port`. It connects when first used and reconnects by itself.

    Plain without `credentials`: services use `Kit.connect`, which knows whether that is allowed. `peer_name` is what
    the peer's certificate must be for; unset: the host in `address`. `sticky`: of several addresses one is drawn and
    stayed with while it works, for a peer that remembers what it said.
    """
    options = [*OPTIONS, _STICKY] if sticky else OPTIONS
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    named = [("grpc.ssl_target_name_override", peer_name), ("grpc.default_authority", peer_name)] if peer_name else []
    return grpc.aio.secure_channel(address, credentials, options=[*options, *named])


async def call(
    method: Callable[..., Any], request: Any, *, timeout_s: float, peer: str, tracing: Tracing | None = None
) -> Any:
    """Call a unary `method` of a stub.

    `timeout_s` is what remains for the answer; `peer` names the service in errors. Raises `CapstanError` only: what the
    peer said, or UNAVAILABLE or DEADLINE_EXCEEDED when it said nothing.
    """
    metadata = tracing.outgoing() if tracing is not None and tracing.enabled else None
    try:
        return await method(request, timeout=timeout_s, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        raise translate(error, peer) from None


def translate(error: grpc.aio.AioRpcError, peer: str) -> CapstanError:
    """Turn a gRPC error into the typed one it carries, or into what its status says about the transport."""
    status = rpc_status.from_call(error)
    if status is not None:
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == DOMAIN:
                return CapstanError(reason_named(info.reason), status.message, **dict(info.metadata))
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CapstanError(Reason.DEADLINE_EXCEEDED, f"{peer} did not answer in time", service=peer)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return unavailable(peer, f"{peer} cannot be reached")
    return CapstanError(Reason.INTERNAL, f"{peer}: {code.name}: {error.details()}", service=peer)
