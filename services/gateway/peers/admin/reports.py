"""Billing's reports, as the admin API answers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from capstan.billing.v1 import billing_pb2, reports_pb2, reports_pb2_grpc
from chassis.errors import CapstanError, Reason
from services.gateway.peers.calls import call
from services.gateway.schema.admin.usage import (
    Amount,
    Bucket,
    CompletionsResult,
    CostsResult,
    EmbeddingsResult,
    ModerationsResult,
    Result,
    UsagePage,
    Width,
)

R = TypeVar("R")

WIDTHS: dict[Width, reports_pb2.BucketWidth.ValueType] = {
    "1m": reports_pb2.BUCKET_WIDTH_MINUTE,
    "1h": reports_pb2.BUCKET_WIDTH_HOUR,
    "1d": reports_pb2.BUCKET_WIDTH_DAY,
}
GROUPS: dict[str, reports_pb2.UsageDimension.ValueType] = {
    "project_id": reports_pb2.USAGE_DIMENSION_PROJECT,
    "user_id": reports_pb2.USAGE_DIMENSION_OWNER,
    "api_key_id": reports_pb2.USAGE_DIMENSION_KEY,
    "model": reports_pb2.USAGE_DIMENSION_MODEL,
    "batch": reports_pb2.USAGE_DIMENSION_BATCH,
    "service_tier": reports_pb2.USAGE_DIMENSION_SERVICE_TIER,
}
COST_GROUPS: dict[str, reports_pb2.CostDimension.ValueType] = {
    "project_id": reports_pb2.COST_DIMENSION_PROJECT,
    "line_item": reports_pb2.COST_DIMENSION_LINE_ITEM,
    "api_key_id": reports_pb2.COST_DIMENSION_KEY,
}
COMPLETIONS = (
    billing_pb2.ENDPOINT_CHAT_COMPLETIONS,
    billing_pb2.ENDPOINT_COMPLETIONS,
    billing_pb2.ENDPOINT_RESPONSES,
)
EMBEDDINGS = (billing_pb2.ENDPOINT_EMBEDDINGS,)
MODERATIONS = (billing_pb2.ENDPOINT_MODERATIONS,)

_SAID_AS = {"bucket_count": "limit", "owner_ids": "user_ids", "key_ids": "api_key_ids"}
NANO_PER_USD = 10**9


@dataclass(frozen=True, slots=True)
class Asked:
    """What all questions have in common."""

    start_time: int
    end_time: int | None
    limit: int
    page: str
    project_ids: Sequence[str] = ()
    user_ids: Sequence[str] = ()
    api_key_ids: Sequence[str] = ()
    models: Sequence[str] = ()
    batch: bool | None = None
    group_by: Sequence[str] = ()


class Reports:
    """Every method raises `CapstanError`: PARAMETER_REFUSED, and UNAVAILABLE when billing is away."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = reports_pb2_grpc.ReportServiceStub(channel)
        self._timeout_s = timeout_s

    async def completions(self, organization_id: str, width: Width, asked: Asked) -> UsagePage[CompletionsResult]:
        """Sum what generated text."""
        return await self._usage(organization_id, width, asked, COMPLETIONS, _completions)

    async def embeddings(self, organization_id: str, width: Width, asked: Asked) -> UsagePage[EmbeddingsResult]:
        """Sum what made vectors."""
        return await self._usage(organization_id, width, asked, EMBEDDINGS, _plain(EmbeddingsResult))

    async def moderations(self, organization_id: str, width: Width, asked: Asked) -> UsagePage[ModerationsResult]:
        """Sum what was judged."""
        return await self._usage(organization_id, width, asked, MODERATIONS, _plain(ModerationsResult))

    async def costs(self, organization_id: str, asked: Asked) -> UsagePage[CostsResult]:
        """Sum amounts."""
        request = reports_pb2.QueryCostsRequest(
            organization_id=organization_id,
            project_ids=asked.project_ids,
            key_ids=asked.api_key_ids,
            group_by=[COST_GROUPS[name] for name in asked.group_by],
            bucket_count=asked.limit,
            page_token=asked.page,
        )
        return _page(await self._ask(self._stub.QueryCosts, request, asked), _cost)

    async def _usage(
        self,
        organization_id: str,
        width: Width,
        asked: Asked,
        endpoints: Sequence[billing_pb2.Endpoint.ValueType],
        result: Callable[[Any], R],
    ) -> UsagePage[R]:
        request = reports_pb2.QueryUsageRequest(
            organization_id=organization_id,
            bucket_width=WIDTHS[width],
            endpoints=endpoints,
            project_ids=asked.project_ids,
            owner_ids=asked.user_ids,
            key_ids=asked.api_key_ids,
            models=asked.models,
            batch=asked.batch,
            group_by=[GROUPS[name] for name in asked.group_by],
            bucket_count=asked.limit,
            page_token=asked.page,
        )
        return _page(await self._ask(self._stub.QueryUsage, request, asked), result)

    async def _ask(self, method: Callable[..., Any], request: Any, asked: Asked) -> Any:
        request.start_time.FromSeconds(asked.start_time)
        if asked.end_time is not None:
            request.end_time.FromSeconds(asked.end_time)
        try:
            return await call(method, request, timeout_s=self._timeout_s, peer="billing")
        except CapstanError as error:
            field = error.metadata.get("param", "")
            if error.reason is not Reason.INVALID_ARGUMENT or not field:
                raise
            param = _SAID_AS.get(field, field)
            raise CapstanError(
                Reason.PARAMETER_REFUSED, param=param, message=f"Invalid '{param}': {error.message}."
            ) from None


def _page(answer: Any, result: Callable[[Any], R]) -> UsagePage[R]:
    buckets = [
        Bucket[R](
            start_time=bucket.start_time.seconds,
            end_time=bucket.end_time.seconds,
            results=[result(total) for total in bucket.results],
        )
        for bucket in answer.buckets
    ]
    return UsagePage[R](data=buckets, has_more=bool(answer.next_page_token), next_page=answer.next_page_token or None)


def _given(total: Any, **names: str) -> dict[str, Any]:
    """Take what was grouped by, under the names of the admin API."""
    return {name: getattr(total, field) for name, field in names.items() if total.HasField(field)}


def _common(total: reports_pb2.UsageResult) -> dict[str, Any]:
    return {
        "num_model_requests": total.request_count,
        "input_tokens": total.prompt_tokens,
        **_given(total, project_id="project_id", user_id="owner_id", api_key_id="key_id", model="model"),
    }


def _completions(total: reports_pb2.UsageResult) -> CompletionsResult:
    return CompletionsResult(
        **_common(total),
        **_given(total, batch="batch", service_tier="service_tier"),
        input_cached_tokens=total.cached_prompt_tokens,
        input_uncached_tokens=total.prompt_tokens - total.cached_prompt_tokens,
        output_tokens=total.completion_tokens,
    )


P = TypeVar("P", bound=Result)


def _plain(kind: type[P]) -> Callable[[reports_pb2.UsageResult], P]:
    return lambda total: kind(**_common(total))


def _cost(total: reports_pb2.CostResult) -> CostsResult:
    sold = total.HasField("line_item")
    return CostsResult(
        amount=Amount(value=total.amount_nanousd / NANO_PER_USD),
        amount_nanousd=str(total.amount_nanousd),
        quantity=total.token_count if sold else None,
        quantity_unit="tokens" if sold else None,
        **_given(total, project_id="project_id", line_item="line_item", api_key_id="key_id"),
    )
