"""StoredService on the wire."""

from __future__ import annotations

from capstan.jobs.v1 import jobs_pb2, stored_pb2, stored_pb2_grpc
from services.jobs import stored
from services.jobs.files import Tenant
from services.jobs.metrics import Metrics
from services.jobs.servicer import ORDERS, known
from services.jobs.stored import Kind, Stored
from services.jobs.stored_store import StoredStore, TenantStored

KINDS = {
    stored_pb2.STORED_KIND_CHAT_COMPLETION: Kind.CHAT_COMPLETION,
    stored_pb2.STORED_KIND_RESPONSE: Kind.RESPONSE,
}
_WIRE_KINDS = {kind: wire for wire, kind in KINDS.items()}


class StoredServicer(stored_pb2_grpc.StoredServiceServicer):
    """See stored.proto."""

    def __init__(self, store: StoredStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def PutStored(self, request: stored_pb2.PutStoredRequest, context: object) -> stored_pb2.PutStoredResponse:
        """Keep an object."""
        wire = request.stored
        mine = self._of(request.tenant, wire.kind)
        new = Stored(
            KINDS[wire.kind],
            wire.object_id,
            mine.now,
            wire.model,
            dict(wire.metadata),
            wire.previous_id,
            wire.answer_json,
            wire.input_json,
        )
        stored.check_new(new)
        await mine.put(new)
        self._metrics.stored.labels(new.kind.value).inc()
        return stored_pb2.PutStoredResponse()

    async def GetStored(self, request: stored_pb2.GetStoredRequest, context: object) -> stored_pb2.GetStoredResponse:
        """Answer one object."""
        found = await self._of(request.tenant, request.kind).get(request.object_id)
        return stored_pb2.GetStoredResponse(stored=_message(found))

    async def GetThread(self, request: stored_pb2.GetThreadRequest, context: object) -> stored_pb2.GetThreadResponse:
        """Answer an object and what it goes on from."""
        thread = await self._of(request.tenant, request.kind).thread(request.object_id)
        return stored_pb2.GetThreadResponse(thread=map(_message, thread))

    async def ListStored(self, request: stored_pb2.ListStoredRequest, context: object) -> stored_pb2.ListStoredResponse:
        """Answer a page of the project's objects."""
        page = await self._of(request.tenant, request.kind).page(
            model=request.model,
            metadata=dict(request.metadata),
            after=request.after,
            order=known(ORDERS, request.order, "order"),
            size=stored.page_size(request.limit),
        )
        return stored_pb2.ListStoredResponse(stored=map(_message, page.stored), has_more=page.has_more)

    async def UpdateStoredMetadata(
        self, request: stored_pb2.UpdateStoredMetadataRequest, context: object
    ) -> stored_pb2.UpdateStoredMetadataResponse:
        """Replace an object's metadata."""
        metadata = dict(request.metadata)
        stored.check_metadata(metadata)
        updated = await self._of(request.tenant, request.kind).update(request.object_id, metadata)
        return stored_pb2.UpdateStoredMetadataResponse(stored=_message(updated))

    async def DeleteStored(
        self, request: stored_pb2.DeleteStoredRequest, context: object
    ) -> stored_pb2.DeleteStoredResponse:
        """Remove an object."""
        await self._of(request.tenant, request.kind).delete(request.object_id)
        self._metrics.stored_removed.labels("deleted").inc()
        return stored_pb2.DeleteStoredResponse()

    def _of(self, tenant: jobs_pb2.Tenant, kind: stored_pb2.StoredKind.ValueType) -> TenantStored:
        return self._store.of(Tenant(tenant.organization_id, tenant.project_id), known(KINDS, kind, "kind"))


def _message(found: Stored) -> stored_pb2.Stored:
    message = stored_pb2.Stored(
        kind=_WIRE_KINDS[found.kind],
        object_id=found.object_id,
        model=found.model,
        metadata=found.metadata,
        previous_id=found.previous_id,
        answer_json=found.answer_json,
        input_json=found.input_json,
    )
    message.create_time.FromDatetime(found.create_time)
    return message
