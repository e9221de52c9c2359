"""How many replicas a model could keep busy: the signal that scaling goes by, also while it has none."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.load import DEFAULT_SLOTS, TYPICAL_TOKENS
from services.router.replicas import Replica
from services.router.waiting_room import WaitingRoom


class Demand:
    """Demand per served model, in replicas: queued and running tokens over what one replica bears.

    1.0 is as much as fills the batch of one replica with requests of typical length. What waits is known to the router
    at which it waits; what runs is known to all, from the replicas' reports.
    """

    def __init__(self, room: WaitingRoom) -> None:
        self._room = room
        self._slots: dict[str, int] = {}
        """Of a model's replicas when they were last seen: without any, its queue is measured by them."""

    def of(self, model: str, replicas: Sequence[Replica]) -> float:
        """Answer a model's demand; `replicas`: those that serve it."""
        reported = [replica for replica in replicas if replica.load is not None]
        if reported:
            self._slots[model] = max(replica.slots for replica in reported)
        capacity = self._slots.get(model, DEFAULT_SLOTS) * TYPICAL_TOKENS
        running = sum(running_tokens(replica) for replica in reported)
        return (running + self._room.tokens(model)) / capacity


def running_tokens(replica: Replica) -> int:
    """Answer the tokens a replica is busy with: exactly for what we placed, typically for what others did.

    Of one that is not heard any more only the former: its last report would stand for ever.
    """
    others = max(0, replica.requests - replica.held_count) if replica.connected else 0
    return replica.held_tokens + others * TYPICAL_TOKENS
