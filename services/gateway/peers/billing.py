"""Billing: the journal's records as events, and whether they were recorded."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.clock import Clock
from services.gateway.peers.calls import call
from services.gateway.shipper import Receipt
from services.gateway.usage_record import Endpoint, Outcome, UsageRecord

_ENDPOINTS: dict[Endpoint, billing_pb2.Endpoint.ValueType] = {
    Endpoint.CHAT_COMPLETIONS: billing_pb2.ENDPOINT_CHAT_COMPLETIONS,
    Endpoint.COMPLETIONS: billing_pb2.ENDPOINT_COMPLETIONS,
    Endpoint.EMBEDDINGS: billing_pb2.ENDPOINT_EMBEDDINGS,
    Endpoint.RESPONSES: billing_pb2.ENDPOINT_RESPONSES,
    Endpoint.MODERATIONS: billing_pb2.ENDPOINT_MODERATIONS,
}
_OUTCOMES: dict[Outcome, billing_pb2.Outcome.ValueType] = {
    Outcome.OK: billing_pb2.OUTCOME_OK,
    Outcome.CLIENT_CLOSED: billing_pb2.OUTCOME_CLIENT_CLOSED,
    Outcome.TRUNCATED: billing_pb2.OUTCOME_TRUNCATED,
    Outcome.ENGINE_ERROR: billing_pb2.OUTCOME_ENGINE_ERROR,
    Outcome.SERVER_ERROR: billing_pb2.OUTCOME_SERVER_ERROR,
    Outcome.RECOVERED: billing_pb2.OUTCOME_RECOVERED,
}


class Biller:
    """The gateway's view of billing."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float, clock: Clock) -> None:
        self._stub = billing_pb2_grpc.BillingServiceStub(channel)
        self._timeout_s = timeout_s
        self._clock = clock

    async def ingest(self, records: Sequence[UsageRecord]) -> list[Receipt]:
        """Deliver records and answer a receipt for each that billing has committed: recorded, known before, or parked.

        Raises `CapstanError` when billing is away; nothing may be forgotten then.
        """
        answer: billing_pb2.IngestResponse = await call(
            self._stub.Ingest,
            billing_pb2.IngestRequest(
                events=[_event(record) for record in records], sent_time=_timestamp(self._clock.now())
            ),
            timeout_s=self._timeout_s,
            peer="billing",
        )
        return [
            Receipt(receipt.request_id, parked=receipt.status == billing_pb2.RECEIPT_STATUS_PARKED)
            for receipt in answer.receipts
            if receipt.status
        ]


def serialized(record: UsageRecord) -> bytes:
    """Write a record as the event that billing makes of it: what a replica passes on with its own count."""
    return _event(record).SerializeToString()


def _event(record: UsageRecord) -> billing_pb2.UsageEvent:
    return billing_pb2.UsageEvent(
        request_id=record.request_id,
        organization_id=record.organization_id,
        project_id=record.project_id,
        key_id=record.key_id,
        owner_id=record.owner_id,
        model=record.model,
        endpoint=_ENDPOINTS[record.endpoint],
        start_time=_timestamp(record.start_time),
        finish_time=_timestamp(record.finish_time),
        usage=usage_pb2.TokenUsage(
            prompt_tokens=record.prompt_tokens,
            cached_prompt_tokens=record.cached_prompt_tokens,
            completion_tokens=record.completion_tokens,
            reasoning_tokens=record.reasoning_tokens,
        ),
        outcome=_OUTCOMES[record.outcome],
        usage_estimated=record.usage_estimated,
        batch=record.batch,
        service_tier=record.service_tier,
        price_version=record.price_version,
    )


def _timestamp(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(round(seconds * 1e6))
    return stamp
