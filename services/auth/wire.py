"""Values of this service as messages, and back: what both of its servicers say."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from capstan.auth.v1 import auth_pb2
from services.auth.cache import FRESH_S
from services.auth.limits import FailureMode, Limit, Numbers, Scope
from services.auth.principals import Kind, Policy, Principal

POLICIES: dict[Policy, auth_pb2.ModerationPolicy.ValueType] = {
    "off": auth_pb2.MODERATION_POLICY_OFF,
    "advisory": auth_pb2.MODERATION_POLICY_ADVISORY,
    "required": auth_pb2.MODERATION_POLICY_REQUIRED,
}
SCOPES: dict[Scope, auth_pb2.LimitScope.ValueType] = {
    "key": auth_pb2.LIMIT_SCOPE_KEY,
    "project": auth_pb2.LIMIT_SCOPE_PROJECT,
    "organization": auth_pb2.LIMIT_SCOPE_ORGANIZATION,
}
KINDS: dict[Kind, auth_pb2.KeyKind.ValueType] = {
    "user": auth_pb2.KEY_KIND_PROJECT_USER,
    "service_account": auth_pb2.KEY_KIND_SERVICE_ACCOUNT,
    "admin": auth_pb2.KEY_KIND_ADMIN,
}
FAILURE_MODES: dict[FailureMode, auth_pb2.LimitFailureMode.ValueType] = {
    "open": auth_pb2.LIMIT_FAILURE_MODE_OPEN,
    "local": auth_pb2.LIMIT_FAILURE_MODE_LOCAL,
    "closed": auth_pb2.LIMIT_FAILURE_MODE_CLOSED,
}


def timestamp(instant: datetime | None) -> Timestamp | None:
    """Turn an instant into a message; None (a field that is not set) into None."""
    if instant is None:
        return None
    made = Timestamp()
    made.FromDatetime(instant)
    return made


def instant(message: Timestamp) -> datetime:
    """Turn a message into an instant. Raises `ValueError` when it is out of the years that there are."""
    return message.ToDatetime(UTC)


def rate_limit(limit: Limit) -> auth_pb2.RateLimit:
    """Turn a limit into a message."""
    numbers = limit.numbers
    return auth_pb2.RateLimit(
        scope=SCOPES[limit.scope],
        model=limit.model,
        requests_per_minute=numbers.requests_per_minute,
        tokens_per_minute=numbers.tokens_per_minute,
        requests_per_day=numbers.requests_per_day,
        tokens_per_day=numbers.tokens_per_day,
        concurrent_requests=numbers.concurrent_requests,
        shadow=numbers.shadow,
        failure_mode=FAILURE_MODES[numbers.failure_mode],
        burst_percent=numbers.burst_percent,
        count_rejected=numbers.count_rejected,
    )


def numbers_of(message: auth_pb2.RateLimit, batch_day_max_input_tokens: int | None = None) -> Numbers:
    """Turn a message into numbers; what it leaves unset is not limited, or as its comment says."""

    def given(name: str) -> int | None:
        return getattr(message, name) if message.HasField(name) else None  # type: ignore[arg-type] # a field's name

    modes = {value: name for name, value in FAILURE_MODES.items()}
    return Numbers(
        requests_per_minute=given("requests_per_minute"),
        tokens_per_minute=given("tokens_per_minute"),
        requests_per_day=given("requests_per_day"),
        tokens_per_day=given("tokens_per_day"),
        concurrent_requests=given("concurrent_requests"),
        batch_day_max_input_tokens=batch_day_max_input_tokens,
        shadow=message.shadow,
        failure_mode=modes.get(message.failure_mode, "local"),
        burst_percent=message.burst_percent or 100,
        count_rejected=message.count_rejected if message.HasField("count_rejected") else True,
    )


def principal(value: Principal) -> auth_pb2.Principal:
    """Turn a principal into the message that gateways get."""
    row = value.row
    return auth_pb2.Principal(
        organization_id=row.organization_id,
        project_id=row.project_id,
        key_id=row.id,
        owner_id=row.owner_id,
        scopes=value.scopes,
        allowed_models=value.allowed_models,
        denied_models=value.denied_models,
        allowed_ips=row.allowed_ips,
        moderation_policy=POLICIES[row.moderation_policy],
        rate_limits=map(rate_limit, value.limits),
        expire_time=timestamp(row.expires_at),
        cache_ttl=Duration(seconds=int(FRESH_S)),
        kind=KINDS[row.kind],
        role=row.owner_role,
        operator=row.operator,
    )
