"""Gives back what ended of budgets that nobody asks about: a dead gateway's holds would stay until somebody does."""

from __future__ import annotations

import logging

from chassis.clock import Clock
from chassis.errors import CapstanError
from chassis.valkey import ReplyError, Valkey
from services.ratelimit.audit import budget_keys
from services.ratelimit.metrics import Metrics
from services.ratelimit.store import script_text

INTERVAL_S = 20.0
TURN_KEY = "{rl}:reaper"
TURN_MS = 15_000
"""How long others leave it to whoever began."""
MOST_ROUNDS = 1000
"""Calls for one budget at a time, each of which gives 100 holds back."""


class Reaper:
    """One of all replicas looks at a time."""

    def __init__(self, valkey: Valkey, metrics: Metrics, log: logging.Logger) -> None:
        self._valkey = valkey
        self._reap = valkey.script(script_text("reap"))
        self._metrics = metrics
        self._log = log

    async def run(self, clock: Clock) -> None:
        """Look again and again for as long as the service lives. Never returns."""
        while True:
            await clock.sleep(INTERVAL_S)
            try:
                if await self._valkey.command("SET", TURN_KEY, "", "NX", "PX", TURN_MS) is not None:
                    await self.look()
            except (CapstanError, ReplyError) as error:
                self._log.debug("ended holds cannot be given back: %s", error)

    async def look(self) -> None:
        """Give back what ended, everywhere. Raises `CapstanError` when Valkey is away."""
        async for keys in budget_keys(self._valkey):
            for key in keys:
                for _ in range(MOST_ROUNDS):
                    given = await self._reap([key], [])
                    if not isinstance(given, int) or given == 0:
                        break
                    self._metrics.ended_holds.inc(given)
