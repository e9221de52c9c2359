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

LAST_WORD_S = 1.0
"""How long an answer that is cut short has for saying so."""


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
        await _until(task, server, kit.draining.hurried)


async def _until(task: asyncio.Task[None], server: uvicorn.Server, hurried: asyncio.Event) -> None:
    """Wait for the server's end; when hurried, cut its answers short. Whoever is cut off is told so by its handler."""
    hurry = asyncio.create_task(hurried.wait(), name="hurry")
    await asyncio.wait([task, hurry], return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not task.done():
        for answering in server.server_state.tasks:
            answering.cancel("hurried")
        await asyncio.wait([task], timeout=LAST_WORD_S)
        server.force_exit = True
        await asyncio.wait([task])
    if server.server_state.tasks:  # the grace was over: they were cancelled with the server's last breath
        await asyncio.wait(server.server_state.tasks, timeout=LAST_WORD_S)
