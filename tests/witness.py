"""Billing's ear for replicas, played: what they tell of the requests that they served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from capstan.billing.v1 import witness_pb2, witness_pb2_grpc
from chassis.errors import unavailable
from chassis.rpc_server import rich_status

GRACE_S = 20.0


class Witness(witness_pb2_grpc.WitnessServiceServicer):
    """Keeps what it is told; refuses the first `refusals` times."""

    def __init__(self) -> None:
        self.told: dict[str, witness_pb2.EngineUsage] = {}
        self.refusals = 0
        self.news = asyncio.Condition()

    async def ReportEngineUsage(self, request, context):
        if self.refusals:
            self.refusals -= 1
            status = rich_status(unavailable("postgres"))
            await context.abort(status.code, status.details, status.trailing_metadata)
        async with self.news:
            self.told |= {usage.part_id: usage for usage in request.usages}
            self.news.notify_all()
        return witness_pb2.ReportEngineUsageResponse()

    async def heard(self, part_id: str) -> witness_pb2.EngineUsage:
        async with asyncio.timeout(GRACE_S), self.news:
            await self.news.wait_for(lambda: part_id in self.told)
        return self.told[part_id]


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[Witness, str]]:
    """One that listens in the folder, and its address."""
    witness, server = Witness(), grpc.aio.server()
    witness_pb2_grpc.add_WitnessServiceServicer_to_server(witness, server)
    address = f"unix:{folder / 'witness.sock'}"
    server.add_insecure_port(address)
    await server.start()
    try:
        yield witness, address
    finally:
        await server.stop(0)
