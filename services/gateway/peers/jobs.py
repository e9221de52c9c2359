"""Jobs: answers that are kept for later."""

from __future__ import annotations

from typing import Any

import grpc
import orjson

from capstan.jobs.v1 import jobs_pb2, stored_pb2, stored_pb2_grpc
from chassis.rpc_client import call
from services.gateway.caller import Caller
from services.gateway.kept import Filter, Kept, Kind, Order
from services.gateway.peers.calls import waited_for

_KINDS: dict[Kind, stored_pb2.StoredKind.ValueType] = {
    "chat_completion": stored_pb2.STORED_KIND_CHAT_COMPLETION,
    "response": stored_pb2.STORED_KIND_RESPONSE,
}
_ORDERS: dict[Order, jobs_pb2.SortOrder.ValueType] = {
    "asc": jobs_pb2.SORT_ORDER_ASCENDING,
    "desc": jobs_pb2.SORT_ORDER_DESCENDING,
}


class Keeper:
    """The gateway's view of what jobs keeps. Every method raises `CapstanError`: UNAVAILABLE when jobs is away."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = stored_pb2_grpc.StoredServiceStub(channel)
        self._timeout_s = timeout_s

    async def put(self, caller: Caller, kind: Kind, kept: Kept) -> None:
        """Keep an answer of the caller's project; durable on return."""
        stored = stored_pb2.Stored(
            kind=_KINDS[kind],
            object_id=kept.object_id,
            model=kept.model,
            metadata=kept.metadata,
            previous_id=kept.previous_id,
            answer_json=orjson.dumps(kept.answer),
            input_json=orjson.dumps(kept.inputs),
        )
        await self._call(self._stub.PutStored, stored_pb2.PutStoredRequest(tenant=_tenant(caller), stored=stored))

    async def get(self, caller: Caller, kind: Kind, object_id: str) -> Kept:
        """Answer what is kept under an id. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        request = stored_pb2.GetStoredRequest(tenant=_tenant(caller), kind=_KINDS[kind], object_id=object_id)
        return _kept((await self._call(self._stub.GetStored, request)).stored)

    async def thread(self, caller: Caller, kind: Kind, object_id: str) -> list[Kept]:
        """Answer what is kept under an id and what it goes on from, oldest first.

        Raises `CapstanError`: OBJECT_NOT_FOUND when one of them is not there, INVALID_ARGUMENT when they are too many.
        """
        request = stored_pb2.GetThreadRequest(tenant=_tenant(caller), kind=_KINDS[kind], object_id=object_id)
        return [_kept(stored) for stored in (await self._call(self._stub.GetThread, request)).thread]

    async def page(self, caller: Caller, kind: Kind, wanted: Filter) -> tuple[list[Kept], bool]:
        """Answer a page without inputs, and whether more follow. Raises `CapstanError` (OBJECT_NOT_FOUND: `after`)."""
        request = stored_pb2.ListStoredRequest(
            tenant=_tenant(caller),
            kind=_KINDS[kind],
            model=wanted.model,
            metadata=wanted.metadata,
            limit=wanted.limit,
            after=wanted.after,
            order=_ORDERS[wanted.order],
        )
        answer: stored_pb2.ListStoredResponse = await self._call(self._stub.ListStored, request)
        return [_kept(stored) for stored in answer.stored], answer.has_more

    async def update(self, caller: Caller, kind: Kind, object_id: str, metadata: dict[str, str]) -> Kept:
        """Replace the metadata. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        request = stored_pb2.UpdateStoredMetadataRequest(
            tenant=_tenant(caller), kind=_KINDS[kind], object_id=object_id, metadata=metadata
        )
        return _kept((await self._call(self._stub.UpdateStoredMetadata, request)).stored)

    async def delete(self, caller: Caller, kind: Kind, object_id: str) -> None:
        """Forget an answer. Raises `CapstanError` (OBJECT_NOT_FOUND)."""
        request = stored_pb2.DeleteStoredRequest(tenant=_tenant(caller), kind=_KINDS[kind], object_id=object_id)
        await self._call(self._stub.DeleteStored, request)

    async def _call(self, method: Any, request: Any) -> Any:
        return await waited_for(call(method, request, timeout_s=self._timeout_s, peer="jobs"))


def _tenant(caller: Caller) -> jobs_pb2.Tenant:
    return jobs_pb2.Tenant(organization_id=caller.organization_id, project_id=caller.project_id)


def _kept(stored: stored_pb2.Stored) -> Kept:
    return Kept(
        stored.object_id,
        stored.model,
        dict(stored.metadata),
        orjson.loads(stored.answer_json),
        orjson.loads(stored.input_json or b"[]"),
        stored.previous_id,
    )
