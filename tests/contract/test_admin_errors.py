"""How the admin API refuses, row by row."""

from __future__ import annotations

import json

import pytest

from tests.contract.admin_error_rows import ROWS, Row
from tests.contract.administration import fresh, new_tenant, own
from tests.contract.suite import Suite
from tests.openai_document import check

INVALID = "invalid_request_error"


@pytest.fixture(scope="module")
def project_id(suite: Suite) -> str:
    project: str = own(suite, "POST", "organization/projects", {"name": fresh("Project")})["id"]
    return project


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path} {str(row.body)[:40]}")
def test_a_refusal_of_the_admin_api_has_these_words(suite: Suite, project_id: str, row: Row) -> None:
    path = row.path.replace("{project}", project_id)
    body = None if row.body is None else json.dumps(row.body).encode()
    answer = suite.request(row.method, path, body, admin=True)
    told = answer.error
    assert (answer.status, told["type"], told["param"]) == (row.status, INVALID, row.param), told
    assert row.code is None or told["code"] == row.code, told
    assert row.message is None or told["message"] == row.message
    assert answer.headers["x-request-id"].startswith("req_")
    check("ErrorResponse", json.loads(answer.body))


def test_a_name_that_is_taken_is_a_conflict_that_need_not_be_tried_again(suite: Suite) -> None:
    body = {"role_name": fresh("Auditor"), "permissions": ["api.projects.read"]}
    own(suite, "POST", "organization/roles", body)
    answer = suite.request("POST", "/v1/organization/roles", json.dumps(body).encode(), admin=True)
    assert (answer.status, answer.headers["x-should-retry"]) == (409, "false")


def test_the_last_owner_cannot_take_away_their_own_role(suite: Suite) -> None:
    tenant = new_tenant(suite)
    (owner,) = own(suite, "GET", "organization/users", key=tenant.admin_key)["data"]
    path = f"/v1/organization/users/{owner['id']}"
    for method, body in (("POST", b'{"role": "reader"}'), ("DELETE", None)):
        answer = suite.request(method, path, body, key=tenant.admin_key, admin=True)
        assert 400 <= answer.status < 500, answer
    assert own(suite, "GET", f"organization/users/{owner['id']}", key=tenant.admin_key)["role"] == "owner"
