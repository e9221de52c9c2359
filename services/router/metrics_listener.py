"""The listener of the external metrics API: HTTPS with the operator's certificate, for the cluster's API server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from chassis.kit import Kit
from chassis.ops import AsgiApp, QuietServer
from chassis.sockets import bound_address, listen
from services.router.settings import Settings


@asynccontextmanager
async def metrics_listener(settings: Settings, app: AsgiApp, kit: Kit) -> AsyncIterator[str]:
    """Serve `app` while the block lasts; answer where. Raises `OSError` when a certificate cannot be read."""
    listener = listen(settings.metrics_listen)
    config = uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=64,
        ssl_certfile=settings.metrics_certificate,
        ssl_keyfile=settings.metrics_key,
        ssl_ca_certs=None if settings.metrics_client_ca is None else str(settings.metrics_client_ca),
        ssl_cert_reqs=ssl.CERT_NONE if settings.metrics_client_ca is None else ssl.CERT_REQUIRED,
    )
    server = QuietServer(config)
    task = kit.tasks.spawn("external metrics", server.serve([listener]))
    try:
        yield bound_address(listener)
    finally:
        server.should_exit = True
        await asyncio.wait([task])
