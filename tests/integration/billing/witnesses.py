"""What engines tell billing of a request, beside what its gateway does."""

from __future__ import annotations

from typing import Any

from capstan.billing.v1 import billing_pb2, witness_pb2, witness_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.rpc_client import call
from tests.integration.billing.conftest import NOON, Books, usage_event


def begun(name: str, organization_id: str, **changes: Any) -> billing_pb2.UsageEvent:
    """What a gateway would bill if it died now: its estimate."""
    return usage_event(
        name,
        organization_id=organization_id,
        outcome=billing_pb2.OUTCOME_RECOVERED,
        usage=usage_pb2.TokenUsage(prompt_tokens=90),
        usage_estimated=True,
        **changes,
    )


def counted(event: billing_pb2.UsageEvent, part: str = "", **changes: Any) -> witness_pb2.EngineUsage:
    """What an engine tells of a part of it: 100 + 20 tokens."""
    fields: dict[str, Any] = {
        "part_id": event.request_id + part,
        "admission": event.SerializeToString(),
        "usage": usage_pb2.TokenUsage(prompt_tokens=100, completion_tokens=20),
        "finish_time": NOON,
    }
    return witness_pb2.EngineUsage(**(fields | changes))


async def told(books: Books, *usages: witness_pb2.EngineUsage, replica: str = "replica-1") -> int:
    """Tell; answer how many could not be read."""
    stub = witness_pb2_grpc.WitnessServiceStub(books.channel)
    request = witness_pb2.ReportEngineUsageRequest(replica_id=replica, usages=usages)
    answer: witness_pb2.ReportEngineUsageResponse = await call(
        stub.ReportEngineUsage, request, timeout_s=5, peer="billing"
    )
    return answer.unreadable_count


async def outcome(books: Books, organization_id: str) -> list[tuple[str, int, int]]:
    """Answer how an organisation's requests are recorded, and with how many tokens."""
    rows = await books.database.fetch(
        "select outcome, prompt_tokens, completion_tokens from billing.usage_events where organization_id = $1",
        organization_id,
    )
    return [tuple(row) for row in rows]
