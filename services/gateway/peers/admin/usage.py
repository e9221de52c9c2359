"""What an organisation used and what it cost, in buckets of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from capstan.billing.v1 import billing_pb2, reports_pb2
from services.gateway.actor import Actor
from services.gateway.peers.admin.authority import instant
from services.gateway.peers.admin.bookkeeper import Bookkeeper
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.schema.admin.costs import Amount, Costs
from services.gateway.schema.admin.usage import (
    Bucket,
    Buckets,
    CompletionsUsage,
    EmbeddingsUsage,
    ModerationsUsage,
    NoUsage,
)

Width = Literal["1m", "1h", "1d"]
UsageGroup = Literal["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"]
CostGroup = Literal["project_id", "line_item", "api_key_id"]
Result = TypeVar("Result")

NANO = 10**9

_WIDTHS: Mapping[Width, reports_pb2.BucketWidth.ValueType] = {
    "1m": reports_pb2.BUCKET_WIDTH_MINUTE,
    "1h": reports_pb2.BUCKET_WIDTH_HOUR,
    "1d": reports_pb2.BUCKET_WIDTH_DAY,
}
_USAGE_GROUPS: Mapping[UsageGroup, reports_pb2.UsageDimension.ValueType] = {
    "project_id": reports_pb2.USAGE_DIMENSION_PROJECT,
    "user_id": reports_pb2.USAGE_DIMENSION_OWNER,
    "api_key_id": reports_pb2.USAGE_DIMENSION_KEY,
    "model": reports_pb2.USAGE_DIMENSION_MODEL,
    "batch": reports_pb2.USAGE_DIMENSION_BATCH,
    "service_tier": reports_pb2.USAGE_DIMENSION_SERVICE_TIER,
}
_COST_GROUPS: Mapping[CostGroup, reports_pb2.CostDimension.ValueType] = {
    "project_id": reports_pb2.COST_DIMENSION_PROJECT,
    "line_item": reports_pb2.COST_DIMENSION_LINE_ITEM,
    "api_key_id": reports_pb2.COST_DIMENSION_KEY,
}
_COMPLETIONS = (
    billing_pb2.ENDPOINT_CHAT_COMPLETIONS,
    billing_pb2.ENDPOINT_COMPLETIONS,
    billing_pb2.ENDPOINT_RESPONSES,
)
_EMBEDDINGS = (billing_pb2.ENDPOINT_EMBEDDINGS,)
_MODERATIONS = (billing_pb2.ENDPOINT_MODERATIONS,)


@dataclass(frozen=True, slots=True)
class Span:
    """Of when, and which page of it. Times in unix seconds; None: now; no limit: the usual number of buckets."""

    start_time: int
    end_time: int | None = None
    width: Width = "1d"
    limit: int | None = None
    page: str = ""


@dataclass(frozen=True, slots=True)
class Which:
    """Whose usage, of what; an empty filter lets all through."""

    project_ids: Sequence[str] = field(default=())
    user_ids: Sequence[str] = field(default=())
    api_key_ids: Sequence[str] = field(default=())
    models: Sequence[str] = field(default=())
    batch: bool | None = None


class Usage:
    """Billing's sums. What the methods raise is what `Authority.ask` and `Bookkeeper.ask` raise."""

    def __init__(self, books: Bookkeeper, rights: SpendingRights) -> None:
        self._books = books
        self._rights = rights

    async def completions(
        self, actor: Actor, span: Span, which: Which, groups: Sequence[UsageGroup]
    ) -> Buckets[CompletionsUsage]:
        """Answer what was generated."""
        return _page(await self._sums(actor, span, which, groups, _COMPLETIONS), _completions)

    async def embeddings(
        self, actor: Actor, span: Span, which: Which, groups: Sequence[UsageGroup]
    ) -> Buckets[EmbeddingsUsage]:
        """Answer what was embedded."""
        return _page(await self._sums(actor, span, which, groups, _EMBEDDINGS), _embeddings)

    async def moderations(
        self, actor: Actor, span: Span, which: Which, groups: Sequence[UsageGroup]
    ) -> Buckets[ModerationsUsage]:
        """Answer what was classified."""
        return _page(await self._sums(actor, span, which, groups, _MODERATIONS), _moderations)

    async def nothing(self, actor: Actor, span: Span) -> Buckets[NoUsage]:
        """Answer the same buckets with nothing in them: of what is not served there is no usage."""
        page: Buckets[NoUsage] = _page(await self._sums(actor, span, Which(), (), _MODERATIONS), lambda _: {})
        for bucket in page.data:
            bucket.results.clear()
        return page

    async def costs(self, actor: Actor, span: Span, which: Which, groups: Sequence[CostGroup]) -> Buckets[Costs]:
        """Answer what it cost, by day; of `which` only projects and keys are read."""
        await self._rights.see_usage(actor)
        request = reports_pb2.QueryCostsRequest(
            organization_id=actor.organization_id,
            start_time=instant(span.start_time),
            project_ids=which.project_ids,
            key_ids=which.api_key_ids,
            group_by=[_COST_GROUPS[group] for group in groups],
            bucket_count=span.limit or 0,
            page_token=span.page,
        )
        if span.end_time is not None:
            request.end_time.CopyFrom(instant(span.end_time))
        answer = await self._books.ask(self._books.reports.QueryCosts, request)
        return _page(answer, _costs)

    async def _sums(
        self,
        actor: Actor,
        span: Span,
        which: Which,
        groups: Sequence[UsageGroup],
        endpoints: Sequence[billing_pb2.Endpoint.ValueType],
    ) -> reports_pb2.QueryUsageResponse:
        await self._rights.see_usage(actor)
        request = reports_pb2.QueryUsageRequest(
            organization_id=actor.organization_id,
            start_time=instant(span.start_time),
            bucket_width=_WIDTHS[span.width],
            endpoints=endpoints,
            project_ids=which.project_ids,
            owner_ids=which.user_ids,
            key_ids=which.api_key_ids,
            models=which.models,
            batch=which.batch,
            group_by=[_USAGE_GROUPS[group] for group in groups],
            bucket_count=span.limit or 0,
            page_token=span.page,
        )
        if span.end_time is not None:
            request.end_time.CopyFrom(instant(span.end_time))
        answer: reports_pb2.QueryUsageResponse = await self._books.ask(self._books.reports.QueryUsage, request)
        return answer


def _page(answer: Any, write: Callable[[Any], Result]) -> Buckets[Result]:
    data = [
        Bucket(
            start_time=bucket.start_time.seconds,
            end_time=bucket.end_time.seconds,
            results=[write(result) for result in bucket.results],
        )
        for bucket in answer.buckets
    ]
    following = answer.next_page_token or None
    return Buckets(data=data, has_more=following is not None, next_page=following)


def _set(message: Any, field_name: str) -> Any:
    return getattr(message, field_name) if message.HasField(field_name) else None


def _grouped(result: reports_pb2.UsageResult) -> dict[str, Any]:
    return {
        "project_id": _set(result, "project_id"),
        "user_id": _set(result, "owner_id"),
        "api_key_id": _set(result, "key_id"),
        "model": _set(result, "model"),
    }


def _completions(result: reports_pb2.UsageResult) -> CompletionsUsage:
    uncached = result.prompt_tokens - result.cached_prompt_tokens
    return CompletionsUsage(
        input_tokens=result.prompt_tokens,
        input_cached_tokens=result.cached_prompt_tokens,
        input_uncached_tokens=uncached,
        output_tokens=result.completion_tokens,
        output_reasoning_tokens=result.reasoning_tokens,
        input_text_tokens=uncached,
        output_text_tokens=result.completion_tokens,
        input_cached_text_tokens=result.cached_prompt_tokens,
        num_model_requests=result.request_count,
        batch=_set(result, "batch"),
        service_tier=_set(result, "service_tier"),
        **_grouped(result),
    )


def _embeddings(result: reports_pb2.UsageResult) -> EmbeddingsUsage:
    return EmbeddingsUsage(
        input_tokens=result.prompt_tokens, num_model_requests=result.request_count, **_grouped(result)
    )


def _moderations(result: reports_pb2.UsageResult) -> ModerationsUsage:
    return ModerationsUsage(
        input_tokens=result.prompt_tokens, num_model_requests=result.request_count, **_grouped(result)
    )


def _costs(result: reports_pb2.CostResult) -> Costs:
    line_item = _set(result, "line_item")
    return Costs(
        amount=Amount(value=result.amount_nanousd / NANO, value_nanousd=str(result.amount_nanousd)),
        line_item=line_item,
        project_id=_set(result, "project_id"),
        api_key_id=_set(result, "key_id"),
        quantity=None if line_item is None else result.token_count,
        quantity_unit=None if line_item is None else "tokens",
    )
