"""Every value of the wire has its place in the domain, and nothing on the wire can make reading it raise."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capstan.billing.v1 import billing_pb2
from capstan.usage.v1 import usage_pb2
from services.billing import wire
from services.billing.events import Endpoint, Outcome, fault_of
from services.billing.store import Letter, Status

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def message(**changes: object) -> billing_pb2.UsageEvent:
    event = billing_pb2.UsageEvent(
        request_id="req_1",
        organization_id="org-1",
        project_id="proj_1",
        key_id="key_1",
        owner_id="user-1",
        model="capstan-demo",
        endpoint=billing_pb2.ENDPOINT_EMBEDDINGS,
        outcome=billing_pb2.OUTCOME_TRUNCATED,
        usage=usage_pb2.TokenUsage(prompt_tokens=10, cached_prompt_tokens=4, completion_tokens=3, reasoning_tokens=1),
        usage_estimated=True,
    )
    event.start_time.FromDatetime(datetime(2026, 11, 22, 12, 0, 0, 123456, UTC))
    event.finish_time.FromDatetime(datetime(2026, 11, 22, 12, 0, 9, tzinfo=UTC))
    for name, value in changes.items():
        setattr(event, name, value)
    return event


def test_the_tables_are_complete() -> None:
    assert wire.ENDPOINTS.keys() == set(billing_pb2.Endpoint.values()) - {0}
    assert set(wire.ENDPOINTS.values()) == set(Endpoint)
    assert wire.OUTCOMES.keys() == set(billing_pb2.Outcome.values()) - {0}
    assert set(wire.OUTCOMES.values()) == set(Outcome)
    assert wire.STATUSES.keys() == set(Status)
    assert set(wire.STATUSES.values()) == set(billing_pb2.ReceiptStatus.values()) - {0}


def test_an_event_is_read_whole() -> None:
    delivery = wire.delivery(message())
    event = delivery.event
    assert event is not None
    assert (event.request_id, event.organization_id, event.owner_id) == ("req_1", "org-1", "user-1")
    assert (event.endpoint, event.outcome) == (Endpoint.EMBEDDINGS, Outcome.TRUNCATED)
    assert event.start_time == datetime(2026, 11, 22, 12, 0, 0, 123456, UTC)
    assert (event.prompt_tokens, event.cached_prompt_tokens) == (10, 4)
    assert (event.completion_tokens, event.reasoning_tokens) == (3, 1)
    assert event.usage_estimated


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": 0}, "endpoint 0"),
        ({"endpoint": 99}, "endpoint 99"),
        ({"outcome": 0}, "outcome 0"),
        ({"outcome": 99}, "outcome 99"),
        ({"model": "a\0"}, "NUL"),
    ],
)
def test_a_bad_event_is_a_delivery_with_a_fault(changes: dict[str, object], words: str) -> None:
    delivery = wire.delivery(message(**changes))
    assert delivery.event is None
    assert words in delivery.fault
    assert delivery.request_id == "req_1"


def test_an_event_without_times_or_with_impossible_ones_has_a_fault() -> None:
    unset = message()
    unset.ClearField("start_time")
    assert "unset" in wire.delivery(unset).fault
    far = message()
    far.start_time.seconds = 2**62
    assert "out of range" in wire.delivery(far).fault


def test_what_was_parked_can_be_read_again() -> None:
    delivery = wire.delivery(message(), timedelta(minutes=-10))
    letter = Letter(delivery.digest, "org-1", "req_1", "why", NOON + DAY, delivery.payload, delivery.ahead)
    assert wire.parked_delivery(letter) == delivery
    letter = dataclasses.replace(letter, payload=wire.delivery(message(model="")).payload)
    assert wire.parked_delivery(letter).fault == "model is empty"


def test_what_was_in_the_future_when_it_was_parked_began_then() -> None:
    early = NOON - timedelta(hours=1)
    delivery = wire.delivery(message())
    letter = Letter(delivery.digest, "org-1", "req_1", "why", early, delivery.payload, timedelta())
    event = wire.parked_delivery(letter).event
    assert event is not None
    assert (event.start_time, event.finish_time) == (early, early)


@given(
    st.builds(
        billing_pb2.UsageEvent,
        request_id=st.text(max_size=5),
        model=st.text(max_size=5),
        endpoint=st.integers(-3, 5),
        outcome=st.integers(-3, 7),
        usage=st.builds(
            usage_pb2.TokenUsage,
            prompt_tokens=st.integers(-(2**63), 2**63 - 1),
            completion_tokens=st.integers(-(2**63), 2**63 - 1),
        ),
        start_time=st.builds(
            lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
            st.integers(-(2**63), 2**63 - 1),
            st.integers(-(2**31), 2**31 - 1),
        ),
        finish_time=st.just({"seconds": 0}),
    )
)
def test_reading_never_raises(event: billing_pb2.UsageEvent) -> None:
    delivery = wire.delivery(event)
    assert bool(delivery.fault) == (delivery.event is None)
    if delivery.event is not None:
        assert fault_of(delivery.event) == ""


def test_how_far_a_sender_is_ahead_is_read_off_what_its_clock_says() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    request = billing_pb2.IngestRequest(events=[message()])
    assert wire.lead(request, now) == timedelta()  # an earlier release does not tell
    request.sent_time.FromDatetime(now - timedelta(minutes=10))
    assert wire.lead(request, now) == timedelta(minutes=-10)
    request.sent_time.seconds = 2**62
    assert wire.lead(request, now) == timedelta()


def test_a_lead_out_of_the_calendar_is_a_fault_of_the_event() -> None:
    delivery = wire.delivery(message(), ahead=timedelta(days=999_999))
    assert (delivery.event, delivery.fault) == (None, "a time is out of range")
