"""Background tasks that are named and watched: one that ends by itself is a fault of the service, not a silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """The background tasks of one service.

    A task is meant to run until `close`. If one ends or raises before, `failed` is set to a sentence that names it; the
    runner then stops the service, because a service without its watcher or shipper looks well and is not.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` for as long as the service lives."""
        task = self._keep(name, work)
        task.add_done_callback(self._ended)
        return task

    def once(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` to its end, apart from whoever asked for it; a failure is logged and stops nothing."""
        task = self._keep(name, work)
        task.add_done_callback(self._report)
        return task

    def _keep(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        # The loop holds tasks weakly (asyncio documentation, create_task).
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _report(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("task %s failed", task.get_name(), exc_info=error)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._report(task)
        if not self._closing and not self.failed.done():
            self.failed.set_result(f"background task {task.get_name()!r} ended")

    async def close(self, grace_s: float = 5.0) -> None:
        """Cancel what still runs and wait for it, at most `grace_s`."""
        self._closing = True
        running = list(self._tasks)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=grace_s)
