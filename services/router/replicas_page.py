"""`/replicas` on the operations port: which replicas can be placed on now, for people and for launchers."""

from __future__ import annotations

import json
from collections.abc import Callable

from chassis.ops import Receive, Scope, Send, respond
from services.router.pools import Replicas

PATH = "/replicas"


class ReplicasPage:
    """Answers `{"replica id": true or false, …}`."""

    def __init__(self, replicas: Replicas, now: Callable[[], float]) -> None:
        """`now`: monotonic seconds."""
        self._replicas = replicas
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        now = self._now()
        usable = {replica.id: replica.is_usable(now) for replica in self._replicas}
        await respond(send, 200, json.dumps(usable).encode() + b"\n", "application/json")
