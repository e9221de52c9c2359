"""Where a request goes: filter, score, pick. Pure: the time is an argument, the same question gets the same answer.

The room for more is here: what a replica's cache holds of the prompt would be one more term of the score, and a queue
for what finds no capacity would stand before `place`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from zlib import crc32

from chassis.errors import CapstanError, Reason
from services.router.models import Catalogue
from services.router.replicas import Kind, Replica, Replicas

_RETRY_ABSENT_MS = 2000
_RETRY_FULL_MS = 1000
_RETRY_SOONEST_MS = 100


@dataclass(frozen=True, slots=True)
class Request:
    """A request to place."""

    request_id: str
    model: str
    """As the client named it."""
    kind: Kind
    tokens: int
    """Prompt plus the most that may be generated."""
    excluded: Collection[str] = ()
    """Ids of replicas that failed it already."""


@dataclass(frozen=True, slots=True)
class Held:
    """A request that was placed and has not left."""

    replica: Replica
    tokens: int
    epoch: int
    placed_at: float


def choose(pool: Sequence[Replica], request_id: str, excluded: Collection[str], now: float) -> Replica | None:
    """Pick the usable replica with the least score; among equals the request's id decides, the same everywhere."""
    best = float("inf")
    equals: list[Replica] = []
    for replica in pool:
        score = replica.score
        if score > best or not replica.usable_from <= now < replica.usable_until or replica.id in excluded:
            continue
        if score < best:
            best = score
            equals = [replica]
        else:
            equals.append(replica)
    if len(equals) < 2:
        return equals[0] if equals else None
    return equals[crc32(request_id.encode()) % len(equals)]


class Placements:
    """Places requests, remembers where they are, and learns from how they went."""

    def __init__(self, replicas: Replicas, catalogue: Catalogue, *, expiry_s: float) -> None:
        self._replicas = replicas
        self._catalogue = catalogue
        self._expiry_s = expiry_s
        self._held: dict[str, Held] = {}  # in the order of placing

    def __len__(self) -> int:
        return len(self._held)

    def place(self, request: Request, now: float) -> Replica:
        """Answer where the request goes, and count it there until `release`.

        Asked again with the same id, it stays where it is, unless that replica is excluded now or cannot be used: then
        it moves. How it went where it was is for `release` to say, before it is placed again.

        Raises:
            CapstanError: MODEL_NOT_FOUND, MODEL_KIND_MISMATCH or NO_CAPACITY; it is placed nowhere then.
        """
        model = self._catalogue.served_name(request.model)
        if model is None:
            raise CapstanError(Reason.MODEL_NOT_FOUND, f"no model {request.model!r}", model=request.model)
        kinds = self._catalogue.kinds(model)
        if kinds and request.kind not in kinds:
            message = f"{request.model!r} cannot {request.kind.value}"
            raise CapstanError(Reason.MODEL_KIND_MISMATCH, message, model=request.model)
        pool = self._replicas.pool(model, request.kind)
        held = self._held.get(request.request_id)
        if held is not None:
            if held.replica.id not in request.excluded and now < held.replica.usable_until and held.replica in pool:
                return held.replica
            self._take_back(request.request_id, now, went_well=None)
        replica = choose(pool, request.request_id, request.excluded, now)
        if replica is None:
            retry_after_ms = str(_retry_after_ms(pool, now))
            raise CapstanError(Reason.NO_CAPACITY, "no replica", model=request.model, retry_after_ms=retry_after_ms)
        epoch = replica.hold(request.tokens, now)
        self._held[request.request_id] = Held(replica, request.tokens, epoch, now)
        return replica

    def release(self, request_id: str, *, went_well: bool, now: float) -> None:
        """Let a request go and learn how it went. Unknown ids are ignored."""
        self._take_back(request_id, now, went_well=went_well)

    def expire(self, now: float) -> int:
        """Let go of what nobody released in time; answer how many those were. They say nothing about their replicas."""
        overdue = []
        for request_id, held in self._held.items():
            if held.placed_at + self._expiry_s > now:
                break
            overdue.append(request_id)
        for request_id in overdue:
            self._take_back(request_id, now, went_well=None)
        return len(overdue)

    def _take_back(self, request_id: str, now: float, *, went_well: bool | None) -> None:
        held = self._held.pop(request_id, None)
        if held is None:
            return
        held.replica.let_go(held.tokens)
        if went_well is not None:
            may_open = went_well or self._replicas.may_eject(held.replica)
            held.replica.judge(went_well=went_well, epoch=held.epoch, now=now, may_open=may_open)


def _retry_after_ms(pool: Sequence[Replica], now: float) -> int:
    """Guess when asking again makes sense, in milliseconds."""
    if not any(replica.connected for replica in pool):
        return _RETRY_ABSENT_MS
    trials = [replica.usable_from - now for replica in pool if replica.usable_from > now]
    if trials:
        return max(_RETRY_SOONEST_MS, round(min(trials) * 1000))
    return _RETRY_FULL_MS
