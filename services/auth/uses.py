"""When keys were last used, written in batches: a write per request would make the database part of every request."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime

from chassis.clock import Clock, utc
from chassis.errors import CapstanError
from services.auth.store import Store

INTERVAL_S = 10.0
MOST_KEYS = 10_000
"""Keys that are remembered between two writes; further ones are written the next time they are seen."""

_LAST_WRITE_TIMEOUT_S = 1.0


class Uses:
    """Notes uses and writes them every 10 s; keeps them while the database is away."""

    def __init__(self, store: Store, clock: Clock, log: logging.Logger) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._noted: dict[str, datetime] = {}

    def note(self, key_id: str) -> None:
        """Say that a key was used now."""
        if key_id in self._noted or len(self._noted) < MOST_KEYS:
            self._noted[key_id] = utc(self._clock)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._clock.sleep(INTERVAL_S)
            await self._write()

    async def close(self) -> None:
        """Write what is left, if the database takes it at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITE_TIMEOUT_S):
                await self._write()

    async def _write(self) -> None:
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._store.record_uses(noted)
        except CapstanError as error:
            self._log.debug("uses of keys are kept for later: %s", error)
            self._noted = noted | self._noted
