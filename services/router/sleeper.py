"""Watches over one model that may sleep: wakes it for who wants it, puts it to sleep when nobody does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from chassis.clock import Clock
from services.router.deployments import ScaleConflictError, ScaleError
from services.router.replicas import Replica
from services.router.settings import Sleep
from services.router.sleep import Scale, count_asleep, count_awake, is_to_sleep, is_to_wake

LOOK_S = 0.2
"""Time between two looks at what this router knows, which cost nothing."""

LONGEST_PAUSE_S = 10.0
"""Where the time between two looks ends that doubles while the API server has nothing to change, or fails."""


class Scaling(Protocol):
    """As `deployments.Deployments`."""

    async def scale(self, name: str) -> Scale:
        """Read how many pods it shall have and has. Raises `ScaleError`."""

    async def set_count(self, name: str, count: int, version: str) -> None:
        """Change how many pods it shall have, if it still is as in `version`. Raises `ScaleError`."""


class Sleeper:
    """One model. Any number of routers may run one for the same: each changes only what it has just seen."""

    def __init__(
        self,
        model: str,
        rule: Sleep,
        deployments: Scaling,
        *,
        wanted: Callable[[], bool],
        replicas: Callable[[], Sequence[Replica]],
        stale_after_s: float,
        scaled: Callable[[str, str, str], None],
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        """`wanted`: whether somebody waits for the model here. `replicas`: those that serve it.

        `scaled` is told the model, `awake` or `asleep`, and `done`, `conflict` or `failed`.
        """
        self._model = model
        self._rule = rule
        self._deployments = deployments
        self._wanted = wanted
        self._replicas = replicas
        self._stale_after_s = stale_after_s
        self._scaled = scaled
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Look again and again. Never returns."""
        pause_s = LOOK_S
        while True:
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S) if await self.look() is False else LOOK_S

    async def look(self) -> bool | None:
        """Do what is due. True: done; False: the API server was asked in vain; None: nothing is due."""
        wanted, replicas, now = self._wanted(), self._replicas(), self._clock.monotonic()
        if is_to_wake(wanted, replicas):
            return await self._change("awake", count_awake)
        if is_to_sleep(wanted, replicas, now, idle_s=self._rule.idle_s, stale_after_s=self._stale_after_s):
            return await self._change("asleep", lambda scale: count_asleep(scale, len(replicas)))
        return None

    async def _change(self, state: str, decide: Callable[[Scale], int | None]) -> bool:
        name, named = self._rule.deployment, {"model": self._model}
        try:
            scale = await self._deployments.scale(name)
            count = decide(scale)
            if count is None:
                return False
            await self._deployments.set_count(name, count, scale.version)
        except ScaleConflictError:
            self._scaled(self._model, state, "conflict")
            return False
        except ScaleError as error:
            self._scaled(self._model, state, "failed")
            self._log.warning("the model stays as it is, %s was due: %s", state, error, extra=named)
            return False
        self._scaled(self._model, state, "done")
        self._log.info("the model is %s", state, extra=named)
        return True
