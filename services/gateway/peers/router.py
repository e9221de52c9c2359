"""Router: where a request goes, and what there is to ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import grpc

from capstan.router.v1 import router_pb2, router_pb2_grpc
from chassis.clock import Clock
from chassis.coalesce import Coalescer
from chassis.errors import CapstanError, Reason, from_failure
from services.gateway.peers.calls import call

Kind = Literal["generate", "embed"]
ReplicaOutcome = Literal["ok", "unreachable", "failed", "timed_out"]

MODELS_TTL_S = 1.0

_KINDS: dict[Kind, router_pb2.ModelKind.ValueType] = {
    "generate": router_pb2.MODEL_KIND_GENERATE,
    "embed": router_pb2.MODEL_KIND_EMBED,
}
_OUTCOMES: dict[ReplicaOutcome, router_pb2.ReplicaOutcome.ValueType] = {
    "ok": router_pb2.REPLICA_OUTCOME_OK,
    "unreachable": router_pb2.REPLICA_OUTCOME_UNREACHABLE,
    "failed": router_pb2.REPLICA_OUTCOME_FAILED,
    "timed_out": router_pb2.REPLICA_OUTCOME_TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a request goes."""

    replica_id: str
    address: str
    model: str
    max_model_tokens: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Release:
    """A request that left its replica."""

    request_id: str
    outcome: ReplicaOutcome


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be asked for."""

    name: str
    served_name: str
    created: int
    """Unix seconds."""
    kind: Kind | None
    max_model_tokens: int = 0
    """Longest prompt plus completion; 0: no replica told yet."""


class Placer:
    """The gateway's view of the router."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock, timeout_s: float) -> None:
        self._stub = router_pb2_grpc.RouterServiceStub(channel)
        self._clock = clock
        self._timeout_s = timeout_s
        self._coalescer: Coalescer[router_pb2.PlaceItem, router_pb2.PlaceResult] = Coalescer(self._send)
        self._models: list[Model] = []
        self._models_until = float("-inf")

    async def place(
        self,
        request_id: str,
        model: str,
        kind: Kind,
        prompt_tokens: int,
        completion_tokens: int,
        excluded: Sequence[str],
    ) -> Placement:
        """Pick a replica that is not among `excluded` (replica ids).

        Raises `CapstanError`: MODEL_NOT_FOUND, MODEL_KIND_MISMATCH, NO_CAPACITY; UNAVAILABLE when the router is away.
        """
        result = await self._coalescer.submit(
            router_pb2.PlaceItem(
                request_id=request_id,
                model=model,
                kind=_KINDS[kind],
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                excluded_replica_ids=excluded,
            )
        )
        if result.HasField("refusal"):
            raise from_failure(result.refusal)
        placed = result.placement
        return Placement(placed.replica_id, placed.address, placed.model, placed.max_model_tokens, placed.fingerprint)

    async def _send(self, items: Sequence[router_pb2.PlaceItem]) -> Sequence[router_pb2.PlaceResult]:
        answer: router_pb2.PlaceResponse = await call(
            self._stub.Place, router_pb2.PlaceRequest(items=items), timeout_s=self._timeout_s, peer="router"
        )
        return answer.results

    async def release(self, releases: Sequence[Release]) -> None:
        """Say that requests left their replicas. Raises `CapstanError` when the router is away."""
        items = [router_pb2.ReleaseItem(request_id=r.request_id, outcome=_OUTCOMES[r.outcome]) for r in releases]
        await call(self._stub.Release, router_pb2.ReleaseRequest(items=items), timeout_s=self._timeout_s, peer="router")

    async def resolve(self, name: str, kind: Kind) -> str:
        """Answer the served name behind a name that clients use.

        What was served last is served on when the router is away: whether a model exists changes rarely. Raises
        `CapstanError`: MODEL_NOT_FOUND, MODEL_KIND_MISMATCH; UNAVAILABLE when the router was never reached.
        """
        try:
            models = await self.models()
        except CapstanError:
            if not self._models:
                raise
            models = self._models
        for model in models:
            if model.name == name:
                if model.kind not in (kind, None):
                    raise CapstanError(Reason.MODEL_KIND_MISMATCH, "the model does another kind of work", model=name)
                return model.served_name
        raise CapstanError(Reason.MODEL_NOT_FOUND, "no such model", model=name)

    def context_tokens(self, served_name: str) -> int:
        """Answer the longest prompt plus completion of a model, as far as was told; 0: not known."""
        return max((model.max_model_tokens for model in self._models if model.served_name == served_name), default=0)

    async def models(self) -> list[Model]:
        """Answer what is served, by name; remembered for a second. Raises `CapstanError` when the router is away."""
        if self._clock.monotonic() >= self._models_until:
            answer: router_pb2.ListModelsResponse = await call(
                self._stub.ListModels, router_pb2.ListModelsRequest(), timeout_s=self._timeout_s, peer="router"
            )
            names: dict[int, Kind] = {number: kind for kind, number in _KINDS.items()}
            self._models = [
                Model(
                    model.name,
                    model.served_name,
                    model.create_time.seconds,
                    names.get(model.kind),
                    model.max_model_tokens,
                )
                for model in answer.models
            ]
            self._models_until = self._clock.monotonic() + MODELS_TTL_S
        return self._models
