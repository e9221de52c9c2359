"""When a model without work falls asleep, and when it is woken. Pure: times are arguments.

Every router decides for itself, and there is nobody whose loss stops it. That is safe because they decide by what all
see alike: each replica itself tells how long it has had nothing to do, whoever sent it its work. What one router alone
knows (who waits there) only keeps a model awake or wakes it.

A model is put to sleep only from a state in which replicas serve, all of them known and unused for long; so one that is
still loading is left alone, whatever its demand, and between two sleeps there is always a load and an idle time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.router.placement import Placements, Request
from services.router.replicas import Replica

MISSED_S = 5.0
"""How long a request that found no replica counts as demand, after it was refused or another model stood in."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How many pods a Deployment shall have, and has."""

    wanted_count: int
    count: int
    version: str
    """Of the object, for changing it only as it was seen."""


class Missed:
    """Models that requests asked for in vain: who is refused at once, or served by a stand-in, waits nowhere."""

    def __init__(self, placements: Placements) -> None:
        self._placements = placements
        self._at: dict[str, float] = {}

    def note(self, request: Request, now: float, served: str | None = None) -> None:
        """Note a request that `served` (None: nobody) has answered. Raises `CapstanError` as `Placements.models`.

        One for an adapter asks for the model that is adapted.
        """
        model = self._placements.queue(request)
        if model != served:
            self._at[model] = now

    def lately(self, model: str, now: float) -> bool:
        """Say whether there was one in the last moments."""
        at = self._at.get(model)
        return at is not None and now - at <= MISSED_S


def is_to_wake(wanted: bool, replicas: Iterable[Replica]) -> bool:
    """Say whether somebody wants a model of which no replica takes requests."""
    return wanted and not any(each.connected and each.load is not None and each.load.accepting for each in replicas)


def is_to_sleep(wanted: bool, replicas: Sequence[Replica], now: float, *, idle_s: float, stale_after_s: float) -> bool:
    """Say whether nobody wants a model whose replicas all have had nothing to do for `idle_s`."""
    if wanted or not replicas:
        return False
    return all(_is_unused(each, now, idle_s, stale_after_s) for each in replicas)


def count_awake(scale: Scale) -> int | None:
    """Answer how many pods wake it; None when it is awake already."""
    return 1 if scale.wanted_count == 0 else None


def count_asleep(scale: Scale, known_count: int) -> int | None:
    """Answer how many pods put it to sleep; None while it has others than the `known_count` that are unused."""
    return 0 if scale.wanted_count == scale.count == known_count else None


def _is_unused(replica: Replica, now: float, idle_s: float, stale_after_s: float) -> bool:
    load = replica.load
    if load is None or not replica.connected or now - replica.reported_at > stale_after_s:
        return False
    busy = replica.held_count or load.running_count or load.waiting_count
    return not busy and load.accepting and load.idle_s is not None and load.idle_s >= idle_s
