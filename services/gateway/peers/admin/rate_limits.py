"""What projects and organisations may use of each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from google.protobuf.field_mask_pb2 import FieldMask

from capstan.auth.v1 import auth_pb2, rate_limits_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.caller import FailureMode
from services.gateway.peers.admin.authority import Authority, acting, page
from services.gateway.schema.admin.lists import Listing, listing
from services.gateway.schema.admin.rate_limits import EVERY_MODEL, UNLIMITED, RateLimit, RateLimitUpdate

_NUMBERS = {
    "max_requests_per_1_minute": "requests_per_minute",
    "max_tokens_per_1_minute": "tokens_per_minute",
    "max_requests_per_1_day": "requests_per_day",
    "max_tokens_per_1_day": "tokens_per_day",
    "max_concurrent_requests": "concurrent_requests",
}
"""Of JSON and of the message: a number that lifts a limit is not written."""
_BATCH = "batch_day_max_input_tokens"
_MODES: dict[FailureMode, auth_pb2.LimitFailureMode.ValueType] = {
    "open": auth_pb2.LIMIT_FAILURE_MODE_OPEN,
    "local": auth_pb2.LIMIT_FAILURE_MODE_LOCAL,
    "closed": auth_pb2.LIMIT_FAILURE_MODE_CLOSED,
}
_MODE_NAMES = {number: name for name, number in _MODES.items()}
assert set(_MODES) == set(get_args(FailureMode))


class RateLimits:
    """Auth's limits. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted, project_id: str, models: Sequence[str]) -> Listing[RateLimit]:
        """Answer a page of a project's; each of `models` has an entry."""
        request = rate_limits_pb2.ListProjectRateLimitsRequest(
            actor=acting(actor), page=page(wanted), project_id=project_id, models=models
        )
        answer: rate_limits_pb2.ListProjectRateLimitsResponse = await self._at.ask(
            self._at.stub.ListProjectRateLimits, request
        )
        return listing([_limit(limit) for limit in answer.rate_limits], has_more=answer.has_more)

    async def update(self, actor: Actor, project_id: str, limit_id: str, wish: RateLimitUpdate) -> RateLimit:
        """Change a project's."""
        limit, batch, mask = _change(wish)
        request = rate_limits_pb2.UpdateProjectRateLimitRequest(
            actor=acting(actor),
            project_id=project_id,
            rate_limit_id=limit_id,
            limit=limit,
            batch_day_max_input_tokens=batch,
            update_mask=mask,
        )
        return _limit((await self._at.ask(self._at.stub.UpdateProjectRateLimit, request)).rate_limit)

    async def delete(self, actor: Actor, project_id: str, limit_id: str) -> None:
        """Let the organisation's numbers hold again."""
        request = rate_limits_pb2.DeleteProjectRateLimitRequest(
            actor=acting(actor), project_id=project_id, rate_limit_id=limit_id
        )
        await self._at.ask(self._at.stub.DeleteProjectRateLimit, request)

    async def list_of_organization(self, actor: Actor, organization_id: str) -> Listing[RateLimit]:
        """Answer all of an organisation's."""
        request = rate_limits_pb2.ListOrganizationRateLimitsRequest(
            actor=acting(actor), organization_id=organization_id
        )
        answer: rate_limits_pb2.ListOrganizationRateLimitsResponse = await self._at.ask(
            self._at.stub.ListOrganizationRateLimits, request
        )
        return listing([_limit(limit) for limit in answer.rate_limits], has_more=False)

    async def update_of_organization(
        self, actor: Actor, organization_id: str, limit_id: str, wish: RateLimitUpdate
    ) -> RateLimit:
        """Change an organisation's."""
        limit, batch, mask = _change(wish)
        request = rate_limits_pb2.UpdateOrganizationRateLimitRequest(
            actor=acting(actor),
            organization_id=organization_id,
            rate_limit_id=limit_id,
            limit=limit,
            batch_day_max_input_tokens=batch,
            update_mask=mask,
        )
        return _limit((await self._at.ask(self._at.stub.UpdateOrganizationRateLimit, request)).rate_limit)

    async def delete_of_organization(self, actor: Actor, organization_id: str, limit_id: str) -> None:
        """Let the tier's numbers hold again."""
        request = rate_limits_pb2.DeleteOrganizationRateLimitRequest(
            actor=acting(actor), organization_id=organization_id, rate_limit_id=limit_id
        )
        await self._at.ask(self._at.stub.DeleteOrganizationRateLimit, request)


def _change(wish: RateLimitUpdate) -> tuple[auth_pb2.RateLimit, int | None, FieldMask]:
    limit, batch, mask = auth_pb2.RateLimit(), None, FieldMask()
    for said, field in _NUMBERS.items():
        number = getattr(wish, said)
        if number is not None:
            mask.paths.append(field)
            if number < UNLIMITED:
                setattr(limit, field, number)
    if wish.batch_1_day_max_input_tokens is not None:
        mask.paths.append(_BATCH)
        batch = wish.batch_1_day_max_input_tokens if wish.batch_1_day_max_input_tokens < UNLIMITED else None
    for field in ("shadow", "burst_percent"):
        given = getattr(wish, field)
        if given is not None:
            mask.paths.append(field)
            setattr(limit, field, given)
    if wish.failure_mode is not None:
        mask.paths.append("failure_mode")
        limit.failure_mode = _MODES[wish.failure_mode]
    return limit, batch, mask


def _limit(message: rate_limits_pb2.ModelRateLimit) -> RateLimit:
    limit = message.limit

    def number(field: str) -> int | None:
        return getattr(limit, field) if limit.HasField(field) else None  # type: ignore[arg-type]  # names of a table

    def told(field: str) -> int:
        found = number(field)
        return UNLIMITED if found is None else found

    return RateLimit(
        id=message.id,
        model=limit.model or EVERY_MODEL,
        max_requests_per_1_minute=told("requests_per_minute"),
        max_tokens_per_1_minute=told("tokens_per_minute"),
        max_requests_per_1_day=number("requests_per_day"),
        batch_1_day_max_input_tokens=(
            message.batch_day_max_input_tokens if message.HasField("batch_day_max_input_tokens") else None
        ),
        max_tokens_per_1_day=number("tokens_per_day"),
        max_concurrent_requests=number("concurrent_requests"),
        shadow=limit.shadow,
        failure_mode=_MODE_NAMES.get(limit.failure_mode, "local"),
        burst_percent=limit.burst_percent or 100,
        inherited=message.inherited,
    )
