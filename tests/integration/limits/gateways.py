"""Gateways as ratelimit sees them: the part of each that asks it, with its background work, and no HTTP."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from chassis.clock import Clock, SystemClock
from chassis.rpc_client import connect
from services.gateway.caller import Caller, Limit
from services.gateway.charges import Budget
from services.gateway.exposure import Exposure
from services.gateway.limits_headers import Meter
from services.gateway.metrics import LimitMetrics
from services.gateway.peers.ratelimit import Limiter, Settlement
from services.gateway.seeds import Seed

UNHURRIED_S = 10.0
ORGANIZATION = "org-1"


def caller(*limits: Limit, key: str = "key_1") -> Caller:
    return Caller(ORGANIZATION, "proj_1", key, "user-1", frozenset("*"), frozenset(), "off", limits, None)


class Gateway:
    """One of several."""

    _numbers = itertools.count()

    def __init__(self, limiter: Limiter, registry: CollectorRegistry) -> None:
        self.limiter = limiter
        self._registry = registry

    async def reserve(self, who: Caller, tokens: int = 1, *budgets: Budget, name: str = "") -> tuple[str, list[Meter]]:
        """Answers the request's id and how the meters stand. Raises what the limiter raises."""
        name = name or f"req_{next(self._numbers)}"
        return name, await self.limiter.reserve(name, who, "m", tokens, budgets)

    async def end(self, name: str, tokens: int, amount_nanousd: int = 0) -> None:
        told = self.limiter.ended(Settlement(name, ORGANIZATION, tokens, amount_nanousd))
        if told is not None:
            await self.limiter.settle([told])

    def count(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(f"capstan_gateway_{name}_total", labels) or 0.0


@asynccontextmanager
async def gateway(
    address: str,
    name: str = "gateway-1",
    *,
    clock: Clock | None = None,
    timeout_s: float = UNHURRIED_S,
    seed: Seed | None = None,
    exposure: Exposure | None = None,
    returned: Callable[[], None] = lambda: None,
    attended: bool = True,
) -> AsyncIterator[Gateway]:
    """Without its background work when it is not `attended`."""
    registry = CollectorRegistry()
    async with connect(address) as channel:
        limiter = Limiter(
            channel,
            clock=clock or SystemClock(),
            log=logging.getLogger("capstan.test"),
            metrics=LimitMetrics(registry),
            gateway_id=name,
            timeout_s=timeout_s,
            seed=seed,
            exposure=exposure,
            returned=returned,
        )
        background = [asyncio.create_task(work()) for work in (limiter.attend, limiter.keep) if attended]
        try:
            yield Gateway(limiter, registry)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
