"""The admin API's own listener: who gets in, and that it is as well guarded as the public one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from capstan.auth.v1 import actor_pb2, admin_pb2_grpc, auth_pb2
from chassis import keys
from chassis.errors import CapstanError, Reason
from chassis.testing import running
from services.gateway.app import build
from tests.integration.gateway.client import Client, error
from tests.integration.gateway.scripted import KEY, STRANGER, Peers, peers, settings
from tests.integration.gateway.scripted_admin import ADMIN_KEY, Admin, TwoKeys

PROJECTS = "/v1/organization/projects"
INVALID = "invalid_request_error"


@pytest.fixture
def admin() -> Admin:
    return Admin()


@pytest.fixture
def keys_of_auth() -> TwoKeys:
    return TwoKeys()


@asynccontextmanager
async def both(
    folder: Path, admin: Admin, auth: TwoKeys, **changes: Any
) -> AsyncIterator[tuple[Client, Client, Peers]]:
    beside = {"auth": [(admin, admin_pb2_grpc.add_AdminServiceServicer_to_server)]}
    async with peers(folder, auth=auth, beside=beside) as made:
        listening = settings(made, admin_listen=f"unix:{folder}/admin.sock", **changes)
        async with running("gateway", build, listening):
            yield Client(folder / "admin.sock", ADMIN_KEY), Client(folder / "http.sock", KEY), made


@pytest.fixture
async def doors(tmp_path: Path, admin: Admin, keys_of_auth: TwoKeys) -> AsyncIterator[tuple[Client, Client, Peers]]:
    async with both(tmp_path, admin, keys_of_auth) as made:
        yield made


@pytest.fixture
def office(doors: tuple[Client, Client, Peers]) -> Client:
    return doors[0]


@pytest.fixture
def public(doors: tuple[Client, Client, Peers]) -> Client:
    return doors[1]


async def test_an_admin_key_makes_a_project_and_finds_it_in_the_list(office: Client, admin: Admin) -> None:
    answer = await office.post(PROJECTS, {"name": "Apollo"})
    assert answer.status == 200
    assert answer.json() == {
        "id": "proj_0",
        "object": "organization.project",
        "name": "Apollo",
        "created_at": 1_700_000_000,
        "archived_at": None,
        "status": "active",
        "moderation_policy": "off",
    }
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["openai-organization"] == "org-1"
    assert "openai-project" not in answer.headers
    page = (await office.get(f"{PROJECTS}?limit=5&after=proj_x")).json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("proj_0", "proj_0", False)
    assert admin.pages == [actor_pb2.Page(limit=5, after="proj_x")]


async def test_auth_is_told_who_asks(office: Client, admin: Admin) -> None:
    answer = await office.get(PROJECTS)
    assert admin.actors == [
        actor_pb2.Actor(organization_id="org-1", key_id="key_admin", request_id=answer.headers["x-request-id"])
    ]


async def test_a_projects_key_opens_nothing_here(office: Client, admin: Admin) -> None:
    answer = await office.get(PROJECTS, key=KEY)
    assert error(answer) == (403, INVALID, None, None)
    assert "Missing scopes: api.management.read" in answer.json()["error"]["message"]
    assert admin.actors == []


async def test_an_admin_key_opens_nothing_on_the_public_port(public: Client) -> None:
    for path in ("/v1/models", "/v1/chat/completions"):
        answer = await public.get(path, key=ADMIN_KEY)
        assert error(answer) == (403, INVALID, None, None)


async def test_the_public_port_does_not_serve_the_administration(public: Client, admin: Admin) -> None:
    for key in (KEY, ADMIN_KEY):
        answer = await public.get(PROJECTS, key=key)
        assert error(answer) == (404, INVALID, None, "unknown_url")
        assert "admin key" in answer.json()["error"]["message"]
    assert admin.actors == []


async def test_without_a_good_key_there_is_a_401(office: Client) -> None:
    for key in ("", STRANGER, "sk-admin-nonsense"):
        assert error(await office.get(PROJECTS, key=key))[0] == 401, key


async def test_another_organisations_header_is_refused(office: Client) -> None:
    answer = await office.get(PROJECTS, headers={"openai-organization": "org-2"})
    assert error(answer) == (401, INVALID, None, "mismatched_organization")


BODIES = [
    (b"", 400, None, None),
    (b"[]", 400, None, None),
    (b'{"name": NaN}', 400, None, None),
    (b'{"name": "a", "name": "\\u0000"}', 400, None, None),
    (b"{}", 400, "name", "missing_required_parameter"),
    (b'{"name": 5}', 400, "name", "invalid_type"),
    (b'{"name": ""}', 400, "name", "empty_string"),
    (b'{"name": "' + b"x" * 101 + b'"}', 400, "name", "string_above_max_length"),
    (b'{"name": "a", "color": "red"}', 400, "color", "unknown_parameter"),
    (b'{"name": "a", "moderation_policy": "sometimes"}', 400, "moderation_policy", "invalid_value"),
    (b'{"name": "a", "external_key_id": "ek_1"}', 400, "external_key_id", "invalid_type"),
    (b'{"name": "' + b"x" * 2**18 + b'"}', 413, None, "request_too_large"),
]


async def test_a_body_is_read_as_strictly_as_elsewhere(office: Client, admin: Admin) -> None:
    for body, status, param, code in BODIES:
        answer = await office.post(PROJECTS, body, headers={"content-type": "application/json"})
        told = error(answer)
        assert (told[0], told[2]) == (status, param), (body[:80], answer.json())
        assert code is None or told[3] == code, (body[:80], answer.json())
    assert admin.projects == []


async def test_a_body_of_another_type_is_refused(office: Client) -> None:
    answer = await office.post(PROJECTS, b"name=a", headers={"content-type": "application/x-www-form-urlencoded"})
    assert error(answer) == (415, INVALID, None, "unsupported_content_type")


QUERIES = [
    ("limit=0", "integer_below_min_value"),
    ("limit=101", "integer_above_max_value"),
    ("limit=ten", "invalid_type"),
    ("limit=1.5", "invalid_type"),
    ("limit=" + "9" * 5000, "invalid_type"),
    ("include_archived=perhaps", "invalid_type"),
    ("after=" + "x" * 201, "string_above_max_length"),
]


async def test_a_query_is_judged_too(office: Client) -> None:
    for query, code in QUERIES:
        answer = await office.get(f"{PROJECTS}?{query}")
        assert error(answer) == (400, INVALID, query.partition("=")[0], code), query[:80]
    assert error(await office.get(f"{PROJECTS}?" + "a=1&" * 1000))[0] == 400


NOWHERE = [
    ("GET", f"{PROJECTS}/", 404, "unknown_url"),
    ("GET", "/v1/organisation", 404, "unknown_url"),
    ("GET", "/v1/models", 404, "unknown_url"),
    ("PUT", PROJECTS, 405, "method_not_supported"),
    ("GET", "/v1/organization/certificates", 404, "not_served"),
    ("POST", "/v1/organization/projects/proj_0/certificates/activate", 404, "not_served"),
    ("GET", "/v1/organization/usage/decisions", 404, "not_served"),
]


async def test_what_is_not_here_is_said_in_the_envelope(office: Client) -> None:
    for method, path, status, code in NOWHERE:
        answer = await office.request(method, path, b"")
        assert error(answer) == (status, INVALID, None, code), (method, path)
        assert status != 405 or answer.headers["allow"] == "GET, POST"


async def test_head_is_answered_without_a_body(office: Client) -> None:
    answer = await office.request("HEAD", PROJECTS, b"")
    assert (answer.status, answer.body) == (200, b"")


FAILURES = [
    (CapstanError(Reason.OBJECT_NOT_FOUND, object="project", id="proj_9"), (404, INVALID, "id", None)),
    (CapstanError(Reason.INVALID_ARGUMENT, param="name"), (400, INVALID, "name", "invalid_value")),
    (CapstanError(Reason.PERMISSION_DENIED, scope="api.management.write"), (403, INVALID, None, None)),
    (CapstanError(Reason.OBJECT_CONFLICT, object="project", id="a"), (409, INVALID, None, "already_exists")),
    (
        CapstanError(Reason.UNAVAILABLE, service="postgres"),
        (503, "service_unavailable_error", None, "auth_unavailable"),
    ),
    (CapstanError(Reason.INTERNAL, "secret words"), (500, "server_error", None, "internal_error")),
]


async def test_what_auth_refuses_is_put_in_openais_words(office: Client, admin: Admin) -> None:
    for failure, expected in FAILURES:
        admin.failure = failure
        answer = await office.post(PROJECTS, {"name": "a"})
        assert error(answer) == expected
        assert b"secret words" not in answer.body
        assert answer.headers["openai-organization"] == "org-1"


async def test_auth_away_is_a_503_with_a_time_to_come_back(doors: tuple[Client, Client, Peers], admin: Admin) -> None:
    office, _, made = doors
    assert (await office.get(PROJECTS)).status == 200
    await made.kill("auth")
    answer = await office.get(PROJECTS)
    assert error(answer)[0] == 503
    assert int(answer.headers["retry-after"]) >= 1


async def test_it_describes_itself(office: Client) -> None:
    document = (await office.get("/openapi.json", key="")).json()
    operation = document["paths"][PROJECTS]["post"]
    assert operation["operationId"] == "create-project"
    assert set(operation["responses"]) == {"200", "4XX", "5XX"}
    assert "HTTPValidationError" not in json.dumps(document)
    page = await office.get("/docs", key="")
    assert page.headers["content-type"] == "text/html; charset=utf-8"


async def test_nothing_listens_unless_told_to(tmp_path: Path) -> None:
    async with peers(tmp_path) as made, running("gateway", build, settings(made)):
        assert not (tmp_path / "admin.sock").exists()


async def test_a_key_for_other_addresses_is_refused_and_a_proxy_is_believed_as_far_as_it_is_trusted(
    tmp_path: Path, admin: Admin, keys_of_auth: TwoKeys
) -> None:
    keys_of_auth.admin.allowed_ips.append("10.0.0.0/8")
    async with both(tmp_path, admin, keys_of_auth, admin_trusted_proxy_hops=1) as (office, _, _made):
        inside = await office.get(PROJECTS, headers={"x-forwarded-for": "192.0.2.1, 10.1.2.3"})
        assert inside.status == 200
        assert admin.actors[-1].ip_address == "10.1.2.3"
        outside = await office.get(PROJECTS, headers={"x-forwarded-for": "10.1.2.3, 192.0.2.1"})
        assert error(outside) == (403, INVALID, None, "ip_not_authorized")
        assert error(await office.get(PROJECTS))[0] == 403


async def test_the_proxies_of_the_public_door_say_nothing_at_this_one(
    tmp_path: Path, admin: Admin, keys_of_auth: TwoKeys
) -> None:
    keys_of_auth.admin.allowed_ips.append("10.0.0.0/8")
    async with both(tmp_path, admin, keys_of_auth, trusted_proxy_hops=1) as (office, _, _made):
        claimed = await office.get(PROJECTS, headers={"x-forwarded-for": "10.1.2.3"})
        assert error(claimed) == (403, INVALID, None, "ip_not_authorized")


async def test_an_address_that_tries_many_keys_is_told_to_wait_and_a_good_key_from_there_is_not(
    tmp_path: Path, admin: Admin, keys_of_auth: TwoKeys
) -> None:
    said = {"x-forwarded-for": "192.0.2.1"}
    hops = {"trusted_proxy_hops": 1, "admin_trusted_proxy_hops": 1}
    async with both(tmp_path, admin, keys_of_auth, **hops, wrong_keys_per_minute=5) as (
        office,
        public,
        made,
    ):
        assert (await public.get("/v1/models", headers=said)).status == 200
        statuses = [(await public.get("/v1/models", key=STRANGER, headers=said)).status for _ in range(8)]
        assert statuses == [401] * 5 + [429] * 3
        refused = await office.get(PROJECTS, headers=said)
        assert error(refused) == (429, "requests", None, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 12
        assert (await public.get("/v1/models", headers=said)).status == 200
        assert (await public.get("/v1/models", key=STRANGER, headers={"x-forwarded-for": "192.0.2.2"})).status == 401
        assert sum(made.auth.lookups) <= 4  # what is known may be asked again when the watch begins


async def test_a_flood_of_different_junk_costs_auth_no_more_than_what_an_address_may_try(
    tmp_path: Path, admin: Admin, keys_of_auth: TwoKeys
) -> None:
    said = {"x-forwarded-for": "192.0.2.1"}
    junk = [keys.mint("proj", lambda count, number=number: number.to_bytes(count, "big")) for number in range(60)]
    async with both(tmp_path, admin, keys_of_auth, trusted_proxy_hops=1, wrong_keys_per_minute=10) as (_, public, made):
        answers = [await public.get("/v1/models", key=key, headers=said) for key in junk]
        assert [answer.status for answer in answers[:10]] == [401] * 10
        statuses = [answer.status for answer in answers]
        assert statuses.count(429) >= 40  # a key is due every six seconds
        assert sum(made.auth.lookups) == statuses.count(401)


async def test_a_key_with_few_scopes_is_told_which_it_lacks(
    tmp_path: Path, admin: Admin, keys_of_auth: TwoKeys
) -> None:
    keys_of_auth.principal = auth_pb2.Principal.FromString(keys_of_auth.principal.SerializeToString())
    keys_of_auth.principal.scopes[:] = ["api.model.read"]
    async with both(tmp_path, admin, keys_of_auth) as (_, public, _made):
        assert (await public.get("/v1/models")).status == 200
        answer = await public.post("/v1/chat/completions", {"model": "demo", "messages": []})
        assert error(answer) == (403, INVALID, None, None)
        assert "Missing scopes: model.request" in answer.json()["error"]["message"]
