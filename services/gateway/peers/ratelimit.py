"""Ratelimit: reserve an estimate before the work, settle the truth after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from capstan.ratelimit.v1 import ratelimit_pb2, ratelimit_pb2_grpc
from chassis.coalesce import Coalescer
from chassis.errors import CapstanError, from_failure
from services.gateway.caller import Caller
from services.gateway.limits_headers import Meter
from services.gateway.peers.calls import call

REQUESTS = ratelimit_pb2.DIMENSION_REQUESTS_PER_MINUTE
TOKENS = ratelimit_pb2.DIMENSION_TOKENS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a request really used."""

    request_id: str
    organization_id: str
    tokens: int


class RateLimited(Exception):  # noqa: N818 - a refusal, not a fault
    """A limit refused the request; `error` says which, `meters` how all of them stand."""

    def __init__(self, error: CapstanError, meters: list[Meter]) -> None:
        super().__init__(str(error))
        self.error = error
        self.meters = meters


class Limiter:
    """The gateway's view of the meters."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = ratelimit_pb2_grpc.RatelimitServiceStub(channel)
        self._timeout_s = timeout_s
        self._coalescer: Coalescer[ratelimit_pb2.ReserveItem, ratelimit_pb2.ReserveResult] = Coalescer(self._send)

    async def reserve(self, request_id: str, caller: Caller, model: str, tokens: int) -> list[Meter]:
        """Charge one request and `tokens` against every limit that binds `caller` for `model`.

        Answers how the meters stand. Raises `RateLimited`, or `CapstanError` UNAVAILABLE when limits cannot be checked.
        """
        charges = _charges(caller, model, tokens)
        if not charges:
            return []
        result = await self._coalescer.submit(
            ratelimit_pb2.ReserveItem(request_id=request_id, organization_id=caller.organization_id, charges=charges)
        )
        meters = [
            Meter(
                dimension="requests" if state.dimension == REQUESTS else "tokens",
                limit=state.limit,
                remaining=state.remaining,
                reset_ms=state.reset.ToMilliseconds(),
            )
            for state in result.meters
        ]
        if result.HasField("refusal"):
            raise RateLimited(from_failure(result.refusal), meters)
        return meters

    async def _send(self, items: Sequence[ratelimit_pb2.ReserveItem]) -> Sequence[ratelimit_pb2.ReserveResult]:
        answer: ratelimit_pb2.ReserveResponse = await call(
            self._stub.Reserve,
            ratelimit_pb2.ReserveRequest(items=items),
            timeout_s=self._timeout_s,
            peer="ratelimit",
        )
        return answer.results

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Replace reservations by what was used. Raises `CapstanError` when ratelimit is away."""
        items = [
            ratelimit_pb2.SettleItem(request_id=s.request_id, organization_id=s.organization_id, tokens=s.tokens)
            for s in settlements
        ]
        await call(
            self._stub.Settle, ratelimit_pb2.SettleRequest(items=items), timeout_s=self._timeout_s, peer="ratelimit"
        )


def _charges(caller: Caller, model: str, tokens: int) -> list[ratelimit_pb2.Charge]:
    """One charge per limit that applies; of two limits of one scope, the one that names the model wins."""
    chosen = {limit.scope: limit for limit in caller.limits if limit.model == ""}
    chosen |= {limit.scope: limit for limit in caller.limits if limit.model == model}
    charges = []
    for scope, limit in chosen.items():
        for dimension, bound, cost in (
            (REQUESTS, limit.requests_per_minute, 1),
            (TOKENS, limit.tokens_per_minute, tokens),
        ):
            if bound is not None:
                charges.append(
                    ratelimit_pb2.Charge(
                        dimension=dimension, subject_id=caller.subject(scope), model=model, limit=bound, cost=cost
                    )
                )
    return charges
