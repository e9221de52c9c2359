"""The ratelimit service in this process, and a client that asks as the gateway does."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from capstan.ratelimit.v1 import ratelimit_pb2 as pb
from capstan.ratelimit.v1 import ratelimit_pb2_grpc
from chassis.errors import CapstanError, from_failure
from chassis.rpc_client import call, connect
from chassis.testing import running
from services.ratelimit.app import build
from services.ratelimit.settings import Settings

RPM, TPM = pb.DIMENSION_REQUESTS_PER_MINUTE, pb.DIMENSION_TOKENS_PER_MINUTE
UNHURRIED_S = 10.0


class Client:
    """Reserves and settles as the gateway does."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ratelimit_pb2_grpc.RatelimitServiceStub(channel)
        self._numbers = itertools.count()

    async def reserve_all(self, *items: pb.ReserveItem) -> list[pb.ReserveResult]:
        request = pb.ReserveRequest(items=items)
        return list((await call(self._stub.Reserve, request, timeout_s=UNHURRIED_S, peer="ratelimit")).results)

    async def reserve(self, organization: str, *charges: pb.Charge, request_id: str = "") -> pb.ReserveResult:
        [result] = await self.reserve_all(self.item(organization, *charges, request_id=request_id))
        return result

    def item(self, organization: str, *charges: pb.Charge, request_id: str = "", granted: bool = False):
        return pb.ReserveItem(
            request_id=request_id or f"req_number_{next(self._numbers)}",
            organization_id=organization,
            charges=charges,
            granted=granted,
        )

    async def settle(self, organization: str, request_id: str, tokens: int, amount_nanousd: int = 0) -> bool:
        item = pb.SettleItem(
            request_id=request_id, organization_id=organization, tokens=tokens, amount_nanousd=amount_nanousd
        )
        request = pb.SettleRequest(items=[item])
        answer = await call(self._stub.Settle, request, timeout_s=UNHURRIED_S, peer="ratelimit")
        return bool(answer.results[0].settled)

    async def renew(self, organization: str, request_id: str, tokens: int) -> bool:
        """Answer whether the reservation is known."""
        item = pb.RenewItem(request_id=request_id, organization_id=organization, tokens=tokens)
        answer = await call(self._stub.Renew, pb.RenewRequest(items=[item]), timeout_s=UNHURRIED_S, peer="ratelimit")
        return not answer.results[0].lost

    async def heartbeat(self, gateway_id: str) -> int:
        request = pb.HeartbeatRequest(gateway_id=gateway_id)
        answer = await call(self._stub.Heartbeat, request, timeout_s=UNHURRIED_S, peer="ratelimit")
        return int(answer.gateway_count)


def rpm(limit: int, cost: int = 1) -> pb.Charge:
    return pb.Charge(dimension=RPM, subject_id="proj_1", model="m", limit=limit, cost=cost)


def tpm(limit: int, cost: int) -> pb.Charge:
    return pb.Charge(dimension=TPM, subject_id="org-1", model="m", limit=limit, cost=cost)


def refusal(result: pb.ReserveResult) -> CapstanError:
    assert result.HasField("refusal")
    return from_failure(result.refusal)


@asynccontextmanager
async def service(valkey_url: str, timeout_s: float = UNHURRIED_S) -> AsyncIterator[Client]:
    settings = Settings(valkey_url=valkey_url, valkey_timeout_s=timeout_s)
    async with running("ratelimit", build, settings) as it, connect(it.address) as channel:
        yield Client(channel)
