"""Who is watched: replicas come and go as somebody says, each with an ear of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from services.router.pools import Replicas
from services.router.replicas import Replica

Watching = Callable[[Replica], Coroutine[Any, Any, None]]


class Roster:
    """The replicas of the moment."""

    def __init__(
        self,
        replicas: Replicas,
        watching: Watching,
        spawn: Callable[[str, Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """`watching` listens to a replica for ever; `spawn` runs it in the background."""
        self._replicas = replicas
        self._watching = watching
        self._spawn = spawn
        self._ears: dict[str, asyncio.Task[None]] = {}

    def keep(self, places: Mapping[str, str]) -> None:
        """Know exactly these replicas, id to address. One whose address has changed is another one."""
        for known in list(self._replicas):
            if places.get(known.id) != known.address:
                self._ears.pop(known.id).cancel()
                self._replicas.remove(known.id)
        for replica_id, address in places.items():
            if replica_id not in self._ears:
                replica = self._replicas.add(replica_id, address)
                self._ears[replica_id] = self._spawn(f"watch {replica_id}", self._watching(replica))
