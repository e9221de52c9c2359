"""Router: where a request goes, and what there is to ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import grpc

from capstan.router.v1 import router_pb2, router_pb2_grpc
from chassis.breaker import Breaker
from chassis.clock import Clock
from chassis.coalesce import Coalescer
from chassis.errors import CapstanError, Reason, from_failure, unavailable
from services.gateway.endpoints import Endpoints, Placement
from services.gateway.peers.calls import call, waited_for
from services.gateway.terms import ServiceClass

Kind = Literal["generate", "embed"]
ReplicaOutcome = Literal["ok", "unreachable", "failed", "timed_out", "abandoned"]

MODELS_TTL_S = 1.0

_AWAY = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED})

_KINDS: dict[Kind, router_pb2.ModelKind.ValueType] = {
    "generate": router_pb2.MODEL_KIND_GENERATE,
    "embed": router_pb2.MODEL_KIND_EMBED,
}
_OUTCOMES: dict[ReplicaOutcome, router_pb2.ReplicaOutcome.ValueType] = {
    "ok": router_pb2.REPLICA_OUTCOME_OK,
    "unreachable": router_pb2.REPLICA_OUTCOME_UNREACHABLE,
    "failed": router_pb2.REPLICA_OUTCOME_FAILED,
    "timed_out": router_pb2.REPLICA_OUTCOME_TIMED_OUT,
    "abandoned": router_pb2.REPLICA_OUTCOME_ABANDONED,
}


_CLASSES: dict[ServiceClass, router_pb2.ServiceClass.ValueType] = {
    "priority": router_pb2.SERVICE_CLASS_PRIORITY,
    "default": router_pb2.SERVICE_CLASS_DEFAULT,
    "flex": router_pb2.SERVICE_CLASS_FLEX,
    "batch": router_pb2.SERVICE_CLASS_BATCH,
}


@dataclass(frozen=True, slots=True)
class Errand:
    """What the router is told of a request."""

    request_id: str
    model: str
    kind: Kind
    prompt_tokens: int = 0
    completion_tokens: int = 0
    organization_id: str = ""
    prefix_hashes: Sequence[int] = ()
    session_hash: int = 0
    body_hash: int = 0
    service_class: ServiceClass = "default"
    no_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """A request that left its replica."""

    request_id: str
    outcome: ReplicaOutcome
    replica_id: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be asked for."""

    name: str
    served_name: str
    created: int
    """Unix seconds."""
    kind: Kind | None
    shares: Mapping[str, int]
    """Served names behind it and how much each gets."""
    max_model_tokens: int = 0
    """Longest prompt plus completion; 0: no replica told yet."""
    base: str = ""
    """Of an adapter, the served model that it adapts."""
    organization_ids: frozenset[str] = frozenset()
    """Who may use it; empty: everybody."""

    def served(self, request_id: str) -> str:
        """Draw the served name for a request: the same id draws the same."""
        if len(self.shares) < 2:
            return self.served_name
        place = crc32(request_id.encode()) * sum(self.shares.values()) >> 32
        names = iter(self.shares)
        name = next(names)
        while place >= self.shares[name]:
            place -= self.shares[name]
            name = next(names)
        return name


class Placer:
    """The gateway's view of the router."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, timeout_s: float) -> None:
        self._stub = router_pb2_grpc.RouterServiceStub(channel)
        self._clock = clock
        self._timeout_s = timeout_s
        self._coalescer: Coalescer[router_pb2.PlaceItem, router_pb2.PlaceResult] = Coalescer(self._send)
        self._breaker = Breaker(clock.monotonic, longest_pause_s=1.0)
        self._endpoints = Endpoints()
        self._models: list[Model] = []
        self._models_until = float("-inf")

    async def place(self, errand: Errand, excluded: Collection[str] = (), max_wait_s: float = 0.0) -> Placement:
        """Pick a replica that is not among `excluded` (replica ids); wait for one `max_wait_s` at the most.

        While the router is away, the replicas that it knew last are gone by for half a minute. Raises `CapstanError`:
        MODEL_NOT_FOUND, MODEL_KIND_MISMATCH, PARAMETER_REFUSED, NO_CAPACITY, OVERLOADED; UNAVAILABLE when the router is
        away and nothing is known.
        """
        item = _item(errand, excluded)
        try:
            result = await self._asked(item)
            if max_wait_s > 0 and result.refusal.reason == Reason.NO_CAPACITY.value:
                result = await self._queued(item, max_wait_s)
        except CapstanError as error:
            known = self._endpoints.pick(errand.model, excluded, self._clock.monotonic())
            if error.reason not in _AWAY or known is None:
                raise
            return known
        if result.HasField("refusal"):
            raise from_failure(result.refusal)
        return _placement(result.placement)

    async def _asked(self, item: router_pb2.PlaceItem) -> router_pb2.PlaceResult:
        if not self._breaker.allows():
            raise unavailable("router", "it did not answer lately")
        return await self._coalescer.submit(item)

    async def _queued(self, item: router_pb2.PlaceItem, max_wait_s: float) -> router_pb2.PlaceResult:
        """Wait in the router's queue; when that router goes away, once more in another's."""
        deadline = self._clock.monotonic() + max_wait_s
        for last in (False, True):
            left_s = max(0.0, deadline - self._clock.monotonic())
            request = router_pb2.QueueRequest(item=item)
            request.max_wait.FromMilliseconds(int(left_s * 1000))
            try:
                answer: router_pb2.QueueResponse = await waited_for(
                    call(self._stub.Queue, request, timeout_s=left_s + self._timeout_s, peer="router")
                )
                return answer.result
            except CapstanError as error:
                if last or error.reason is not Reason.UNAVAILABLE:
                    raise
        raise AssertionError("unreachable")

    async def _send(self, items: Sequence[router_pb2.PlaceItem]) -> Sequence[router_pb2.PlaceResult]:
        try:
            answer: router_pb2.PlaceResponse = await call(
                self._stub.Place, router_pb2.PlaceRequest(items=items), timeout_s=self._timeout_s, peer="router"
            )
        except CapstanError as error:
            if error.reason in _AWAY:
                self._breaker.failed()
            raise
        self._breaker.succeeded()
        return answer.results

    async def release(self, releases: Sequence[Release]) -> None:
        """Say that requests left their replicas. Raises `CapstanError` when the router is away."""
        items = [
            router_pb2.ReleaseItem(request_id=r.request_id, outcome=_OUTCOMES[r.outcome], replica_id=r.replica_id)
            for r in releases
        ]
        request = router_pb2.ReleaseRequest(items=items)
        await waited_for(call(self._stub.Release, request, timeout_s=self._timeout_s, peer="router"))

    def noticed(self, release: Release) -> None:
        """Remember how a request went, for when the router is away."""
        if release.outcome not in ("ok", "abandoned") and release.replica_id:
            self._endpoints.failed(release.replica_id, self._clock.monotonic())

    async def resolve(self, name: str, kind: Kind, request_id: str, organization_id: str) -> str:
        """Answer the served name behind a name that clients use; of several the request's id draws one.

        What another organisation alone may use does not exist for this one. What was served last is served on when the
        router is away: whether a model exists changes rarely. Raises `CapstanError`: MODEL_NOT_FOUND,
        MODEL_KIND_MISMATCH; UNAVAILABLE when the router was never reached.
        """
        try:
            models = await self.models()
        except CapstanError:
            if not self._models:
                raise
            models = self._models
        for model in models:
            if model.name == name and is_for(organization_id, model, models):
                if model.kind not in (kind, None):
                    raise CapstanError(Reason.MODEL_KIND_MISMATCH, "the model does another kind of work", model=name)
                return model.served(request_id)
        raise CapstanError(Reason.MODEL_NOT_FOUND, "no such model", model=name)

    def context_tokens(self, served_name: str) -> int:
        """Answer the longest prompt plus completion of a model, as far as was told; 0: not known."""
        return max((model.max_model_tokens for model in self._models if model.served_name == served_name), default=0)

    def base(self, served_name: str) -> str:
        """Answer what an adapter adapts; "" for a model that is none."""
        return next((model.base for model in self._models if model.name == served_name), "")

    async def models(self) -> list[Model]:
        """Answer what is served, by name; remembered for a second. Raises `CapstanError` when the router is away."""
        if self._clock.monotonic() >= self._models_until:
            request = router_pb2.ListModelsRequest()
            answer: router_pb2.ListModelsResponse = await waited_for(
                call(self._stub.ListModels, request, timeout_s=self._timeout_s, peer="router")
            )
            names: dict[int, Kind] = {number: kind for kind, number in _KINDS.items()}
            self._models = [
                Model(
                    model.name,
                    model.served_name,
                    model.create_time.seconds,
                    names.get(model.kind),
                    {target.model: target.weight for target in model.targets},
                    model.max_model_tokens,
                    model.base,
                    frozenset(model.organization_ids),
                )
                for model in answer.models
            ]
            now = self._clock.monotonic()
            self._endpoints.learn((_placement(each) for model in answer.models for each in model.replicas), now)
            self._models_until = now + MODELS_TTL_S
        return self._models


def is_for(organization_id: str, model: Model, models: Sequence[Model]) -> bool:
    """Say whether an organisation may use a model: itself and, of an alias, all that it may stand for."""
    names = {model.name, model.served_name, *model.shares}
    owners = [each.organization_ids for each in models if each.name in names]
    return all(not some or organization_id in some for some in owners)


def _item(errand: Errand, excluded: Collection[str]) -> router_pb2.PlaceItem:
    return router_pb2.PlaceItem(
        request_id=errand.request_id,
        model=errand.model,
        kind=_KINDS[errand.kind],
        prompt_tokens=errand.prompt_tokens,
        completion_tokens=errand.completion_tokens,
        excluded_replica_ids=excluded,
        organization_id=errand.organization_id,
        prefix_hashes=errand.prefix_hashes,
        session_hash=errand.session_hash,
        body_hash=errand.body_hash,
        service_class=_CLASSES[errand.service_class],
        no_fallback=errand.no_fallback,
    )


def _placement(placed: router_pb2.Placement) -> Placement:
    return Placement(
        placed.replica_id,
        placed.address,
        placed.model,
        placed.max_model_tokens,
        placed.fingerprint,
        placed.adapter,
        placed.adapter_path,
    )
