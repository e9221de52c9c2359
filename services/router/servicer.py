"""RouterService on the wire."""

from __future__ import annotations

from capstan.router.v1 import router_pb2, router_pb2_grpc
from chassis.clock import Clock
from chassis.errors import CapstanError, Reason, failure
from services.router.adapters import Adapter
from services.router.metrics import Metrics
from services.router.models import Catalogue, Model
from services.router.placement import Placements, Request
from services.router.pools import Replicas
from services.router.queue import ServiceClass
from services.router.replicas import Kind, Replica
from services.router.sleep import Missed
from services.router.waiting_room import WaitingRoom

MOST_ITEMS = 1000
MOST_HASHES = 16
MOST_REPLICAS_TOLD = 64
LONGEST_WAIT_S = 600

KINDS: dict[int, Kind] = {
    router_pb2.MODEL_KIND_GENERATE: Kind.GENERATE,
    router_pb2.MODEL_KIND_EMBED: Kind.EMBED,
}

CLASSES: dict[int, ServiceClass] = {
    router_pb2.SERVICE_CLASS_PRIORITY: ServiceClass.PRIORITY,
    router_pb2.SERVICE_CLASS_DEFAULT: ServiceClass.DEFAULT,
    router_pb2.SERVICE_CLASS_FLEX: ServiceClass.FLEX,
    router_pb2.SERVICE_CLASS_BATCH: ServiceClass.BATCH,
}

WENT_WELL: dict[int, bool] = {
    router_pb2.REPLICA_OUTCOME_UNSPECIFIED: True,
    router_pb2.REPLICA_OUTCOME_OK: True,
    router_pb2.REPLICA_OUTCOME_UNREACHABLE: False,
    router_pb2.REPLICA_OUTCOME_FAILED: False,
    router_pb2.REPLICA_OUTCOME_TIMED_OUT: False,
    router_pb2.REPLICA_OUTCOME_ABANDONED: True,
}

DEATHS = frozenset({router_pb2.REPLICA_OUTCOME_FAILED})
"""What a request that kills looks like. One that never got there has killed nobody: of two replicas lost at once, the
second would otherwise accuse whatever was tried there again."""

_KIND_NUMBERS: dict[Kind | None, router_pb2.ModelKind.ValueType] = {
    None: router_pb2.MODEL_KIND_UNSPECIFIED,
    Kind.GENERATE: router_pb2.MODEL_KIND_GENERATE,
    Kind.EMBED: router_pb2.MODEL_KIND_EMBED,
}


class RouterServicer(router_pb2_grpc.RouterServiceServicer):
    """See router.proto."""

    def __init__(
        self,
        placements: Placements,
        room: WaitingRoom,
        replicas: Replicas,
        catalogue: Catalogue,
        metrics: Metrics,
        clock: Clock,
        missed: Missed | None = None,
    ) -> None:
        """`missed` is told of requests that found no replica of their model; unset where no model sleeps."""
        self._placements = placements
        self._room = room
        self._replicas = replicas
        self._catalogue = catalogue
        self._metrics = metrics
        self._clock = clock
        self._missed = missed or Missed(placements)

    async def Place(self, request: router_pb2.PlaceRequest, context: object) -> router_pb2.PlaceResponse:
        """Pick a replica for each item."""
        _check_count(len(request.items))
        return router_pb2.PlaceResponse(results=[self._placed(item) for item in request.items])

    async def Queue(self, request: router_pb2.QueueRequest, context: object) -> router_pb2.QueueResponse:
        """Let a request wait for its turn."""
        item = request.item
        max_wait_s = request.max_wait.ToNanoseconds() / 1e9
        if not 0 <= max_wait_s <= LONGEST_WAIT_S:
            raise CapstanError(Reason.INVALID_ARGUMENT, f"0 to {LONGEST_WAIT_S} s, please", param="max_wait")
        try:
            asked = _request(item)
            service_class = CLASSES.get(item.service_class, ServiceClass.DEFAULT)
            replica = await self._room.wait(asked, item.organization_id, service_class, max_wait_s)
        except CapstanError as error:
            self._metrics.refused(error.reason)
            return router_pb2.QueueResponse(result=router_pb2.PlaceResult(refusal=failure(error)))
        self._metrics.placed()
        return router_pb2.QueueResponse(result=self._told(item.request_id, replica))

    async def Release(self, request: router_pb2.ReleaseRequest, context: object) -> router_pb2.ReleaseResponse:
        """Let requests go."""
        _check_count(len(request.items))
        now = self._clock.monotonic()
        for item in request.items:
            # An outcome that a newer gateway knows and this router does not says nothing against the replica.
            went_well = WENT_WELL.get(item.outcome, True)
            if item.outcome == router_pb2.REPLICA_OUTCOME_ABANDONED:
                self._placements.withdraw(item.request_id, now)
            elif item.request_id in self._placements:
                self._placements.release(item.request_id, went_well=went_well, now=now, died=item.outcome in DEATHS)
            elif item.replica_id:
                self._placements.judge(item.replica_id, went_well=went_well, now=now)
            self._metrics.released(item.outcome)
        self._room.look()
        return router_pb2.ReleaseResponse()

    async def ListModels(self, request: router_pb2.ListModelsRequest, context: object) -> router_pb2.ListModelsResponse:
        """Answer what is served."""
        models = self._catalogue.listing(self._replicas, self._clock.monotonic())
        return router_pb2.ListModelsResponse(models=map(_model, models))

    def _placed(self, item: router_pb2.PlaceItem) -> router_pb2.PlaceResult:
        try:
            asked = _request(item)
            replica = self._placed_now(asked)
        except CapstanError as error:
            self._metrics.refused(error.reason)
            return router_pb2.PlaceResult(refusal=failure(error))
        self._metrics.placed()
        return self._told(item.request_id, replica)

    def _told(self, request_id: str, replica: Replica) -> router_pb2.PlaceResult:
        return router_pb2.PlaceResult(placement=_placement(replica, self._placements.adapter(request_id)))

    def _placed_now(self, asked: Request) -> Replica:
        try:
            replica = self._room.place(asked)
        except CapstanError as error:
            if error.reason is Reason.NO_CAPACITY:
                self._missed.note(asked, self._clock.monotonic())
            raise
        assert replica.description is not None
        if replica.description.model != asked.model:
            self._missed.note(asked, self._clock.monotonic(), replica.description.model)
        return replica


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_ITEMS:
        raise CapstanError(Reason.INVALID_ARGUMENT, f"1 to {MOST_ITEMS} items, please", param="items")


def _request(item: router_pb2.PlaceItem) -> Request:
    kind = KINDS.get(item.kind)
    if kind is None:
        raise CapstanError(Reason.INVALID_ARGUMENT, f"kind {item.kind} is unset or unknown", param="items.kind")
    if not item.request_id:
        raise CapstanError(Reason.INVALID_ARGUMENT, "request_id is empty", param="items.request_id")
    if item.prompt_tokens < 0 or item.completion_tokens < 0:
        raise CapstanError(Reason.INVALID_ARGUMENT, "a token count is negative", param="items.prompt_tokens")
    if len(item.prefix_hashes) > MOST_HASHES:
        raise CapstanError(Reason.INVALID_ARGUMENT, f"at most {MOST_HASHES} hashes", param="items.prefix_hashes")
    return Request(
        item.request_id,
        item.model,
        kind,
        item.prompt_tokens + item.completion_tokens,
        frozenset(item.excluded_replica_ids),
        item.prefix_hashes,
        item.session_hash,
        item.body_hash,
        item.no_fallback,
        item.organization_id,
    )


def _placement(replica: Replica, adapter: Adapter | None) -> router_pb2.Placement:
    assert replica.description is not None
    return router_pb2.Placement(
        replica_id=replica.id,
        address=replica.address,
        model=replica.description.model if adapter is None else adapter.name,
        adapter="" if adapter is None else adapter.name,
        adapter_path="" if adapter is None else adapter.path,
        max_model_tokens=replica.description.max_model_tokens,
        fingerprint=replica.description.fingerprint,
    )


def _model(model: Model) -> router_pb2.Model:
    message = router_pb2.Model(
        name=model.name,
        served_name=model.served_name,
        kind=_KIND_NUMBERS[model.kind],
        max_model_tokens=model.max_model_tokens,
        ready_replica_count=model.ready_count,
        targets=[router_pb2.Target(model=name, weight=share) for name, share in model.targets.items()],
        replicas=[_placement(replica, model.adapter) for replica in model.replicas[:MOST_REPLICAS_TOLD]],
        base="" if model.adapter is None else model.adapter.base,
        organization_ids=() if model.adapter is None else sorted(model.adapter.organization_ids),
    )
    message.create_time.FromNanoseconds(round(model.create_time * 1e9))
    if model.staleness_s is not None:
        message.staleness.FromNanoseconds(round(model.staleness_s * 1e9))
    return message
