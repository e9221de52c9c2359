"""Reports add up to the events, whatever they are grouped, filtered and paged by."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2, reports_pb2, reports_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call
from services.billing import commands
from services.billing.report_servicer import COST_DIMENSIONS, USAGE_DIMENSIONS, WIDTHS
from tests.integration.billing.conftest import NOON, Books, usage_event

MIDNIGHT = NOON.replace(hour=0)


async def usage(books: Books, **asked: Any) -> reports_pb2.QueryUsageResponse:
    stub = reports_pb2_grpc.ReportServiceStub(books.channel)
    response: reports_pb2.QueryUsageResponse = await call(
        stub.QueryUsage, reports_pb2.QueryUsageRequest(**asked), timeout_s=5, peer="billing"
    )
    return response


async def costs(books: Books, **asked: Any) -> reports_pb2.QueryCostsResponse:
    stub = reports_pb2_grpc.ReportServiceStub(books.channel)
    response: reports_pb2.QueryCostsResponse = await call(
        stub.QueryCosts, reports_pb2.QueryCostsRequest(**asked), timeout_s=5, peer="billing"
    )
    return response


def times(bucket: Any) -> tuple[datetime, datetime]:
    return (
        bucket.start_time.ToDatetime(NOON.tzinfo),
        bucket.end_time.ToDatetime(NOON.tzinfo),
    )


def test_every_value_of_the_wire_is_known() -> None:
    assert WIDTHS.keys() == set(reports_pb2.BucketWidth.values())
    assert USAGE_DIMENSIONS.keys() == set(reports_pb2.UsageDimension.values()) - {0}
    assert COST_DIMENSIONS.keys() == set(reports_pb2.CostDimension.values()) - {0}


async def test_what_was_acknowledged_is_in_the_next_report(books: Books, organization_id: str) -> None:
    await books.ingest(usage_event("now", organization_id=organization_id))
    answer = await usage(books, organization_id=organization_id, start_time=NOON - timedelta(hours=1))
    # Nobody asked for the minute that has just begun: the range ends now.
    assert not answer.buckets[0].results
    await books.clock.advance(1)
    answer = await usage(books, organization_id=organization_id, start_time=NOON - timedelta(hours=1))
    (bucket,) = answer.buckets
    (result,) = bucket.results
    assert (result.request_count, result.prompt_tokens, result.completion_tokens) == (1, 100, 20)
    assert not result.HasField("model")


async def test_a_range_includes_its_start_and_not_its_end(books: Books, organization_id: str) -> None:
    await books.ingest(
        *(
            usage_event(f"edge{minute}", organization_id=organization_id, start_time=NOON - timedelta(minutes=minute))
            for minute in range(4)
        )
    )
    answer = await usage(
        books,
        organization_id=organization_id,
        start_time=NOON - timedelta(minutes=3),
        end_time=NOON,
        bucket_width=reports_pb2.BUCKET_WIDTH_MINUTE,
    )
    assert [len(bucket.results) for bucket in answer.buckets] == [1, 1, 1]


async def test_empty_buckets_are_there_and_pages_follow(books: Books, organization_id: str) -> None:
    day = timedelta(days=1)
    for number in (1, 4):
        start = MIDNIGHT - number * day
        await books.ingest(usage_event(f"day{number}", organization_id=organization_id, start_time=start))
    asked: dict[str, Any] = {
        "organization_id": organization_id,
        "start_time": MIDNIGHT - 5 * day,
        "end_time": MIDNIGHT,
        "bucket_count": 2,
    }
    counts, token = [], ""
    for _ in range(3):
        answer = await usage(books, **asked, page_token=token)
        counts += [sum(result.request_count for result in bucket.results) for bucket in answer.buckets]
        token = answer.next_page_token
    assert counts == [0, 1, 0, 0, 1]
    assert token == ""


async def test_reports_agree_with_the_events_in_every_group_and_width(books: Books, organization_id: str) -> None:
    drawn = random.Random(7)
    endpoints = [value for value in billing_pb2.Endpoint.values() if value]
    events = [
        usage_event(
            f"any{number}",
            organization_id=organization_id,
            project_id=f"proj_{drawn.randrange(2)}",
            key_id=f"key_{drawn.randrange(3)}",
            model=drawn.choice(["a", "b"]),
            endpoint=drawn.choice(endpoints),
            batch=drawn.random() < 0.3,
            service_tier=drawn.choice(["", "flex"]),
            start_time=NOON - timedelta(seconds=drawn.randrange(3 * 86400)),
            usage=usage_pb2.TokenUsage(prompt_tokens=drawn.randrange(50), completion_tokens=drawn.randrange(50)),
        )
        for number in range(200)
    ]
    receipts = await books.ingest(*events)
    owed = sum(receipt.amount_nanousd for receipt in receipts)
    asked: dict[str, Any] = {"organization_id": organization_id, "start_time": MIDNIGHT - timedelta(days=3)}
    asked["end_time"] = MIDNIGHT + timedelta(days=1)
    for width in (reports_pb2.BUCKET_WIDTH_DAY, reports_pb2.BUCKET_WIDTH_HOUR):
        for groups in ([], [1], [2, 3, 4], [1, 2, 3, 4, 5, 6]):
            answer = await usage(books, **asked, bucket_width=width, bucket_count=100, group_by=groups)
            results = [result for bucket in answer.buckets for result in bucket.results]
            assert sum(result.request_count for result in results) == 200
            assert sum(result.prompt_tokens for result in results) == sum(e.usage.prompt_tokens for e in events)
    by_item = await costs(books, **asked, group_by=[reports_pb2.COST_DIMENSION_LINE_ITEM])
    results = [result for bucket in by_item.buckets for result in bucket.results]
    assert sum(result.amount_nanousd for result in results) == owed
    assert "a, chat completions, batch, flex" in {result.line_item for result in results}
    batches = await usage(books, **asked, batch=True, models=["a"], project_ids=["proj_1"])
    wanted = [e for e in events if e.batch and e.model == "a" and e.project_id == "proj_1"]
    assert Counter(e.batch for e in wanted)[True] == sum(
        result.request_count for bucket in batches.buckets for result in bucket.results
    )
    assert await commands.verify(books.settings) == 0


@pytest.mark.parametrize("start", [timedelta(days=3), timedelta(days=2, minutes=-1), timedelta(days=1, minutes=1)])
@pytest.mark.parametrize("end", [timedelta(0), timedelta(minutes=1), timedelta(hours=23, minutes=59)])
async def test_days_that_a_range_cuts_have_what_is_in_it_and_whole_ones_all(
    books: Books, organization_id: str, start: timedelta, end: timedelta
) -> None:
    start_time, end_time = MIDNIGHT - start, MIDNIGHT - end
    starts = [MIDNIGHT - timedelta(days=4) + number * timedelta(minutes=720, seconds=30) for number in range(9)]
    starts += [edge - late for edge in (start_time, end_time) for late in (timedelta(seconds=1), timedelta())]
    await books.ingest(
        *(
            usage_event(f"{organization_id}{number}", organization_id=organization_id, start_time=time)
            for number, time in enumerate(starts)
        )
    )
    asked = {"start_time": start_time, "end_time": end_time, "bucket_count": 9}
    answer = await costs(books, organization_id=organization_id, **asked)
    for bucket in answer.buckets:
        begins, ends = times(bucket)
        wanted = sum(begins <= time < ends for time in starts) * 27_000
        assert sum(result.amount_nanousd for result in bucket.results) == wanted
    assert sum(result.amount_nanousd for bucket in answer.buckets for result in bucket.results) >= 2 * 27_000


async def test_one_organisation_never_sees_another(books: Books, organization_id: str) -> None:
    await books.ingest(usage_event("others", organization_id="org-other"))
    answer = await usage(
        books, organization_id=organization_id, start_time=MIDNIGHT, end_time=MIDNIGHT + timedelta(days=1)
    )
    assert [len(bucket.results) for bucket in answer.buckets] == [0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"organization_id": ""},
        {"bucket_count": 9999},
        {"group_by": [0]},
        {"group_by": [99]},
        {"page_token": "page_x"},
        {"end_time": MIDNIGHT - timedelta(days=1)},
        {"models": ["a\0"]},
        {"bucket_width": 9},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(books: Books, wrong: dict[str, Any]) -> None:
    with pytest.raises(CapstanError) as refused:
        await usage(books, **({"organization_id": "org-1", "start_time": MIDNIGHT} | wrong))
    assert refused.value.reason is Reason.INVALID_ARGUMENT
