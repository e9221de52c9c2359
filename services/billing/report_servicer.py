"""ReportService on the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from capstan.billing.v1 import reports_pb2, reports_pb2_grpc
from chassis.errors import CapstanError, Reason
from services.billing.buckets import DAY, HOUR, MINUTE, Page, RangeError, page
from services.billing.report_store import Dimension, Filters, ReportStore, Sum
from services.billing.wire import ENDPOINTS, read_time

MOST_BUCKETS = {MINUTE: 1440, HOUR: 168, DAY: 180}
MOST_VALUES = 1000
"""Of one filter."""

WIDTHS: dict[int, timedelta] = {
    reports_pb2.BUCKET_WIDTH_UNSPECIFIED: DAY,
    reports_pb2.BUCKET_WIDTH_MINUTE: MINUTE,
    reports_pb2.BUCKET_WIDTH_HOUR: HOUR,
    reports_pb2.BUCKET_WIDTH_DAY: DAY,
}
USAGE_DIMENSIONS: dict[int, Dimension] = {
    reports_pb2.USAGE_DIMENSION_PROJECT: Dimension.PROJECT,
    reports_pb2.USAGE_DIMENSION_OWNER: Dimension.OWNER,
    reports_pb2.USAGE_DIMENSION_KEY: Dimension.KEY,
    reports_pb2.USAGE_DIMENSION_MODEL: Dimension.MODEL,
    reports_pb2.USAGE_DIMENSION_BATCH: Dimension.BATCH,
    reports_pb2.USAGE_DIMENSION_SERVICE_TIER: Dimension.SERVICE_TIER,
}
COST_DIMENSIONS: dict[int, Dimension] = {
    reports_pb2.COST_DIMENSION_PROJECT: Dimension.PROJECT,
    reports_pb2.COST_DIMENSION_LINE_ITEM: Dimension.LINE_ITEM,
    reports_pb2.COST_DIMENSION_KEY: Dimension.KEY,
}


class ReportServicer(reports_pb2_grpc.ReportServiceServicer):
    """See reports.proto."""

    def __init__(self, store: ReportStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def QueryUsage(
        self, request: reports_pb2.QueryUsageRequest, context: object
    ) -> reports_pb2.QueryUsageResponse:
        """Sum tokens and requests."""
        asked = self._page(request, _known(WIDTHS, request.bucket_width, "bucket_width"))
        filters = Filters(
            [_known(ENDPOINTS, endpoint, "endpoints") for endpoint in request.endpoints],
            _texts(request.project_ids, "project_ids"),
            _texts(request.owner_ids, "owner_ids"),
            _texts(request.key_ids, "key_ids"),
            _texts(request.models, "models"),
            request.batch if request.HasField("batch") else None,
        )
        groups = [_known(USAGE_DIMENSIONS, dimension, "group_by") for dimension in request.group_by]
        sums = await self._store.sums(_organization(request), asked, filters, groups)
        answer = reports_pb2.QueryUsageResponse(next_page_token=asked.token)
        for start, end in asked.buckets():
            results = [_usage_result(total) for total in sums.get(start, ())]
            answer.buckets.add(start_time=start, end_time=end, results=results)
        return answer

    async def QueryCosts(
        self, request: reports_pb2.QueryCostsRequest, context: object
    ) -> reports_pb2.QueryCostsResponse:
        """Sum amounts."""
        asked = self._page(request, DAY)
        filters = Filters(
            project_ids=_texts(request.project_ids, "project_ids"), key_ids=_texts(request.key_ids, "key_ids")
        )
        groups = [_known(COST_DIMENSIONS, dimension, "group_by") for dimension in request.group_by]
        sums = await self._store.sums(_organization(request), asked, filters, groups)
        answer = reports_pb2.QueryCostsResponse(next_page_token=asked.token)
        for start, end in asked.buckets():
            results = [_cost_result(total) for total in sums.get(start, ())]
            answer.buckets.add(start_time=start, end_time=end, results=results)
        return answer

    def _page(self, request: Any, width: timedelta) -> Page:
        if not 0 <= request.bucket_count <= MOST_BUCKETS[width]:
            raise _invalid("bucket_count", f"1 to {MOST_BUCKETS[width]} buckets, please")
        if not request.HasField("start_time"):
            raise _invalid("start_time", "it is required")
        try:
            start = read_time(request.start_time)
            end = read_time(request.end_time) if request.HasField("end_time") else self._now()
            return page(start, end, width, request.bucket_count, request.page_token)
        except RangeError as error:
            field, _, words = str(error).partition(": ")
            raise _invalid(field, words) from None
        except ValueError as error:
            raise _invalid("start_time", str(error)) from None


def _usage_result(total: Sum) -> reports_pb2.UsageResult:
    return reports_pb2.UsageResult(
        request_count=total.request_count,
        prompt_tokens=total.prompt_tokens,
        cached_prompt_tokens=total.cached_prompt_tokens,
        completion_tokens=total.completion_tokens,
        reasoning_tokens=total.reasoning_tokens,
        **{dimension.value: value for dimension, value in total.group.items()},
    )


def _cost_result(total: Sum) -> reports_pb2.CostResult:
    return reports_pb2.CostResult(
        amount_nanousd=total.amount_nanousd,
        token_count=total.prompt_tokens + total.completion_tokens,
        **{dimension.value: value for dimension, value in total.group.items()},
    )


def _organization(request: Any) -> str:
    organization_id: str = request.organization_id
    if not organization_id or "\0" in organization_id:
        raise _invalid("organization_id", "no organisation")
    return organization_id


def _known(table: dict[int, Any], value: int, field: str) -> Any:
    if value not in table:
        raise _invalid(field, f"{value} is unset or unknown")
    return table[value]


def _texts(values: Any, field: str) -> list[str]:
    if len(values) > MOST_VALUES or any("\0" in value for value in values):
        raise _invalid(field, f"at most {MOST_VALUES} values, without NUL")
    return list(values)


def _invalid(field: str, message: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, message, param=field)


__all__ = ["COST_DIMENSIONS", "USAGE_DIMENSIONS", "WIDTHS", "ReportServicer"]
