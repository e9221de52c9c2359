"""Usage events from proto to domain: the one place that knows both, one table per enum."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from capstan.billing.v1 import billing_pb2
from services.billing.events import (
    DEFAULT_TIER,
    Delivery,
    Endpoint,
    Outcome,
    UsageEvent,
    by_our_clock,
    fault_of,
    with_believable_times,
)
from services.billing.pricing import Price
from services.billing.store import Letter, Status
from services.billing.witness import Testimony, recovered

ENDPOINTS: dict[int, Endpoint] = {
    billing_pb2.ENDPOINT_CHAT_COMPLETIONS: Endpoint.CHAT_COMPLETIONS,
    billing_pb2.ENDPOINT_COMPLETIONS: Endpoint.COMPLETIONS,
    billing_pb2.ENDPOINT_EMBEDDINGS: Endpoint.EMBEDDINGS,
    billing_pb2.ENDPOINT_RESPONSES: Endpoint.RESPONSES,
    billing_pb2.ENDPOINT_MODERATIONS: Endpoint.MODERATIONS,
}

OUTCOMES: dict[int, Outcome] = {
    billing_pb2.OUTCOME_OK: Outcome.OK,
    billing_pb2.OUTCOME_CLIENT_CLOSED: Outcome.CLIENT_CLOSED,
    billing_pb2.OUTCOME_TRUNCATED: Outcome.TRUNCATED,
    billing_pb2.OUTCOME_ENGINE_ERROR: Outcome.ENGINE_ERROR,
    billing_pb2.OUTCOME_SERVER_ERROR: Outcome.SERVER_ERROR,
    billing_pb2.OUTCOME_RECOVERED: Outcome.RECOVERED,
}

STATUSES: dict[Status, billing_pb2.ReceiptStatus.ValueType] = {
    Status.RECORDED: billing_pb2.RECEIPT_STATUS_RECORDED,
    Status.DUPLICATE: billing_pb2.RECEIPT_STATUS_DUPLICATE,
    Status.PARKED: billing_pb2.RECEIPT_STATUS_PARKED,
}


def lead(request: billing_pb2.IngestRequest, received: datetime) -> timedelta:
    """Answer how far the sender's clock is ahead of the one that says `received`; nothing where it does not tell."""
    if not request.HasField("sent_time"):
        return timedelta()
    try:
        return read_time(request.sent_time) - received
    except ValueError:
        return timedelta()


def delivery(message: billing_pb2.UsageEvent, ahead: timedelta = timedelta()) -> Delivery:
    """Read one event, whose times are by a clock that is `ahead` of ours, or say what is wrong with it.

    Never raises, because a bad event must not fail its batch.
    """
    payload = message.SerializeToString(deterministic=True)
    event, fault = None, ""
    try:
        event = by_our_clock(_event(message), ahead)
        fault = fault_of(event)
    except OverflowError:
        fault = "a time is out of range"
    except ValueError as error:
        fault = str(error)
    return Delivery(message.request_id, message.organization_id, payload, None if fault else event, fault, ahead)


def parked_delivery(letter: Letter) -> Delivery:
    """Read an event again that was parked, with times that could be believed when it was."""
    again = delivery(billing_pb2.UsageEvent.FromString(letter.payload), letter.ahead)
    if again.event is None:
        return again
    return dataclasses.replace(again, event=with_believable_times(again.event, letter.parked_time))


def recovered_delivery(told: Testimony) -> Delivery:
    """Make of what an engine counted, and of what the gateway had given along, the event that nobody else will tell."""
    started = delivery(billing_pb2.UsageEvent.FromString(told.admission))
    if started.event is None:
        return started
    return dataclasses.replace(started, event=recovered(started.event, told.counted))


def price_message(price: Price) -> billing_pb2.Price:
    """Write a price."""
    message = billing_pb2.Price(
        model=price.model,
        version=price.version,
        input_picousd=price.input_picousd,
        cached_input_picousd=price.cached_input_picousd,
        output_picousd=price.output_picousd,
        batch_permille=price.batch_permille,
        tier_permilles=dict(price.tier_permilles),
    )
    message.effective_time.FromDatetime(price.effective_time)
    return message


def _event(message: billing_pb2.UsageEvent) -> UsageEvent:
    endpoint, outcome = ENDPOINTS.get(message.endpoint), OUTCOMES.get(message.outcome)
    if endpoint is None:
        raise ValueError(f"endpoint {message.endpoint} is unset or unknown")
    if outcome is None:
        raise ValueError(f"outcome {message.outcome} is unset or unknown")
    if not message.HasField("start_time") or not message.HasField("finish_time"):
        raise ValueError("start_time or finish_time is unset")
    usage = message.usage
    return UsageEvent(
        message.request_id,
        message.organization_id,
        message.project_id,
        message.key_id,
        message.owner_id,
        message.model,
        endpoint,
        outcome,
        read_time(message.start_time),
        read_time(message.finish_time),
        usage.prompt_tokens,
        usage.cached_prompt_tokens,
        usage.completion_tokens,
        usage.reasoning_tokens,
        message.usage_estimated,
        message.batch,
        message.service_tier or DEFAULT_TIER,
        message.price_version,
    )


def read_time(stamp: Timestamp) -> datetime:
    """Read an instant, to the microsecond. Raises `ValueError` outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)
    except (ValueError, OverflowError, OSError):
        raise ValueError("a time is out of range") from None
