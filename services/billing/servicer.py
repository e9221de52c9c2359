"""BillingService on the wire."""

from __future__ import annotations

from capstan.billing.v1 import billing_pb2, billing_pb2_grpc
from chassis.clock import Clock, utc
from chassis.errors import CapstanError, Reason, failure
from services.billing import wire
from services.billing.metrics import Metrics
from services.billing.store import Receipt, Status, Store

MOST_EVENTS = 1000


class BillingServicer(billing_pb2_grpc.BillingServiceServicer):
    """See billing.proto."""

    def __init__(self, store: Store, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock

    async def Ingest(self, request: billing_pb2.IngestRequest, context: object) -> billing_pb2.IngestResponse:
        """Record usage events, each exactly once."""
        if not 1 <= len(request.events) <= MOST_EVENTS:
            raise CapstanError(Reason.INVALID_ARGUMENT, f"1 to {MOST_EVENTS} events, please", param="events")
        begin = self._clock.monotonic()
        ahead = wire.lead(request, utc(self._clock))
        receipts = await self._store.ingest([wire.delivery(event, ahead) for event in request.events])
        self._metrics.ingested(receipts, self._clock.monotonic() - begin)
        return billing_pb2.IngestResponse(receipts=map(_receipt, receipts))

    async def GetAccount(
        self, request: billing_pb2.GetAccountRequest, context: object
    ) -> billing_pb2.GetAccountResponse:
        """Answer what an organisation owes."""
        if not request.organization_id or "\0" in request.organization_id:
            raise CapstanError(Reason.INVALID_ARGUMENT, "no organisation", param="organization_id")
        balance = await self._store.balance(request.organization_id)
        return billing_pb2.GetAccountResponse(
            receivable_nanousd=balance.receivable_nanousd,
            event_count=balance.event_count,
            prompt_tokens=balance.prompt_tokens,
            completion_tokens=balance.completion_tokens,
            parked_count=balance.parked_count,
        )

    async def ListPrices(
        self, request: billing_pb2.ListPricesRequest, context: object
    ) -> billing_pb2.ListPricesResponse:
        """Answer the prices in force."""
        return billing_pb2.ListPricesResponse(prices=map(wire.price_message, await self._store.prices()))


def _receipt(receipt: Receipt) -> billing_pb2.Receipt:
    message = billing_pb2.Receipt(
        request_id=receipt.request_id,
        status=wire.STATUSES[receipt.status],
        amount_nanousd=receipt.amount_nanousd,
    )
    if receipt.status is Status.PARKED:
        message.failure.CopyFrom(failure(CapstanError(Reason.INVALID_ARGUMENT, receipt.reason, param="events")))
    return message
