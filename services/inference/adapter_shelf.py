"""Adapters that requests bring along: loaded when first asked for, taken away when idle and in the way.

An adapter that a request uses, or waits for, stays. One that was loaded by `LoadAdapter` is its caller's to take away.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import NamedTuple

from services.inference.engine import Engine
from services.inference.errors import AdapterConflictError, AdapterRejectedError, AdaptersFullError, UnknownAdapterError


class Brought(NamedTuple):
    """An adapter as a request names it."""

    name: str
    path: str
    """Folder that this process can read."""


class AdapterShelf:
    """Which of them the engine has, and who uses them. All methods are called from one event loop."""

    def __init__(self, engine: Engine, log: logging.Logger) -> None:
        self._engine = engine
        self._log = log
        self._loaded: dict[str, Brought] = {}
        """By name, the one that was used last at the end."""
        self._users: Counter[Brought] = Counter()
        self._loading: dict[Brought, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()

    def hold(self, adapter: Brought) -> None:
        """Count a request that uses it, until `give_back`."""
        self._users[adapter] += 1

    def give_back(self, adapter: Brought) -> None:
        """The request has ended."""
        self._users[adapter] -= 1
        if not self._users[adapter]:
            del self._users[adapter]

    def has(self, adapter: Brought) -> bool:
        """Whether requests can use it at once; it counts as used now."""
        if self._loaded.get(adapter.name) != adapter or adapter.name not in self._engine.adapters:
            return False
        self._loaded[adapter.name] = self._loaded.pop(adapter.name)
        return True

    async def load(self, adapter: Brought) -> None:
        """Have it loaded, once for all that ask at the same time, and to the end although they leave.

        Raises UnknownAdapterError (its files cannot be used), AdaptersFullError (all are in use), EngineDeadError.
        """
        task = self._loading.get(adapter)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._load(adapter), name=f"load {adapter.name}")
            self._loading[adapter] = task
            task.add_done_callback(lambda done: self._done(adapter, done))
        await asyncio.shield(task)

    def _done(self, adapter: Brought, task: asyncio.Task[None]) -> None:
        del self._loading[adapter]
        if not task.cancelled():
            task.exception()  # whoever asked may have left

    async def _load(self, adapter: Brought) -> None:
        async with self._one_at_a_time:
            await self._make_way(adapter.name)
            while not self.has(adapter):
                try:
                    await self._engine.load_adapter(*adapter)
                except AdaptersFullError:
                    await self._evict()
                except (AdapterRejectedError, AdapterConflictError) as error:
                    self._log.error("an adapter cannot be loaded: %s", error, extra={"model": adapter.name})
                    raise UnknownAdapterError(f"it cannot be loaded: {error}", name=adapter.name) from error
                else:
                    self._loaded[adapter.name] = adapter

    async def _make_way(self, name: str) -> None:
        """Take the adapter of that name away when nobody uses it: other files may be meant now."""
        old = self._loaded.get(name)
        if old is None or name not in self._engine.adapters:
            self._loaded.pop(name, None)
        elif not self._users[old]:
            await self._take_away(old)

    async def _evict(self) -> None:
        """Take away what is idle longest. Raises AdaptersFullError when nothing is."""
        idle = next((each for each in self._loaded.values() if not self._users[each]), None)
        if idle is None:
            raise AdaptersFullError("every adapter slot is in use", name="")
        await self._take_away(idle)

    async def _take_away(self, adapter: Brought) -> None:
        del self._loaded[adapter.name]
        await self._engine.unload_adapter(adapter.name)
