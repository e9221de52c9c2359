"""Rate limits of projects and of organisations, by model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from google.protobuf.field_mask_pb2 import FieldMask

from capstan.auth.v1 import auth_pb2
from capstan.auth.v1 import rate_limits_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call
from services.auth.admin.paging import size
from services.auth.limits import COLUMNS, EACH_MODEL, Limit, Numbers, Scope, Table, chosen, numbers, of_organization
from services.auth.tiers import tier
from services.auth.wire import numbers_of, rate_limit

PREFIX = "rl-"
MOST_MODELS = 1000

_ORGANIZATION = "SELECT * FROM auth.organization_rate_limits WHERE organization_id = $1"
_PROJECT = "SELECT * FROM auth.project_rate_limits WHERE organization_id = $1 AND project_id = $2"
_TIER = "SELECT tier FROM auth.organizations WHERE organization_id = $1"
_NAMES = ", ".join(COLUMNS)
_SET = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
_PUT_PROJECT = f"""
INSERT INTO auth.project_rate_limits (organization_id, project_id, model, {_NAMES})
VALUES ($1, $2, $3, {", ".join(f"${place}" for place in range(4, 4 + len(COLUMNS)))})
ON CONFLICT (organization_id, project_id, model) DO UPDATE SET {_SET}
"""  # noqa: S608 - names of columns
_PUT_ORGANIZATION = f"""
INSERT INTO auth.organization_rate_limits (organization_id, model, {_NAMES})
VALUES ($1, $2, {", ".join(f"${place}" for place in range(3, 3 + len(COLUMNS)))})
ON CONFLICT (organization_id, model) DO UPDATE SET {_SET}
"""  # noqa: S608 - names of columns
_DROP_PROJECT = "DELETE FROM auth.project_rate_limits WHERE organization_id = $1 AND project_id = $2 AND model = $3"
_DROP_ORGANIZATION = "DELETE FROM auth.organization_rate_limits WHERE organization_id = $1 AND model = $2"

# What OpenAI's audit log calls them.
_OPENAI = {
    "requests_per_minute": "max_requests_per_1_minute",
    "tokens_per_minute": "max_tokens_per_1_minute",
    "requests_per_day": "max_requests_per_1_day",
    "batch_day_max_input_tokens": "batch_1_day_max_input_tokens",
}


class Change(Protocol):
    """A request that changes numbers."""

    @property
    def limit(self) -> auth_pb2.RateLimit:
        """New numbers."""
        ...

    @property
    def batch_day_max_input_tokens(self) -> int:
        """New number."""
        ...

    @property
    def update_mask(self) -> FieldMask:
        """Which of them are meant."""
        ...


async def list_project_rate_limits(
    call: Call, request: pb.ListProjectRateLimitsRequest
) -> pb.ListProjectRateLimitsResponse:
    """See rate_limits.proto."""
    limit = size(request.page)
    served = fields.models("models", request.models, MOST_MODELS)
    await call.project(request.project_id)
    own, organization = await _of_project(call, request.project_id), await _of_organization(call)
    models = sorted({*own, *served})
    found = [_of_model(own, organization, model) for model in models]
    after, before = request.page.after, request.page.before
    wanted = [each for each in found if each.id > after and (not before or each.id < before)]
    taken = wanted[-limit:] if before else wanted[:limit]
    return pb.ListProjectRateLimitsResponse(rate_limits=taken, has_more=len(wanted) > limit)


async def update_project_rate_limit(
    call: Call, request: pb.UpdateProjectRateLimitRequest
) -> pb.UpdateProjectRateLimitResponse:
    """See rate_limits.proto."""
    project_id, model = request.project_id, _model(request.rate_limit_id)
    await call.project(project_id, active=True)
    own = await _of_project(call, project_id)
    # A model that gets numbers of its own begins with those that bound it before.
    new = _changed(chosen(own, model), request, request.HasField("batch_day_max_input_tokens"))
    await call.run(_PUT_PROJECT, project_id, model, *_values(new))
    await _log_update(call, request.rate_limit_id, project_id, new, request.update_mask.paths)
    answer = _of_model({model: new}, await _of_organization(call), model)
    return pb.UpdateProjectRateLimitResponse(rate_limit=answer)


async def delete_project_rate_limit(
    call: Call, request: pb.DeleteProjectRateLimitRequest
) -> pb.DeleteProjectRateLimitResponse:
    """See rate_limits.proto."""
    model = _model(request.rate_limit_id)
    await call.project(request.project_id)
    if await call.run(_DROP_PROJECT, request.project_id, model):
        await call.log("rate_limit.deleted", request.rate_limit_id, project_id=request.project_id)
    return pb.DeleteProjectRateLimitResponse()


async def list_organization_rate_limits(
    call: Call, request: pb.ListOrganizationRateLimitsRequest
) -> pb.ListOrganizationRateLimitsResponse:
    """See rate_limits.proto."""
    await call.move_to(request.organization_id)
    table = await _of_organization(call)
    found = [_message("organization", model, table[model], inherited=False) for model in sorted(table)]
    return pb.ListOrganizationRateLimitsResponse(rate_limits=found)


async def update_organization_rate_limit(
    call: Call, request: pb.UpdateOrganizationRateLimitRequest
) -> pb.UpdateOrganizationRateLimitResponse:
    """See rate_limits.proto."""
    model = _model(request.rate_limit_id)
    await call.move_to(request.organization_id)
    new = _changed(chosen(await _of_organization(call), model), request, request.HasField("batch_day_max_input_tokens"))
    await call.run(_PUT_ORGANIZATION, model, *_values(new))
    await _log_update(call, request.rate_limit_id, None, new, request.update_mask.paths)
    return pb.UpdateOrganizationRateLimitResponse(rate_limit=_message("organization", model, new, inherited=False))


async def delete_organization_rate_limit(
    call: Call, request: pb.DeleteOrganizationRateLimitRequest
) -> pb.DeleteOrganizationRateLimitResponse:
    """See rate_limits.proto."""
    model = _model(request.rate_limit_id)
    await call.move_to(request.organization_id)
    if await call.run(_DROP_ORGANIZATION, model):
        await call.log("rate_limit.deleted", request.rate_limit_id)
    return pb.DeleteOrganizationRateLimitResponse()


async def _of_project(call: Call, project_id: str) -> Table:
    return {row["model"]: numbers(dict(row)) for row in await call.rows(_PROJECT, project_id)}


async def _of_organization(call: Call) -> Table:
    own = {row["model"]: numbers(dict(row)) for row in await call.rows(_ORGANIZATION)}
    return of_organization(tier(await call.value(_TIER)), own)


def _of_model(own: Table, organization: Table, model: str) -> pb.ModelRateLimit:
    """Tell a project's numbers for a model; where it has none, its organisation's bind it."""
    held = chosen(own, model).or_else(chosen(organization, model))
    return _message("project", model, held, inherited=model not in own and EACH_MODEL not in own)


def _model(rate_limit_id: str) -> str:
    if not rate_limit_id.startswith(PREFIX):
        raise fields.invalid("rate_limit_id", f'must begin with "{PREFIX}"')
    model = rate_limit_id.removeprefix(PREFIX)
    return fields.models("rate_limit_id", [model], 1)[0] if model else EACH_MODEL


def _changed(held: Numbers, request: Change, has_batch: bool) -> Numbers:
    paths: Sequence[str] = request.update_mask.paths
    if not paths or not set(paths) <= set(COLUMNS):
        raise fields.invalid("update_mask", "must name numbers of a limit")
    given = numbers_of(request.limit, request.batch_day_max_input_tokens if has_batch else None)
    return fields.amounts("limit", replace(held, **{path: getattr(given, path) for path in paths}))


def _values(limit: Numbers) -> list[object]:
    return [getattr(limit, name) for name in COLUMNS]


async def _log_update(
    call: Call, rate_limit_id: str, project_id: str | None, new: Numbers, paths: Sequence[str]
) -> None:
    changes = {_OPENAI.get(path, path): getattr(new, path) for path in paths}
    await call.log("rate_limit.updated", rate_limit_id, project_id=project_id, changes_requested=changes)


def _message(scope: Scope, model: str, limit: Numbers, *, inherited: bool) -> pb.ModelRateLimit:
    return pb.ModelRateLimit(
        id=f"{PREFIX}{model}",
        limit=rate_limit(Limit(scope, model, limit)),
        batch_day_max_input_tokens=limit.batch_day_max_input_tokens,
        inherited=inherited,
    )
