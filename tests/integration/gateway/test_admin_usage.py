"""Usage and costs on the admin listener: billing's answers in OpenAI's shapes, of the caller's organisation only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from capstan.auth.v1 import admin_pb2_grpc
from capstan.billing.v1 import reports_pb2, reports_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.testing import running
from services.gateway.app import build
from tests.integration.gateway.client import Client, error
from tests.integration.gateway.scripted import peers, settings
from tests.integration.gateway.scripted_admin import ADMIN_KEY, Admin, TwoKeys

DAY = 86_400
BASE = "/v1/organization"


@dataclass
class Reports(reports_pb2_grpc.ReportServiceServicer):
    """Remembers what it was asked; answers one day."""

    asked: list[Any] = field(default_factory=list)

    async def QueryUsage(self, request, context):
        self.asked.append(request)
        answer = reports_pb2.QueryUsageResponse(next_page_token="page_2")
        bucket = answer.buckets.add()
        bucket.start_time.seconds, bucket.end_time.seconds = DAY, 2 * DAY
        bucket.results.add(
            request_count=3, prompt_tokens=30, cached_prompt_tokens=10, completion_tokens=7, model="m", batch=False
        )
        return answer

    async def QueryCosts(self, request, context):
        self.asked.append(request)
        answer = reports_pb2.QueryCostsResponse()
        bucket = answer.buckets.add()
        bucket.start_time.seconds, bucket.end_time.seconds = DAY, 2 * DAY
        bucket.results.add(amount_nanousd=1_500_000_001, token_count=37, line_item="m, chat completions")
        return answer


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def admin() -> Admin:
    return Admin()


@pytest.fixture
async def office(tmp_path: Path, reports: Reports, admin: Admin) -> AsyncIterator[Client]:
    beside = {
        "auth": [(admin, admin_pb2_grpc.add_AdminServiceServicer_to_server)],
        "billing": [(reports, reports_pb2_grpc.add_ReportServiceServicer_to_server)],
    }
    async with peers(tmp_path, auth=TwoKeys(), beside=beside) as made:
        listening = settings(made, admin_listen=f"unix:{tmp_path}/admin.sock")
        async with running("gateway", build, listening):
            yield Client(tmp_path / "admin.sock", ADMIN_KEY)


async def test_completions_are_summed_as_asked(office: Client, reports: Reports) -> None:
    query = (
        f"start_time={DAY}&end_time={3 * DAY}&bucket_width=1h&limit=5&page=page_1&project_ids[]=proj_1&user_ids=user-1"
        "&api_key_ids=key_1&models=m&models=n&batch=false&group_by[]=model&group_by[]=batch"
    )
    answer = await office.get(f"{BASE}/usage/completions?{query}")
    assert answer.status == 200
    assert answer.json() == {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": DAY,
                "end_time": 2 * DAY,
                "results": [
                    {
                        "object": "organization.usage.completions.result",
                        "num_model_requests": 3,
                        "input_tokens": 30,
                        "input_cached_tokens": 10,
                        "input_cache_write_tokens": 0,
                        "input_uncached_tokens": 20,
                        "output_tokens": 7,
                        "output_reasoning_tokens": 0,
                        "input_text_tokens": 20,
                        "output_text_tokens": 7,
                        "input_cached_text_tokens": 10,
                        "input_audio_tokens": 0,
                        "input_cached_audio_tokens": 0,
                        "output_audio_tokens": 0,
                        "input_image_tokens": 0,
                        "input_cached_image_tokens": 0,
                        "output_image_tokens": 0,
                        "project_id": None,
                        "user_id": None,
                        "api_key_id": None,
                        "model": "m",
                        "batch": False,
                        "service_tier": None,
                    }
                ],
            }
        ],
        "has_more": True,
        "next_page": "page_2",
    }
    (asked,) = reports.asked
    wanted = reports_pb2.QueryUsageRequest(
        organization_id="org-1",
        bucket_width=reports_pb2.BUCKET_WIDTH_HOUR,
        endpoints=[1, 2, 4],
        project_ids=["proj_1"],
        owner_ids=["user-1"],
        key_ids=["key_1"],
        models=["m", "n"],
        batch=False,
        group_by=[reports_pb2.USAGE_DIMENSION_MODEL, reports_pb2.USAGE_DIMENSION_BATCH],
        bucket_count=5,
        page_token="page_1",
    )
    wanted.start_time.seconds, wanted.end_time.seconds = DAY, 3 * DAY
    assert asked == wanted


async def test_embeddings_and_verdicts_have_their_own_sums(office: Client, reports: Reports) -> None:
    for kind, endpoint in (("embeddings", 3), ("moderations", 5)):
        answer = (await office.get(f"{BASE}/usage/{kind}?start_time=0")).json()
        assert answer["data"][0]["results"][0]["object"] == f"organization.usage.{kind}.result"
        assert list(reports.asked[-1].endpoints) == [endpoint]
        assert reports.asked[-1].bucket_width == reports_pb2.BUCKET_WIDTH_DAY


async def test_costs_are_dollars_and_exact_beside(office: Client, reports: Reports) -> None:
    answer = await office.get(f"{BASE}/costs?start_time={DAY}&group_by=line_item")
    (result,) = answer.json()["data"][0]["results"]
    assert result["amount"] == {"value": 1.500000001, "currency": "usd", "value_nanousd": "1500000001"}
    assert (result["line_item"], result["quantity"], result["quantity_unit"]) == ("m, chat completions", 37, "tokens")
    assert (answer.json()["has_more"], answer.json()["next_page"]) == (False, None)
    assert reports.asked[0].bucket_count == 7


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("usage/completions", "start_time"),
        ("usage/completions?start_time=-1", "start_time"),
        ("usage/completions?start_time=0&bucket_width=1w", "bucket_width"),
        ("usage/completions?start_time=0&limit=32", "limit"),
        ("usage/embeddings?start_time=0&group_by=batch", "group_by"),
        ("costs?start_time=0&limit=181", "limit"),
        ("costs?start_time=0&bucket_width=1h", "bucket_width"),
    ],
)
async def test_a_question_that_makes_no_sense_is_a_400_that_names_it(
    office: Client, reports: Reports, path: str, param: str
) -> None:
    status, kind, told, _ = error(await office.get(f"{BASE}/{path}"))
    assert (status, kind) == (400, "invalid_request_error")
    assert (told or "").startswith(param)
    assert reports.asked == []


async def test_who_may_not_look_into_the_organisation_learns_nothing(
    office: Client, reports: Reports, admin: Admin
) -> None:
    admin.failure = CapstanError(Reason.PERMISSION_DENIED, "no", scope="api.management.read")
    assert error(await office.get(f"{BASE}/costs?start_time=0"))[0] == 403
    assert reports.asked == []
