"""The operations port: /livez, /readyz and /metrics over HTTP, and what a service mounts beside them.

/livez answers as long as the event loop turns: an orchestrator that sees it fail may kill the process. /readyz says
whether to send traffic. Neither asks a dependency.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from chassis.readiness import Readiness

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling: the runner owns signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def respond(send: Send, status: int, body: bytes, content_type: str) -> None:
    """Send a whole small answer."""
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Ops:
    """The ASGI application of the operations port."""

    def __init__(self, readiness: Readiness, registry: CollectorRegistry, about: dict[str, str]) -> None:
        self._readiness = readiness
        self._registry = registry
        self._about = about
        self._mounts: dict[str, AsgiApp] = {}

    def mount(self, path: str, app: AsgiApp) -> None:
        """Serve `app` at exactly `path`."""
        self._mounts[path] = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/livez":
            await respond(send, 200, b"ok\n", "text/plain")
        elif path == "/readyz":
            ready = self._readiness.ready
            body = json.dumps({"ready": ready, "waiting_for": self._readiness.report(), **self._about}).encode()
            await respond(send, 200 if ready else 503, body + b"\n", "application/json")
        elif path == "/metrics":
            await respond(send, 200, generate_latest(self._registry), CONTENT_TYPE_LATEST)
        elif path in self._mounts:
            await self._mounts[path](scope, receive, send)
        else:
            await respond(send, 404, b"not found\n", "text/plain")


def server(app: AsgiApp, log: logging.Logger) -> QuietServer:
    """Wrap `app` in a small uvicorn; the caller gives it a listening socket."""
    log.debug("operations port configured")
    return QuietServer(
        uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
