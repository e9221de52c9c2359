"""JobsService on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from capstan.jobs.v1 import jobs_pb2, jobs_pb2_grpc
from chassis.clock import Clock, utc
from chassis.errors import CapstanError, Reason
from services.jobs import files
from services.jobs.files import File, Order, Purpose, Tenant
from services.jobs.metrics import Metrics
from services.jobs.store import Store, TenantFiles

PURPOSES = {
    jobs_pb2.FILE_PURPOSE_ASSISTANTS: Purpose.ASSISTANTS,
    jobs_pb2.FILE_PURPOSE_BATCH: Purpose.BATCH,
    jobs_pb2.FILE_PURPOSE_FINE_TUNE: Purpose.FINE_TUNE,
    jobs_pb2.FILE_PURPOSE_VISION: Purpose.VISION,
    jobs_pb2.FILE_PURPOSE_USER_DATA: Purpose.USER_DATA,
    jobs_pb2.FILE_PURPOSE_EVALS: Purpose.EVALS,
}
_WIRE_PURPOSES = {purpose: wire for wire, purpose in PURPOSES.items()}

ORDERS = {
    jobs_pb2.SORT_ORDER_UNSPECIFIED: Order.NEWEST_FIRST,
    jobs_pb2.SORT_ORDER_ASCENDING: Order.OLDEST_FIRST,
    jobs_pb2.SORT_ORDER_DESCENDING: Order.NEWEST_FIRST,
}

Wire = TypeVar("Wire", bound=int)
Value = TypeVar("Value")


class JobsServicer(jobs_pb2_grpc.JobsServiceServicer):
    """See jobs.proto."""

    def __init__(self, store: Store, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock

    async def RegisterFile(
        self, request: jobs_pb2.RegisterFileRequest, context: object
    ) -> jobs_pb2.RegisterFileResponse:
        """Record a file's metadata."""
        mine = self._files(request.tenant)
        file = File(
            request.file_id,
            request.filename,
            known(PURPOSES, request.purpose, "purpose"),
            request.size_bytes,
            utc(self._clock),
            _time(request.expire_time) if request.HasField("expire_time") else None,
        )
        files.check_new(file)
        recorded = await mine.register(file)
        self._metrics.registered.labels(file.purpose.value).inc()
        return jobs_pb2.RegisterFileResponse(file=_message(recorded))

    async def GetFile(self, request: jobs_pb2.GetFileRequest, context: object) -> jobs_pb2.GetFileResponse:
        """Answer one file."""
        file = await self._files(request.tenant).get(request.file_id)
        return jobs_pb2.GetFileResponse(file=_message(file))

    async def ListFiles(self, request: jobs_pb2.ListFilesRequest, context: object) -> jobs_pb2.ListFilesResponse:
        """Answer a page of the project's files."""
        page = await self._files(request.tenant).page(
            purpose=known(PURPOSES, request.purpose, "purpose") if request.purpose else None,
            after=request.after,
            order=known(ORDERS, request.order, "order"),
            size=files.page_size(request.limit),
        )
        return jobs_pb2.ListFilesResponse(files=map(_message, page.files), has_more=page.has_more)

    async def DeleteFile(self, request: jobs_pb2.DeleteFileRequest, context: object) -> jobs_pb2.DeleteFileResponse:
        """Remove a file's metadata."""
        await self._files(request.tenant).delete(request.file_id)
        self._metrics.removed.labels("deleted").inc()
        return jobs_pb2.DeleteFileResponse()

    def _files(self, tenant: jobs_pb2.Tenant) -> TenantFiles:
        return self._store.of(Tenant(tenant.organization_id, tenant.project_id))


def known(table: Mapping[Wire, Value], value: Wire, param: str) -> Value:
    """Read an enum's value. Raises `CapstanError` (INVALID_ARGUMENT) for one that is unset or a newer peer's."""
    if value not in table:
        raise CapstanError(Reason.INVALID_ARGUMENT, f"{param} must be one of the enum's", param=param)
    return table[value]


def _time(stamp: Timestamp) -> datetime:
    """Read an instant, to the microsecond. Raises `CapstanError` outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)
    except (ValueError, OverflowError, OSError):
        raise CapstanError(
            Reason.INVALID_ARGUMENT, "expire_time must be in the years 1 to 9999", param="expire_time"
        ) from None


def _message(file: File) -> jobs_pb2.File:
    message = jobs_pb2.File(
        file_id=file.file_id,
        filename=file.filename,
        purpose=_WIRE_PURPOSES[file.purpose],
        size_bytes=file.size_bytes,
    )
    message.create_time.FromDatetime(file.create_time)
    if file.expire_time is not None:
        message.expire_time.FromDatetime(file.expire_time)
    return message
