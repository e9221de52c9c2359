"""Where a request goes: filter, score, pick. Pure: the time is an argument, the same question gets the same answer.

How one of a pool is picked is a policy's business (`policies`); what finds no capacity may wait in front of this
(`queue`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from chassis.errors import CapstanError, Reason
from services.router.adapters import Adapter
from services.router.models import Catalogue
from services.router.policies import Policy, Pool, Wish, prefix_affinity
from services.router.pools import Replicas
from services.router.quarantine import Quarantine
from services.router.replicas import Kind, Replica

_RETRY_ABSENT_MS = 2000
_RETRY_FULL_MS = 1000
_RETRY_SOONEST_MS = 100

SETTLED_AFTER_S = 10.0
"""Seconds after which a request that was placed shows in its replica's report, or never will."""

QUARANTINED = "This request made the model fail twice. It is not tried again for some minutes."


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
    prefix_hashes: Sequence[int] = ()
    session_hash: int = 0
    body_hash: int = 0
    """What makes one replica die makes others; 0: not known."""
    no_fallback: bool = False
    organization_id: str = ""

    def wish(self, adapter: str = "") -> Wish:
        """Make what a policy looks at."""
        return Wish(self.request_id, self.prefix_hashes, self.session_hash, adapter, self.excluded)


@dataclass(frozen=True, slots=True)
class Held:
    """A request that was placed and has not left."""

    replica: Replica
    tokens: int
    epoch: int
    placed_at: float
    body_hash: int
    key: int
    """As in `Wish.key`."""
    adapter: Adapter | None


class Placements:
    """Places requests, remembers where they are, and learns from how they went."""

    def __init__(
        self,
        replicas: Replicas,
        catalogue: Catalogue,
        *,
        expiry_s: float,
        settled_after_s: float = SETTLED_AFTER_S,
        policy: Policy = prefix_affinity,
        policies: Mapping[str, Policy] | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        """`policies`: by served model, where it is not `policy`."""
        self.replicas = replicas
        self._catalogue = catalogue
        self._expiry_s = expiry_s
        self._settled_after_s = settled_after_s
        self._policy = policy
        self._policies = policies or {}
        self._quarantine = quarantine or Quarantine()
        self._held: dict[str, Held] = {}  # in the order of placing

    def __len__(self) -> int:
        return len(self._held)

    def place(self, request: Request, now: float) -> Replica:
        """Answer where the request goes, and count it there until `release`.

        Asked again with the same id, it stays where it is, unless that replica is excluded now or cannot be used: then
        it moves. How it went where it was is for `release` to say, before it is placed again.

        Raises:
            CapstanError: MODEL_NOT_FOUND, MODEL_KIND_MISMATCH, PARAMETER_REFUSED (it is quarantined) or NO_CAPACITY;
                it is placed nowhere then.
        """
        models = self.models(request)
        if self._quarantine.holds(request.body_hash, now):
            raise CapstanError(Reason.PARAMETER_REFUSED, "the request is quarantined", message=QUARANTINED)
        pools = [self.replicas.pool(self._catalogue.base(model), request.kind) for model in models]
        held = self._held.get(request.request_id)
        if held is not None:
            known = any(held.replica in pool.replicas for pool in pools)
            if held.replica.id not in request.excluded and now < held.replica.usable_until and known:
                return held.replica
            self._take_back(request.request_id, now, went_well=None)
        for model, pool in zip(models, pools, strict=True):
            adapter = self._catalogue.adapter(model)
            if adapter is not None:
                _check_slots(adapter, pool)
            wish = request.wish(adapter.name if adapter is not None else "")
            replica = self._policies.get(self._catalogue.base(model), self._policy)(pool, wish, now)
            if replica is not None:
                epoch = replica.hold(request.tokens, now, wish.key)
                held = Held(replica, request.tokens, epoch, now, request.body_hash, wish.key, adapter)
                self._held[request.request_id] = held
                return replica
        retry_after_ms = str(_retry_after_ms(pools[0], now))
        raise CapstanError(Reason.NO_CAPACITY, "no replica", model=request.model, retry_after_ms=retry_after_ms)

    def adapter(self, request_id: str) -> Adapter | None:
        """Answer the adapter that a placed request needs; None: the base model, or it is not placed."""
        held = self._held.get(request_id)
        return None if held is None else held.adapter

    def is_hopeless(self, request: Request) -> bool:
        """Say whether every replica that could serve it has failed it already. Raises `CapstanError` as `models`."""
        if not request.excluded:
            return False
        bases = map(self._catalogue.base, self.models(request))
        pools = [self.replicas.pool(base, request.kind).replicas for base in bases]
        return all(replica.id in request.excluded for pool in pools for replica in pool)

    def models(self, request: Request) -> list[str]:
        """Answer the served models and adapters that may serve it, the best first.

        Raises `CapstanError`: MODEL_NOT_FOUND or MODEL_KIND_MISMATCH.
        """
        model = self._catalogue.served_name(request.model, request.request_id)
        if model is None or not self._may_use(request, model):
            raise CapstanError(Reason.MODEL_NOT_FOUND, f"no model {request.model!r}", model=request.model)
        kinds = self._catalogue.kinds(model)
        if kinds and request.kind not in kinds:
            message = f"{request.model!r} cannot {request.kind.value}"
            raise CapstanError(Reason.MODEL_KIND_MISMATCH, message, model=request.model)
        if request.no_fallback:
            return [model]
        return [model, *(each for each in self._catalogue.fallbacks(model) if self._may_use(request, each))]

    def is_choosy(self, request: Request) -> bool:
        """Say whether others that wait for the same replicas may go where this one cannot. Raises as `models`.

        It excludes replicas, or may not fall back, or needs one that takes adapters.
        """
        model = self.models(request)[0]
        spurns = request.no_fallback and bool(self._catalogue.fallbacks(model))
        return bool(request.excluded) or spurns or self._catalogue.adapter(model) is not None

    def queue(self, request: Request) -> str:
        """Answer the served model for whose replicas it would wait. Raises `CapstanError` as `models`."""
        return self._catalogue.base(self.models(request)[0])

    def _may_use(self, request: Request, model: str) -> bool:
        adapter = self._catalogue.adapter(model)
        return adapter is None or adapter.serves(request.organization_id)

    def release(self, request_id: str, *, went_well: bool, now: float, died: bool = False) -> None:
        """Let a request go and learn how it went. Unknown ids are ignored.

        `died`: its replica broke off or failed, as one does that the request itself has killed.
        """
        held = self._take_back(request_id, now, went_well=went_well)
        if held is None:
            return
        if died:
            self._quarantine.suspect(held.body_hash, request_id, held.replica.id, now)
        elif went_well:
            self._quarantine.clear(held.body_hash, request_id)

    def withdraw(self, request_id: str, now: float) -> None:
        """Let a request go that says nothing about where it was placed: it never went there, or left too soon."""
        self._take_back(request_id, now, went_well=None)

    def judge(self, replica_id: str, *, went_well: bool, now: float) -> None:
        """Learn how a request went that another router placed.

        Of a replica that is shut out here it says nothing: it went there before, and only this router's trial counts.
        """
        replica = self.replicas.get(replica_id)
        if replica is not None and not replica.ejection.is_open:
            self._judge(replica, went_well=went_well, epoch=replica.ejection.epoch, now=now)

    def expire(self, now: float) -> int:
        """Let go of what nobody released in time; answer how many those were. They say nothing about their replicas."""
        overdue = []
        for request_id, held in self._held.items():
            if held.placed_at + self._expiry_s > now:
                break
            overdue.append(request_id)
        overdue += self._orphans(now)
        for request_id in overdue:
            self._take_back(request_id, now, went_well=None)
        return len(overdue)

    def _orphans(self, now: float) -> list[str]:
        """Find what was placed a while ago and cannot be where it was placed, since that replica reports fewer.

        Its release went to another router, or its gateway died.
        """
        orphans: list[str] = []
        surplus: dict[str, int] = {}
        for held in self._held.values():
            if held.placed_at + self._settled_after_s < held.replica.reported_at:
                surplus[held.replica.id] = surplus.get(held.replica.id, 0) + 1
        for replica in self.replicas:
            load, kinds = replica.load, replica.description.kinds if replica.description else frozenset()
            running = load.running_count + load.waiting_count if load and kinds == {Kind.GENERATE} else len(self._held)
            surplus[replica.id] = surplus.get(replica.id, 0) - running
        for request_id, held in self._held.items():
            if surplus.get(held.replica.id, 0) > 0:
                surplus[held.replica.id] -= 1
                orphans.append(request_id)
        return orphans

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._held

    def _take_back(self, request_id: str, now: float, *, went_well: bool | None) -> Held | None:
        held = self._held.pop(request_id, None)
        if held is not None:
            held.replica.let_go(held.tokens, held.key)
            if went_well is not None:
                self._judge(held.replica, went_well=went_well, epoch=held.epoch, now=now)
        return held

    def _judge(self, replica: Replica, *, went_well: bool, epoch: int, now: float) -> None:
        may_open = went_well or self.replicas.may_eject(replica)
        replica.judge(went_well=went_well, epoch=epoch, now=now, may_open=may_open)


def _check_slots(adapter: Adapter, pool: Pool) -> None:
    """Refuse at once what waiting cannot help. Raises `CapstanError` MODEL_NOT_FOUND."""
    told = [replica.description for replica in pool.replicas if replica.description is not None]
    if told and not any(description.max_adapters for description in told):
        message = f"no replica of {adapter.base!r} takes adapters (CAPSTAN_INFERENCE_MAX_ADAPTERS)"
        raise CapstanError(Reason.MODEL_NOT_FOUND, message, model=adapter.name)


def _retry_after_ms(pool: Pool, now: float) -> int:
    """Guess when asking again makes sense, in milliseconds."""
    connected = [replica for replica in pool.replicas if replica.connected]
    if not connected:
        return _RETRY_ABSENT_MS
    trials = [replica.usable_from - now for replica in connected if replica.usable_from > now]
    if len(trials) == len(connected):
        return max(_RETRY_SOONEST_MS, round(min(trials) * 1000))
    return _RETRY_FULL_MS
