"""The public port: uvicorn with our bounds on it, started and drained with the service."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from chassis.kit import Kit
from chassis.ops import QuietServer
from chassis.sockets import bound_address, listen
from services.gateway.desk import Desk
from services.gateway.http_protocol import ConnectionLimits, http_protocol
from services.gateway.routes import routes


@asynccontextmanager
async def http_server(desk: Desk, kit: Kit) -> AsyncIterator[None]:
    """Serve HTTP while the block lasts; leaving it takes no new connections and lets running answers finish."""
    settings = desk.settings
    listener = listen(settings.http_listen)
    limits = ConnectionLimits(
        max_connections=settings.max_connections,
        # With the framing of chunks; the body itself is bounded more tightly where it is read.
        request_bytes=2 * settings.max_body_bytes + 2**20,
        write_stall_s=settings.stalled_reader_s,
    )
    config = uvicorn.Config(
        routes(desk, kit),
        http=http_protocol(limits, kit.ids, random.random),
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        # The peer's address is the connection's: nobody's headers are believed.
        proxy_headers=False,
        # Longer than clients keep idle connections, or they would send into one that is just being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.grace_s)),
    )
    server = QuietServer(config)
    task = kit.tasks.spawn("http server", server.serve([listener]))
    kit.readiness.condition("http").set(True)
    kit.log.info("listening", extra={"path": bound_address(listener)})
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([task])
