"""Whatever route is asked, with whatever id of another tenant: it is not there."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from services.gateway.admin.app import openapi as admin_openapi
from services.gateway.docs import openapi
from tests.contract.administration import (
    Tenant,
    administrator,
    fresh,
    new_tenant,
    new_user,
    own,
    service_key,
)
from tests.contract.suite import Answer, Suite

LIMIT = {"threshold_amount": 1, "currency": "USD", "interval": "month"}
ALERT = LIMIT | {"notification_channel": {"type": "email", "recipients": ["thief@example.com"]}}

# The least that each operation reads as its body.
BODIES: dict[str, dict[str, Any]] = {
    "modify-project": {"name": "Stolen"},
    "update-project-model-permissions": {"mode": "deny_list", "model_ids": []},
    "create-project-user": {"role": "owner", "user_id": "{user_id}"},
    "modify-project-user": {"role": "owner"},
    "create-project-service-account": {"name": "robot"},
    "update-project-service-account": {"name": "robot"},
    "CreateanAPIkeyforaserviceaccount": {"name": "spare"},
    "create-project-api-key": {"name": "spare"},
    "update-project-api-key": {"scopes": []},
    "rotate-project-api-key": {},
    "update-project-rate-limits": {"max_requests_per_1_minute": 1},
    "add-project-group": {"group_id": "{group_id}", "role": "{role_id}"},
    "modify-user": {"role": "owner"},
    "accept-invite": {},
    "update-group": {"name": "Stolen"},
    "add-group-user": {"user_id": "{user_id}"},
    "update-role": {"description": "Stolen"},
    "create-project-role": {"role_name": "Stolen", "permissions": ["api.model.read"]},
    "update-project-role": {"description": "Stolen"},
    "assign-user-role": {"role_id": "{role_id}"},
    "assign-group-role": {"role_id": "{role_id}"},
    "assign-project-user-role": {"role_id": "{role_id}"},
    "assign-project-group-role": {"role_id": "{role_id}"},
    "modify-organization": {"name": "Stolen"},
    "update-organization-rate-limit": {"max_requests_per_1_minute": 1},
    "Updateprojectspendlimit": LIMIT,
    "create-project-spend-alert": ALERT,
    "update-project-spend-alert": ALERT,
    "update-organization-spend-alert": ALERT,
}


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str

    @property
    def names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)


ADMIN = [
    Operation(operation["operationId"], method.upper(), path)
    for path, methods in admin_openapi("")["paths"].items()
    for method, operation in methods.items()
    if "{" in path.replace("{period}", "")  # a month is nobody's
]
PUBLIC = [
    Operation(operation["operationId"], method.upper(), path)
    for path, methods in openapi("")["paths"].items()
    for method, operation in methods.items()
    if "{" in path and "{model}" not in path
]


def objects(suite: Suite, tenant: Tenant) -> dict[str, str]:
    """Make one object of each kind in an organisation; answers their ids by the names that paths give them."""
    with administrator(suite, tenant.admin_key) as client:
        organization, project_id = client.admin.organization, tenant.project_id
        user = new_user(suite, client, key=tenant.admin_key)
        account = organization.projects.service_accounts.create(project_id, name="robot")
        group = organization.groups.create(name=fresh("Crew"))
        role = organization.roles.create(role_name=fresh("Auditor"), permissions=["api.management.read"])
        organization.projects.users.create(project_id, user_id=user["id"], role="member")
        organization.groups.users.create(group.id, user_id=user["id"])
        organization.users.roles.create(user["id"], role_id=role.id)
        key = own(suite, "POST", f"organization/projects/{project_id}/api_keys", {"name": "mine"}, tenant.admin_key)
        return {
            "organization_id": tenant.id,
            "project_id": project_id,
            "user_id": user["id"],
            "service_account_id": account.id,
            "group_id": group.id,
            "role_id": role.id,
            "api_key_id": key["id"],
            "key_id": organization.admin_api_keys.create(name="spare").id,
            "invite_id": organization.invites.create(
                email=f"{fresh('i').replace(' ', '')}@example.com", role="reader"
            ).id,
            "rate_limit_id": "rl-capstan-demo",
            "alert_id": own(suite, "POST", f"organization/projects/{project_id}/spend_alerts", ALERT, tenant.admin_key)[
                "id"
            ],
        }


@dataclass(frozen=True)
class Case:
    victim: Tenant
    theirs: dict[str, str]
    attacker: Tenant
    mine: dict[str, str]


@pytest.fixture(scope="module")
def case(suite: Suite) -> Case:
    victim, attacker = new_tenant(suite), new_tenant(suite)
    return Case(victim, objects(suite, victim), attacker, objects(suite, attacker))


def snapshot(suite: Suite, tenant: Tenant) -> list[str]:
    """All that an organisation has, as its owner sees it; but for when keys were last used, the owner's among them."""
    project = f"organization/projects/{tenant.project_id}"
    lists = ("organization/projects", "organization/users", "organization/invites", "organization/groups")
    more = ("organization/roles", "organization/admin_api_keys", f"{project}/users", f"{project}/service_accounts")
    money = ("organization/spend_alerts", f"{project}/spend_alerts")
    last = (f"{project}/api_keys", f"{project}/rate_limits", f"{project}/model_permissions", f"{project}/groups")
    found = [own(suite, "GET", path, key=tenant.admin_key) for path in lists + more + money + last]
    found.append(own(suite, "GET", f"projects/{tenant.project_id}/roles", key=tenant.admin_key))
    return [re.sub(r'"(api_key_)?last_used_at": (null|\d+)', "", json.dumps(each)) for each in found]


def filled(text: str, ids: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda match: ids.get(match[1], match[0]), text)


def attempts(operation: Operation, case: Case) -> Iterator[tuple[str, bytes | None]]:
    """Yield requests in which at least one id is the victim's, and the rest the attacker's own."""
    for whose in itertools.product((True, False), repeat=len(operation.names)):
        stolen = {name for name, is_theirs in zip(operation.names, whose, strict=True) if is_theirs}
        if not stolen - {"rate_limit_id"}:
            continue
        ids = {name: (case.theirs if name in stolen else case.mine)[name] for name in operation.names}
        body = BODIES.get(operation.id)
        yield filled(operation.path, ids), None if body is None else filled(json.dumps(body), case.mine).encode()


def refused(answer: Answer, case: Case, *, operators: bool = False) -> None:
    """Fail unless the answer is a 404; the operator's routes may say 403, which they say to any id."""
    assert answer.status == 404 or (operators and answer.status == 403), answer
    for value in case.theirs.values():
        if value.startswith(("rl-", "org-", "proj_")):
            continue
        assert answer.body.count(value.encode()) <= 1, answer  # the id that was asked for, and nothing else


@pytest.mark.parametrize("operation", ADMIN, ids=lambda operation: operation.id)
def test_an_admin_route_does_not_know_another_tenants_ids(suite: Suite, case: Case, operation: Operation) -> None:
    tried = 0
    for path, body in attempts(operation, case):
        answer = suite.request(operation.method, path, body, key=case.attacker.admin_key, admin=True)
        refused(answer, case, operators="organization_id" in operation.names)
        tried += 1
    assert tried


def test_no_admin_route_is_open_to_whoever_has_no_admin_key(suite: Suite, case: Case) -> None:
    for path, methods in admin_openapi("")["paths"].items():
        for method in methods:
            answer = suite.request(method.upper(), filled(path, case.mine), b"{}", key=suite.stack.api_key, admin=True)
            assert answer.status == 403, (method, path, answer)
            assert "Missing scopes" in answer.error["message"]
    assert suite.request("GET", "/v1/organization/projects", None, key="sk-admin-none", admin=True).status == 401


BODY_IDS = [
    ("create-project-user", {"role": "owner", "user_id": "{user_id}"}),
    ("add-project-group", {"group_id": "{group_id}", "role": "{own_role}"}),
    ("add-project-group", {"group_id": "{own_group}", "role": "{role_id}"}),
    ("add-group-user", {"user_id": "{user_id}"}),
    ("assign-user-role", {"role_id": "{role_id}"}),
    ("assign-group-role", {"role_id": "{role_id}"}),
    ("create-project-api-key", {"name": "stolen", "user_id": "{user_id}"}),
]


@pytest.mark.parametrize(("operation_id", "body"), BODY_IDS)
def test_nor_do_ids_of_another_tenant_work_in_a_body(
    suite: Suite, case: Case, operation_id: str, body: dict[str, Any]
) -> None:
    operation = next(each for each in ADMIN if each.id == operation_id)
    ids = case.theirs | {"own_role": case.mine["role_id"], "own_group": case.mine["group_id"]}
    raw = filled(json.dumps(body), ids).encode()
    path = filled(operation.path, case.mine)
    refused(suite.request(operation.method, path, raw, key=case.attacker.admin_key, admin=True), case)


def test_an_invite_into_another_tenants_project_is_refused(suite: Suite, case: Case) -> None:
    projects = [{"id": case.victim.project_id, "role": "owner"}]
    wish = {"email": "thief@example.com", "role": "owner", "projects": projects}
    raw = json.dumps(wish).encode()
    key = case.attacker.admin_key
    assert suite.request("POST", "/v1/organization/invites", raw, key=key, admin=True).status == 404


def test_lists_hold_nothing_of_another_tenant_and_filters_find_nothing(suite: Suite, case: Case) -> None:
    told = json.dumps(snapshot(suite, case.attacker))
    for name, value in case.theirs.items():
        assert name == "rate_limit_id" or value not in told
    for query in (
        f"project_ids[]={case.victim.project_id}",
        f"resource_ids[]={case.theirs['api_key_id']}",
        f"actor_ids[]={case.theirs['user_id']}",
    ):
        found = own(suite, "GET", f"organization/audit_logs?{query}", key=case.attacker.admin_key)
        assert found["data"] == []


def test_the_operator_is_no_owner_of_everything(suite: Suite, case: Case) -> None:
    """Who may make organisations does not thereby see into them."""
    for operation in ADMIN:
        if operation.names and "organization_id" not in operation.names and operation.method == "GET":
            answer = suite.request("GET", filled(operation.path, case.theirs), None, admin=True)
            assert answer.status == 404, (operation, answer)


def test_nothing_of_it_has_changed_anything(suite: Suite, case: Case) -> None:
    before = snapshot(suite, case.victim)
    for operation in ADMIN:
        for path, body in attempts(operation, case):
            suite.request(operation.method, path, body, key=case.attacker.admin_key, admin=True)
    assert snapshot(suite, case.victim) == before


def test_what_a_tenant_keeps_is_not_there_for_another(suite: Suite, case: Case) -> None:
    with administrator(suite, case.victim.admin_key) as client:
        theirs = service_key(client, case.victim.project_id)
    with administrator(suite, case.attacker.admin_key) as client:
        mine = service_key(client, case.attacker.project_id)
    chat = {"model": "capstan-demo", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "store": True}
    kept = json.loads(suite.post("/v1/chat/completions", chat, key=theirs).body)["id"]
    asked = {"model": "capstan-demo", "input": "Hi", "max_output_tokens": 16}
    response = json.loads(suite.post("/v1/responses", asked, key=theirs).body)["id"]
    ids = {"completion_id": kept, "response_id": response}
    for operation in PUBLIC:
        assert set(operation.names) <= set(ids), operation
        path = filled(operation.path, ids)
        body = b'{"metadata": {"stolen": "yes"}}' if operation.method == "POST" else None
        answer = suite.request(operation.method, path, body, key=mine)
        assert answer.status == 404, (operation, answer)
        assert suite.request("GET", path.removesuffix("/cancel"), None, key=theirs).status == 200
    follow = asked | {"previous_response_id": response}
    assert suite.post("/v1/responses", follow, key=mine).error["code"] == "previous_response_not_found"
    listed = json.loads(suite.get("/v1/chat/completions", key=mine).body)
    assert listed["data"] == []
