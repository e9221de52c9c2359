"""The rows of `test_admin_errors`: one request each, and how it is refused. `{project}` is a project that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PROJECT = "/v1/organization/projects/{project}"
LIMIT = f"{PROJECT}/rate_limits/rl-capstan-demo"
KEYS = f"{PROJECT}/api_keys"
HARD = {"threshold_amount": 100, "currency": "USD", "interval": "month"}
MAIL = {"notification_channel": {"type": "email", "recipients": ["finance@example.com"]}}
SPEND_LIMIT, SPEND_ALERTS = "/v1/organization/spend_limit", f"{PROJECT}/spend_alerts"
USAGE, COSTS = "/v1/organization/usage", "/v1/organization/costs"
DENY_ONE = {"mode": "deny_list", "model_ids": [1]}


@dataclass(frozen=True)
class Row:
    """A request and its refusal."""

    method: str
    path: str
    body: Any
    status: int
    code: str | None
    param: str | None
    message: str | None = None
    """Whole; None: whatever it says."""


def missing(path: str, name: str, body: Any = None) -> Row:
    text = f"Missing required parameter: '{name}'."
    return Row("POST", path, body or {}, 400, "missing_required_parameter", name, text)


def gone(method: str, path: str, kind: str, object_id: str, body: Any = None) -> Row:
    return Row(method, path, body, 404, None, "id", f"No such {kind} object: {object_id}")


ROWS = [
    missing("/v1/organization/projects", "name"),
    missing(f"{PROJECT}/service_accounts", "name"),
    missing(KEYS, "name"),
    missing(f"{PROJECT}/users", "role"),
    missing(f"{PROJECT}/users", "user_id", {"role": "member"}),
    missing(f"{PROJECT}/model_permissions", "mode"),
    missing(f"{PROJECT}/groups", "group_id"),
    missing("/v1/organization/invites", "email"),
    missing("/v1/organization/groups", "name"),
    missing("/v1/organization/roles", "role_name"),
    missing("/v1/organization/admin_api_keys", "name"),
    missing("/v1/organizations", "name"),
    Row(
        "POST",
        f"{PROJECT}/users",
        {"role": "king", "user_id": "user-1"},
        400,
        "invalid_value",
        "role",
        "Invalid value: 'king'. Supported values are: 'owner' and 'member'.",
    ),
    Row("POST", f"{PROJECT}/model_permissions", {"mode": "x", "model_ids": []}, 400, "invalid_value", "mode"),
    Row(
        "POST",
        f"{PROJECT}/model_permissions",
        {"mode": "deny_list", "model_ids": [1]},
        400,
        "invalid_type",
        "model_ids[0]",
    ),
    Row("POST", f"{PROJECT}/model_permissions", {"mode": "allow_list", "model_ids": []}, 400, None, "model_ids"),
    Row("POST", LIMIT, {"max_requests_per_1_minute": -1}, 400, "integer_below_min_value", "max_requests_per_1_minute"),
    Row("POST", LIMIT, {"max_requests_per_1_minute": 1.5}, 400, "invalid_type", "max_requests_per_1_minute"),
    Row(
        "POST", LIMIT, {"max_requests_per_1_minute": 2**53}, 400, "integer_above_max_value", "max_requests_per_1_minute"
    ),
    Row("POST", LIMIT, {"max_images_per_1_minute": 5}, 400, "invalid_type", "max_images_per_1_minute"),
    Row("POST", LIMIT, {"burst_percent": 0}, 400, "integer_below_min_value", "burst_percent"),
    Row("POST", LIMIT, {"rpm": 5}, 400, "unknown_parameter", "rpm"),
    Row(
        "POST",
        KEYS,
        {"name": "a", "scopes": ["NO SUCH"]},
        400,
        "invalid_value",
        "scopes",
        "Invalid 'scopes': it must be \"*\" or at most 64 words like model.request.",
    ),
    Row("POST", KEYS, {"name": "a", "allowed_ips": ["300.1.1.1"]}, 400, None, "allowed_ips"),
    Row("POST", KEYS, {"name": "a", "expires_in_seconds": 0}, 400, "integer_below_min_value", "expires_in_seconds"),
    Row("POST", KEYS, {"name": "a", "expires_in_seconds": 10**9}, 400, "integer_above_max_value", "expires_in_seconds"),
    Row("POST", "/v1/organization/admin_api_keys", {"name": ""}, 400, "empty_string", "name"),
    Row("POST", "/v1/organization/invites", {"email": "nobody", "role": "reader"}, 400, None, "email"),
    Row("POST", "/v1/organization/invites", {"email": "a@b.c", "role": "member"}, 400, "invalid_value", "role"),
    Row("POST", "/v1/organization/roles", {"role_name": "a", "permissions": []}, 400, "empty_array", "permissions"),
    Row("POST", "/v1/organization/users/user-none", {"role_id": "role-1"}, 400, "invalid_type", "role_id"),
    gone("GET", "/v1/organization/projects/proj_none", "Project", "proj_none"),
    gone("POST", "/v1/organization/projects/proj_none", "Project", "proj_none", {"name": "a"}),
    gone("POST", "/v1/organization/projects/proj_none/archive", "Project", "proj_none"),
    gone("GET", "/v1/organization/projects/proj_none/api_keys", "Project", "proj_none"),
    gone("GET", "/v1/organization/projects/proj_none/rate_limits", "Project", "proj_none"),
    gone("GET", "/v1/organization/admin_api_keys/key_none", "Admin key", "key_none"),
    gone("DELETE", f"{KEYS}/key_none", "Key", "key_none"),
    gone("GET", "/v1/organization/users/user-none", "User", "user-none"),
    gone("GET", "/v1/organization/invites/invite-none", "Invite", "invite-none"),
    gone("GET", "/v1/organization/groups/group_none", "Group", "group_none"),
    gone("GET", "/v1/organization/roles/role-none", "Role", "role-none"),
    Row("GET", "/v1/organization/projects?limit=0", None, 400, "integer_below_min_value", "limit"),
    Row("GET", "/v1/organization/projects?limit=101", None, 400, "integer_above_max_value", "limit"),
    Row("GET", "/v1/organization/groups?limit=1001", None, 400, "integer_above_max_value", "limit"),
    Row("GET", "/v1/organization/groups?order=up", None, 400, "invalid_value", "order"),
    Row("GET", "/v1/organization/audit_logs?effective_at[gt]=soon", None, 400, "invalid_type", "effective_at[gt]"),
    Row("GET", f"{KEYS}?owner_project_access=perhaps", None, 400, "invalid_value", "owner_project_access"),
    missing(SPEND_LIMIT, "threshold_amount", {"currency": "USD", "interval": "month"}),
    Row("POST", SPEND_LIMIT, HARD | {"threshold_amount": 0}, 400, "integer_below_min_value", "threshold_amount"),
    Row("POST", SPEND_LIMIT, HARD | {"threshold_amount": 1.5}, 400, "invalid_type", "threshold_amount"),
    Row("POST", SPEND_LIMIT, HARD | {"threshold_amount": 10**9}, 400, "integer_above_max_value", "threshold_amount"),
    Row("POST", SPEND_LIMIT, HARD | {"currency": "EUR"}, 400, "invalid_value", "currency"),
    Row("POST", SPEND_LIMIT, HARD | {"interval": "day"}, 400, "invalid_value", "interval"),
    Row("POST", SPEND_LIMIT, HARD | {"soft": 1}, 400, "unknown_parameter", "soft"),
    gone("POST", "/v1/organization/projects/proj_none/spend_limit", "Project", "proj_none", HARD),
    gone("GET", "/v1/organization/projects/proj_none/spend_limit", "Project", "proj_none"),
    gone("GET", "/v1/organization/projects/proj_none/spend_alerts", "Project", "proj_none"),
    gone("GET", f"{SPEND_ALERTS}/alert_none", "Spend alert", "alert_none"),
    gone("POST", f"{SPEND_ALERTS}/alert_none", "Spend alert", "alert_none", HARD | MAIL),
    gone("DELETE", "/v1/organization/spend_alerts/alert_none", "Spend alert", "alert_none"),
    missing(SPEND_ALERTS, "notification_channel", HARD),
    missing(SPEND_ALERTS, "notification_channel.recipients", HARD | {"notification_channel": {"type": "email"}}),
    Row(
        "POST",
        SPEND_ALERTS,
        HARD | {"notification_channel": {"type": "sms", "recipients": []}},
        400,
        "invalid_value",
        "notification_channel.type",
    ),
    Row(
        "GET",
        f"{USAGE}/completions",
        None,
        400,
        "missing_required_parameter",
        "start_time",
        "Missing required parameter: 'start_time'.",
    ),
    Row("GET", f"{USAGE}/completions?start_time=soon", None, 400, "invalid_type", "start_time"),
    Row("GET", f"{USAGE}/completions?start_time=0&bucket_width=1w", None, 400, "invalid_value", "bucket_width"),
    Row("GET", f"{USAGE}/completions?start_time=0&limit=32", None, 400, "integer_above_max_value", "limit"),
    Row("GET", f"{USAGE}/completions?start_time=0&bucket_width=1h&limit=169", None, 400, None, "limit"),
    Row("GET", f"{USAGE}/completions?start_time=0&group_by[]=color", None, 400, "invalid_value", "group_by"),
    Row("GET", f"{USAGE}/embeddings?start_time=0&group_by=batch", None, 400, "invalid_value", "group_by"),
    Row("GET", f"{USAGE}/images?start_time=60&end_time=60", None, 400, None, "end_time"),
    Row("GET", f"{COSTS}?start_time=60&end_time=86400&page=page_1", None, 400, None, "page"),
    Row("GET", f"{COSTS}?start_time=0&limit=181", None, 400, "integer_above_max_value", "limit"),
    Row("GET", f"{COSTS}?start_time=0&bucket_width=1h", None, 400, None, "bucket_width"),
    Row("GET", f"{COSTS}?start_time=0", None, 400, None, "start_time"),
    Row("GET", "/v1/organization/invoices/2026-13", None, 400, None, "period"),
    Row("GET", "/v1/organization/invoices/2026-11?format=pdf", None, 400, "invalid_value", "format"),
    Row("GET", "/v1/organization/certificates", None, 404, "not_served", None),
    Row("GET", f"{PROJECT}/hosted_tool_permissions", None, 404, "not_served", None),
    Row("GET", "/v1/organization/external_keys/ek_1", None, 404, "not_served", None),
    Row("GET", "/v1/organization/data_retention", None, 404, "not_served", None),
    Row("GET", "/v1/organization/projects/", None, 404, "unknown_url", None),
    Row("PATCH", PROJECT, {}, 405, "method_not_supported", None),
]
