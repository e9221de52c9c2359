"""Somebody with an admin key, as the gateway's administrative listener speaks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from capstan.auth.v1 import actor_pb2, admin_pb2, admin_pb2_grpc
from chassis import keys
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call

if TYPE_CHECKING:
    from .conftest import Client

UNHURRIED_S = 10.0
METHODS = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name


def request_of(method: str) -> Any:
    """The class of a method's request."""
    return METHODS[method].input_type._concrete_class


class Administrator:
    """Calls methods by their names, in the name of one admin key."""

    def __init__(self, channel: grpc.aio.Channel, organization_id: str, key_id: str) -> None:
        self._channel = channel
        self._stub = admin_pb2_grpc.AdminServiceStub(channel)
        self.organization_id = organization_id
        self.key_id = key_id

    async def __call__(self, method: str, **fields: Any) -> Any:
        """Call a method; raises what it refuses with."""
        actor = actor_pb2.Actor(
            organization_id=self.organization_id, key_id=self.key_id, ip_address="192.0.2.7", request_id="req_1"
        )
        request = request_of(method)(actor=actor, **fields)
        return await call(getattr(self._stub, method), request, timeout_s=UNHURRIED_S, peer="auth")

    async def refused(self, method: str, **fields: Any) -> CapstanError:
        """Call a method that must be refused."""
        with pytest.raises(CapstanError) as caught:
            await self(method, **fields)
        return caught.value

    async def reason(self, method: str, **fields: Any) -> Reason:
        """The reason of a refusal."""
        return (await self.refused(method, **fields)).reason

    def with_key(self, key_id: str, organization_id: str = "") -> Administrator:
        """Another key on the same connection."""
        return Administrator(self._channel, organization_id or self.organization_id, key_id)


async def administrator(client: Client, admin_key: str) -> Administrator:
    """Present an admin key."""
    principal = await client.authenticate(admin_key)
    return Administrator(client.channel, principal.organization_id, principal.key_id)


async def works(client: Client, key: str) -> bool:
    """Whether a key opens anything."""
    [verdict] = await client.judge(keys.digest(key))
    return not isinstance(verdict, CapstanError)
