"""What an administrator sets holds for the next requests on the public port, without a restart of anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.contract.administration import administrator, fresh, new_user, own, service_key
from tests.contract.suite import Answer, Suite, until
from tools.local.roster import EMBEDDING_NAME

QUESTION = {"model": "capstan-demo", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
REVOKED_S = 1.0
"""How soon a revocation holds while auth is up."""


@pytest.fixture
def client(suite: Suite) -> Iterator[OpenAI]:
    with administrator(suite, suite.stack.admin_key) as made:
        yield made


@pytest.fixture
def project_id(client: OpenAI) -> str:
    return client.admin.organization.projects.create(name=fresh("Project")).id


def asked(suite: Suite, key: str, method: str = "GET", path: str = "/v1/models", **options: Any) -> Answer:
    return suite.request(method, path, None, key=key, **options)


def new_key(suite: Suite, project_id: str, **restrictions: Any) -> Any:
    body = {"name": fresh("key")} | restrictions
    return own(suite, "POST", f"organization/projects/{project_id}/api_keys", body)


def test_a_new_service_accounts_key_works_and_says_whose_it_is(suite: Suite, client: OpenAI, project_id: str) -> None:
    answer = asked(suite, service_key(client, project_id))
    assert (answer.status, answer.headers["openai-project"]) == (200, project_id)


def test_a_revoked_key_is_refused_within_a_second(suite: Suite, client: OpenAI, project_id: str) -> None:
    key = new_key(suite, project_id)
    assert asked(suite, key["value"]).status == 200
    client.admin.organization.projects.api_keys.delete(key["id"], project_id=project_id)
    begin = time.monotonic()
    until(lambda: asked(suite, key["value"]).status == 401, patience_s=REVOKED_S)
    assert time.monotonic() - begin < REVOKED_S


def test_the_keys_of_an_archived_project_are_refused(suite: Suite, client: OpenAI, project_id: str) -> None:
    key = service_key(client, project_id)
    assert asked(suite, key).status == 200
    client.admin.organization.projects.archive(project_id)
    until(lambda: asked(suite, key).status == 401)
    assert "archived" in asked(suite, key).error["message"]


def test_the_keys_of_a_deleted_service_account_are_refused(suite: Suite, client: OpenAI, project_id: str) -> None:
    accounts = client.admin.organization.projects.service_accounts
    made = accounts.create(project_id, name="robot")
    assert made.api_key is not None
    key = made.api_key.value
    assert asked(suite, key).status == 200
    accounts.delete(made.id, project_id=project_id)
    until(lambda: asked(suite, key).status == 401)


def test_a_rotated_key_goes_on_for_its_overlap_and_one_without_does_not(
    suite: Suite, client: OpenAI, project_id: str
) -> None:
    first = new_key(suite, project_id, scopes=["api.model.read"])
    path = f"organization/projects/{project_id}/api_keys"
    second = own(suite, "POST", f"{path}/{first['id']}/rotate", {"overlap_seconds": 600})
    assert second["scopes"] == ["api.model.read"]
    assert asked(suite, first["value"]).status == asked(suite, second["value"]).status == 200
    third = own(suite, "POST", f"{path}/{second['id']}/rotate", {})
    until(lambda: asked(suite, second["value"]).status == 401)
    assert asked(suite, first["value"]).status == asked(suite, third["value"]).status == 200


@pytest.mark.parametrize(
    ("scopes", "allowed", "refused", "lacks"),
    [
        (["api.model.read"], ("GET", "/v1/models"), ("POST", "/v1/chat/completions"), "model.request"),
        (["api.all.read"], ("GET", "/v1/chat/completions"), ("POST", "/v1/responses"), "api.responses.write"),
        (["model.request"], ("POST", "/v1/moderations"), ("GET", "/v1/models"), "api.model.read"),
    ],
)
def test_a_restricted_key_is_told_which_scope_it_lacks(
    suite: Suite, project_id: str, scopes: list[str], allowed: tuple[str, str], refused: tuple[str, str], lacks: str
) -> None:
    key = new_key(suite, project_id, scopes=scopes)["value"]
    assert asked(suite, key, *allowed).status != 403
    answer = asked(suite, key, *refused)
    assert (answer.status, answer.error["code"]) == (403, None)
    assert f"Missing scopes: {lacks}." in answer.error["message"]


def test_a_key_works_only_from_its_networks(suite: Suite, project_id: str) -> None:
    elsewhere = new_key(suite, project_id, allowed_ips=["192.0.2.0/24"])["value"]
    answer = asked(suite, elsewhere, headers={"x-forwarded-for": "192.0.2.1"})
    assert (answer.status, answer.error["code"]) == (403, "ip_not_authorized")
    here = new_key(suite, project_id, allowed_ips=["127.0.0.0/8"])["value"]
    assert asked(suite, here).status == 200


def test_a_key_that_has_expired_is_refused(suite: Suite, project_id: str) -> None:
    key = new_key(suite, project_id, expires_in_seconds=1)["value"]
    until(lambda: asked(suite, key).status == 401)


@pytest.mark.parametrize("mode", ["allow_list", "deny_list"])
def test_models_are_allowed_or_denied_for_a_project(suite: Suite, client: OpenAI, project_id: str, mode: Any) -> None:
    key = service_key(client, project_id)
    models = ["capstan-demo"] if mode == "allow_list" else [EMBEDDING_NAME]
    client.admin.organization.projects.model_permissions.update(project_id, mode=mode, model_ids=models)
    until(lambda: suite.post("/v1/embeddings", {"model": EMBEDDING_NAME, "input": "x"}, key=key).status == 403)
    assert suite.post("/v1/chat/completions", QUESTION, key=key).status == 200
    assert EMBEDDING_NAME.encode() not in asked(suite, key).body


def test_a_keys_own_models_restrict_it_further(suite: Suite, project_id: str) -> None:
    key = new_key(suite, project_id, allowed_models=[EMBEDDING_NAME])["value"]
    assert suite.post("/v1/chat/completions", QUESTION, key=key).status == 403
    assert suite.post("/v1/embeddings", {"model": EMBEDDING_NAME, "input": "x"}, key=key).status == 200


def test_a_rate_limit_holds_for_the_next_request_and_can_be_lifted(
    suite: Suite, client: OpenAI, project_id: str
) -> None:
    key, limits = service_key(client, project_id), client.admin.organization.projects.rate_limits

    def told() -> str | None:
        answer = suite.post("/v1/chat/completions", QUESTION, key=key)
        return answer.headers.get("x-ratelimit-limit-requests")

    before = {limit.model: limit.max_requests_per_1_minute for limit in limits.list_rate_limits(project_id)}
    limits.update_rate_limit("rl-capstan-demo", project_id=project_id, max_requests_per_1_minute=7)
    until(lambda: told() == "7")
    lifted = limits.update_rate_limit("rl-capstan-demo", project_id=project_id, max_requests_per_1_minute=2**53 - 1)
    assert lifted.max_requests_per_1_minute == before["capstan-demo"]  # the organisation's own goes on
    until(lambda: told() != "7")
    own(suite, "DELETE", f"organization/projects/{project_id}/rate_limits/rl-capstan-demo")
    inherited = {limit.model: limit.model_extra["inherited"] for limit in limits.list_rate_limits(project_id)}
    assert inherited["capstan-demo"] is True


def test_a_projects_moderation_policy_is_set_by_its_own_field(suite: Suite, project_id: str) -> None:
    changed = own(suite, "POST", f"organization/projects/{project_id}", {"moderation_policy": "required"})
    assert changed["moderation_policy"] == "required"


def test_a_disabled_users_keys_do_not_work(suite: Suite, client: OpenAI, project_id: str) -> None:
    user = new_user(suite, client)
    client.admin.organization.projects.users.create(project_id, user_id=user["id"], role="member")
    key = new_key(suite, project_id, user_id=user["id"])["value"]
    assert asked(suite, key).status == 200
    own(suite, "POST", f"organization/users/{user['id']}", {"disabled": True})
    until(lambda: asked(suite, key).status == 401)
    own(suite, "POST", f"organization/users/{user['id']}", {"disabled": False})
    until(lambda: asked(suite, key).status == 200)


def test_an_admin_key_that_only_looks_changes_nothing(suite: Suite) -> None:
    made = own(suite, "POST", "organization/admin_api_keys", {"name": "viewer", "scopes": ["api.projects.read"]})
    with administrator(suite, made["value"]) as viewer:
        assert viewer.admin.organization.projects.list().data
        with pytest.raises(openai.PermissionDeniedError) as refusal:
            viewer.admin.organization.projects.create(name="Mine")
        with pytest.raises(openai.PermissionDeniedError):
            viewer.admin.organization.users.list()
    assert "api.projects.write" in refusal.value.message


def test_admin_keys_and_project_keys_open_only_their_own_doors(suite: Suite) -> None:
    admin, project = suite.stack.admin_key, suite.stack.api_key
    assert asked(suite, admin).status == 403
    assert asked(suite, project, path="/v1/organization/projects", admin=True).status == 403
    assert asked(suite, project, path="/v1/organization/projects").error["code"] == "unknown_url"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"openai-organization": "org-other"}, "mismatched_organization"),
        ({"openai-project": "proj_other"}, "mismatched_project"),
    ],
)
def test_the_headers_that_name_a_tenant_must_name_the_keys(suite: Suite, headers: dict[str, str], code: str) -> None:
    answer = suite.get("/v1/models", headers=headers)
    assert (answer.status, answer.error["code"]) == (401, code)
    own_headers = {name: suite.get("/v1/models").headers[name] for name in headers}
    assert suite.get("/v1/models", headers=own_headers).status == 200
