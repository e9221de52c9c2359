"""A listener: uvicorn with our bounds on it, started and drained with the service."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from chassis.kit import Kit
from chassis.ops import AsgiApp, QuietServer
from chassis.sockets import bound_address, listen
from services.gateway.http_protocol import ConnectionLimits, http_protocol
from services.gateway.settings import Settings


@asynccontextmanager
async def http_server(app: AsgiApp, address: str, settings: Settings, kit: Kit, *, name: str) -> AsyncIterator[None]:
    """Serve `app` at `address` while the block lasts; leaving it takes no new connections and lets running answers
    finish. `name` is that of the task and of the readiness condition.
    """
    listener = listen(address)
    limits = ConnectionLimits(
        max_connections=settings.max_connections,
        # With the framing of chunks; the body itself is bounded more tightly where it is read.
        request_bytes=2 * settings.max_body_bytes + 2**20,
        write_stall_s=settings.stalled_reader_s,
    )
    config = uvicorn.Config(
        app,
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
    task = kit.tasks.spawn(f"{name} server", server.serve([listener]))
    kit.readiness.condition(name).set(True)
    kit.log.info("listening", extra={"path": bound_address(listener)})
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([task])
