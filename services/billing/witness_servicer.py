"""WitnessService on the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from google.protobuf.message import DecodeError

from capstan.billing.v1 import billing_pb2, witness_pb2, witness_pb2_grpc
from chassis.errors import CapstanError, Reason
from services.billing.events import LONGEST_TEXT
from services.billing.wire import read_time
from services.billing.witness import Counted, Testimony, fault_of
from services.billing.witness_store import WitnessStore

MOST_USAGES = 1000


class WitnessServicer(witness_pb2_grpc.WitnessServiceServicer):
    """See witness.proto."""

    def __init__(self, store: WitnessStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def ReportEngineUsage(
        self, request: witness_pb2.ReportEngineUsageRequest, context: object
    ) -> witness_pb2.ReportEngineUsageResponse:
        """Keep what a replica counted."""
        if not 1 <= len(request.usages) <= MOST_USAGES:
            raise CapstanError(Reason.INVALID_ARGUMENT, f"1 to {MOST_USAGES} counts, please", param="usages")
        replica = request.replica_id
        if not replica or len(replica) > LONGEST_TEXT or "\0" in replica:
            raise CapstanError(Reason.INVALID_ARGUMENT, "no name", param="replica_id")
        told = [testimony for usage in request.usages if (testimony := _testimony(usage)) is not None]
        await self._store.keep(replica, told, self._now())
        return witness_pb2.ReportEngineUsageResponse(unreadable_count=len(request.usages) - len(told))


def _testimony(message: witness_pb2.EngineUsage) -> Testimony | None:
    """Read a count; None when it makes no sense, because one of them must not hold up the others."""
    usage = message.usage
    try:
        event = billing_pb2.UsageEvent.FromString(message.admission)
        counted = Counted(
            event.request_id,
            message.part_id,
            usage.prompt_tokens,
            usage.cached_prompt_tokens,
            usage.completion_tokens,
            usage.reasoning_tokens,
            read_time(message.finish_time),
            message.failed,
        )
    except (DecodeError, ValueError):
        return None
    if fault_of(counted):
        return None
    organization = event.organization_id
    is_id = len(organization) <= LONGEST_TEXT and "\0" not in organization
    return Testimony(counted, message.admission, organization if is_id else "")
