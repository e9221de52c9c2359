"""A gateway before the real scripts, where no time passes but what a test lets pass, for both alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from capstan.ratelimit.v1 import ratelimit_pb2_grpc
from chassis.clock import ManualClock
from chassis.kit import Kit
from chassis.testing import running
from chassis.valkey import Valkey, connect
from services.ratelimit.metrics import Metrics
from services.ratelimit.servicer import RatelimitServicer
from services.ratelimit.settings import Settings
from tests.integration.limits.gateways import UNHURRIED_S, Gateway, gateway
from tests.integration.ratelimit.by_hand import PlayedStore, set_clock

START_S = 1_800_000_000 // 86_400 * 86_400 + 43_200.0


class Played:
    """`gateways` and the meters behind them."""

    def __init__(self, valkey: Valkey, clock: ManualClock, gateways: list[Gateway], calls: list[int]) -> None:
        self.valkey = valkey
        self.clock = clock
        self.gateways = gateways
        self._calls = calls

    @property
    def calls(self) -> int:
        """Reservations that came to the service."""
        return sum(self._calls)

    async def begin(self) -> None:
        """Empty the meters."""
        await self.valkey.command("FLUSHDB")
        await set_clock(self.valkey, round(self.clock.now() * 1000))

    async def wait(self, ms: int) -> None:
        """Let time pass."""
        await set_clock(self.valkey, round(self.clock.now() * 1000) + ms)
        await self.clock.advance(ms / 1000)


@asynccontextmanager
async def played(valkey_url: str, gateway_count: int = 1) -> AsyncIterator[Played]:
    clock, calls = ManualClock(START_S), []

    class Counting(RatelimitServicer):
        async def Reserve(self, request, context):
            calls.append(len(request.items))
            return await super().Reserve(request, context)

    @asynccontextmanager
    async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
        async with connect(settings.valkey_url, timeout_s=UNHURRIED_S) as client:
            servicer = Counting(PlayedStore(client), Metrics(kit.registry, lambda: client.is_away))
            ratelimit_pb2_grpc.add_RatelimitServiceServicer_to_server(servicer, kit.server)
            yield

    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(connect(valkey_url, timeout_s=UNHURRIED_S))
        await set_clock(valkey, int(START_S * 1000))
        service = await stack.enter_async_context(running("ratelimit", build, Settings(valkey_url=valkey_url)))
        gateways = [
            await stack.enter_async_context(gateway(service.address, f"gateway-{number}", clock=clock, attended=False))
            for number in range(gateway_count)
        ]
        yield Played(valkey, clock, gateways, calls)
