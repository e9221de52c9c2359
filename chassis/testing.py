"""Services in tests: the same `build` in this process, on free unix sockets in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chassis.clock import Clock
from chassis.ids import Ids
from chassis.kit import Kit
from chassis.run import Build, Stop, serve
from chassis.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True)
class Running:
    """A service that runs."""

    address: str
    """Its gRPC address."""
    ops_address: str
    """Its operations port."""
    kit: Kit
    """What it was built with."""
    stop: Stop
    """Ask it to stop; leaving the context does so too."""


@contextlib.asynccontextmanager
async def running(
    name: str,
    build: Build[S],
    settings: S,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    ready_within_s: float = 30.0,
) -> AsyncIterator[Running]:
    """Run a service until the block is left. Its operations port, and `listen` when unset, become sockets of its own.

    Raises what the service raised when it does not come up, `TimeoutError` when it is not ready in time.
    """
    with tempfile.TemporaryDirectory(prefix="cap-") as folder:
        places = {"ops_listen": f"unix:{Path(folder) / 'ops.sock'}"}
        if not settings.listen:
            places["listen"] = f"unix:{Path(folder) / 'rpc.sock'}"
        settings = settings.model_copy(update=places)
        stop = Stop()
        ready: asyncio.Future[tuple[Kit, str]] = asyncio.get_running_loop().create_future()

        def on_ready(kit: Kit, ops_address: str) -> None:
            if not ready.done():
                ready.set_result((kit, ops_address))

        life = asyncio.create_task(
            serve(name, settings, build, stop=stop, clock=clock, ids=ids, on_ready=on_ready),
            name=f"{name} under test",
        )
        try:
            async with asyncio.timeout(ready_within_s):
                waiting: set[asyncio.Future[Any]] = {life, ready}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                code = await life
                raise RuntimeError(f"{name} ended with status {code} before it was ready")
            kit, ops_address = ready.result()
            yield Running(settings.listen, ops_address, kit, stop)
        finally:
            stop.ask()
            if not ready.done():
                ready.cancel()
                life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life
