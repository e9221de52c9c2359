"""Kept answers through the gateway: a real jobs service on a real database, all else scripted."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from capstan.auth.v1 import auth_pb2
from chassis.testing import Running, running
from services.gateway.app import build as build_gateway
from services.jobs import commands
from services.jobs.app import build as build_jobs
from services.jobs.settings import Settings as JobsSettings
from tests import openai_document
from tests.integration.gateway.client import Answer, Client
from tests.integration.gateway.scripted import KEY, MODEL, Peers, principal, settings

ASK: dict[str, Any] = {"model": MODEL, "input": "Say hello"}
CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello"}], "store": True}


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> auth_pb2.Principal:
    """A project of the test's own, since tests of a module share a database."""
    made = principal()
    made.project_id = f"proj_{abs(hash(request.node.name))}"
    return made


@pytest.fixture
async def jobs(scripted: Peers, tenant: auth_pb2.Principal, postgres_dsn: str) -> AsyncIterator[Running]:
    scripted.auth.principal = tenant
    placed = JobsSettings(dsn=SecretStr(postgres_dsn), listen=scripted.address("jobs"))
    assert await commands.migrate(placed) == 0
    async with running("jobs", build_jobs, placed) as service:
        yield service


@pytest.fixture
def kept(jobs: Running, client: Client) -> Client:
    """A client of a gateway whose answers are kept."""
    return client


async def get(client: Client, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status == 200, answer.body
    return answer.json()


def told(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(frame.split("\ndata: ")[1]) for frame in answer.body.decode().split("\n\n")[:-1]]


async def test_a_response_is_kept_unless_it_must_not_be(kept: Client) -> None:
    answer = (await kept.post("/v1/responses", ASK | {"metadata": {"k": "v"}})).json()
    assert answer["store"]
    found = await get(kept, f"/v1/responses/{answer['id']}")
    assert found == answer
    openai_document.check("Response", found)
    fleeting = (await kept.post("/v1/responses", ASK | {"store": False})).json()
    gone = await kept.get(f"/v1/responses/{fleeting['id']}")
    assert (gone.status, gone.json()["error"]["param"]) == (404, "id")


async def test_a_streamed_response_is_kept_before_its_last_event(kept: Client) -> None:
    last = told(await kept.post("/v1/responses", ASK | {"stream": True}))[-1]["response"]
    assert await get(kept, f"/v1/responses/{last['id']}") == last


async def test_a_response_goes_on_from_another_without_its_instructions(kept: Client, scripted: Peers) -> None:
    scripted.inference.calls = ("weather",)
    tools = [{"type": "function", "name": "weather"}]
    first = (await kept.post("/v1/responses", ASK | {"instructions": "Rhyme.", "tools": tools})).json()
    scripted.inference.calls = ()
    result = {"type": "function_call_output", "call_id": "call_0", "output": "sun"}
    second = (await kept.post("/v1/responses", ASK | {"previous_response_id": first["id"], "input": [result]})).json()
    third = await kept.post("/v1/responses", ASK | {"previous_response_id": second["id"], "input": "Thanks"})
    assert third.status == 200
    assert third.json()["previous_response_id"] == second["id"]
    read = scripted.inference.started[-1].chat.messages
    assert [(message.role, message.content, len(message.tool_calls)) for message in read] == [
        ("user", "Say hello", 0),
        ("assistant", "Hello there!", 1),
        ("tool", "sun", 0),
        ("assistant", "Hello there!", 0),
        ("user", "Thanks", 0),
    ]


async def test_a_response_that_is_not_there_cannot_be_gone_on_from(kept: Client, scripted: Peers) -> None:
    for response_id in ("resp_nothing", "../x", "a\u0001b", "x" * 500):
        answer = await kept.post("/v1/responses", ASK | {"previous_response_id": response_id})
        error = answer.json()["error"]
        assert (answer.status, error["code"], error["param"]) == (
            400,
            "previous_response_not_found",
            "previous_response_id",
        )
    assert not scripted.inference.started


async def test_items_are_referred_to_by_their_ids(kept: Client, scripted: Peers) -> None:
    first = (await kept.post("/v1/responses", ASK)).json()
    items = (await get(kept, f"/v1/responses/{first['id']}/input_items"))["data"]
    references = [{"type": "item_reference", "id": items[0]["id"]}, {"id": first["output"][0]["id"]}]
    again = await kept.post("/v1/responses", ASK | {"input": [*references, {"role": "user", "content": "And?"}]})
    assert again.status == 200, again.body
    read = scripted.inference.started[-1].chat.messages
    assert [(message.role, message.content) for message in read] == [
        ("user", "Say hello"),
        ("assistant", "Hello there!"),
        ("user", "And?"),
    ]
    for unknown in ("msg_1", first["output"][0]["id"][:-1] + "9", "msg_" + "0" * 36):
        refused = await kept.post("/v1/responses", ASK | {"input": [{"type": "item_reference", "id": unknown}]})
        assert (refused.status, refused.json()["error"]["param"]) == (404, "input")


async def test_input_items_are_told_newest_first_and_in_pages(kept: Client) -> None:
    items = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "four"},
    ]
    response_id = (await kept.post("/v1/responses", ASK | {"input": items})).json()["id"]
    path = f"/v1/responses/{response_id}/input_items"
    page = await get(kept, path)
    openai_document.check("ResponseItemList", page)
    assert [item["type"] for item in page["data"]] == ["function_call_output", "function_call", "message", "message"]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (
        page["data"][0]["id"],
        page["data"][-1]["id"],
        False,
    )
    first = await get(kept, f"{path}?order=asc&limit=3")
    assert (first["data"], first["has_more"]) == (page["data"][:0:-1], True)
    rest = await get(kept, f"{path}?order=asc&after={first['last_id']}")
    assert [item["id"] for item in rest["data"]] == [page["data"][0]["id"]]


async def test_a_response_is_deleted_and_cannot_be_cancelled(kept: Client) -> None:
    response_id = (await kept.post("/v1/responses", ASK)).json()["id"]
    cancelled = await kept.post(f"/v1/responses/{response_id}/cancel", {})
    assert (cancelled.status, cancelled.json()["error"]["message"]) == (400, "Cannot cancel a synchronous response.")
    deleted = await kept.request("DELETE", f"/v1/responses/{response_id}", b"")
    assert deleted.json() == {"id": response_id, "object": "response", "deleted": True}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        answer = await kept.request(method, f"/v1/responses/{response_id}{path}", b"")
        assert (answer.status, answer.json()["error"]["param"]) == (404, "id")


async def test_another_projects_answers_do_not_exist(kept: Client, scripted: Peers, tenant: auth_pb2.Principal) -> None:
    response_id = (await kept.post("/v1/responses", ASK)).json()["id"]
    completion_id = (await kept.post("/v1/chat/completions", CHAT)).json()["id"]
    other = principal()
    other.project_id = "proj_other"
    scripted.auth.principal = other
    placed = settings(scripted).model_copy(
        update={
            "http_listen": f"unix:{scripted.folder}/other.sock",
            "journal_path": scripted.folder / "other.db",
        }
    )
    async with running("gateway", build_gateway, placed):
        stranger = Client(Path(scripted.folder) / "other.sock", KEY)
        for path in (f"/v1/responses/{response_id}", f"/v1/chat/completions/{completion_id}"):
            assert (await stranger.get(path)).status == 404
            assert (await stranger.request("DELETE", path, b"")).status == 404
        assert (await stranger.post("/v1/responses", ASK | {"previous_response_id": response_id})).status == 400
        assert (await get(stranger, "/v1/chat/completions"))["data"] == []
    assert (await kept.get(f"/v1/responses/{response_id}")).status == 200


async def test_without_jobs_answers_are_served_and_say_that_they_are_not_kept(client: Client, scripted: Peers) -> None:
    whole = await client.post("/v1/responses", ASK)
    assert (whole.status, whole.json()["store"]) == (200, False)
    last = told(await client.post("/v1/responses", ASK | {"stream": True}))[-1]
    assert (last["type"], last["response"]["store"]) == ("response.completed", False)
    assert (await client.post("/v1/chat/completions", CHAT)).status == 200
    assert (await client.post("/v1/chat/completions", CHAT | {"stream": True})).body.endswith(b"data: [DONE]\n\n")
    away = await client.get("/v1/responses/resp_1")
    assert (away.status, away.json()["error"]["code"]) == (503, "jobs_unavailable")
    asked = len(scripted.inference.started)
    refused = await client.post("/v1/responses", ASK | {"previous_response_id": "resp_1"})
    assert (refused.status, refused.json()["error"]["code"]) == (503, "jobs_unavailable")
    assert len(scripted.inference.started) == asked


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_chat_completion_is_kept_when_that_is_asked_for(kept: Client, streamed: bool) -> None:
    answer = await kept.post("/v1/chat/completions", CHAT | {"metadata": {"k": "v"}, "stream": streamed, "n": 2})
    if streamed:
        completion_id = json.loads(answer.body.split(b"\n\n")[0].removeprefix(b"data: "))["id"]
    else:
        completion_id = answer.json()["id"]
    found = await get(kept, f"/v1/chat/completions/{completion_id}")
    openai_document.check("CreateChatCompletionResponse", found)
    assert found["metadata"] == {"k": "v"}
    assert [choice["message"]["content"] for choice in found["choices"]] == ["Hello there!"] * 2
    assert found["usage"]["total_tokens"] == 13
    if not streamed:
        assert found == answer.json() | {"metadata": {"k": "v"}}
    unkept = (await kept.post("/v1/chat/completions", CHAT | {"store": None})).json()["id"]
    assert (await kept.get(f"/v1/chat/completions/{unkept}")).status == 404


async def test_kept_completions_are_listed_by_filter_and_in_pages(kept: Client) -> None:
    empty = await get(kept, "/v1/chat/completions")
    openai_document.check("ChatCompletionList", empty)
    assert (empty["data"], empty["has_more"]) == ([], False)
    ids = [
        (await kept.post("/v1/chat/completions", CHAT | {"metadata": {"n": str(n), "a b": "ü&"}})).json()["id"]
        for n in range(3)
    ]
    page = await get(kept, "/v1/chat/completions")
    openai_document.check("ChatCompletionList", page)
    assert [item["id"] for item in page["data"]] == ids
    assert (page["first_id"], page["last_id"]) == (ids[0], ids[2])
    newest = await get(kept, "/v1/chat/completions?order=desc&limit=2")
    assert ([item["id"] for item in newest["data"]], newest["has_more"]) == ([ids[2], ids[1]], True)
    rest = await get(kept, f"/v1/chat/completions?order=desc&after={ids[1]}")
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    pairs = f"metadata[n]=1&{quote('metadata[a b]')}={quote('ü&')}"
    assert [item["id"] for item in (await get(kept, f"/v1/chat/completions?{pairs}"))["data"]] == [ids[1]]
    assert (await get(kept, "/v1/chat/completions?metadata[n]=%00"))["data"] == []
    assert len((await get(kept, f"/v1/chat/completions?model={MODEL}"))["data"]) == 3
    assert (await get(kept, "/v1/chat/completions?model=other"))["data"] == []


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("limit=0", 400, "limit"),
        ("limit=101", 400, "limit"),
        ("limit=ten", 400, "limit"),
        ("limit=%C2%B2", 400, "limit"),
        ("order=up", 400, "order"),
        ("after=chatcmpl-unknown", 404, "id"),
        ("after=%00", 404, "id"),
        ("&".join(f"metadata[{n}]=x" for n in range(65)), 400, None),
    ],
)
async def test_a_wrong_page_is_refused(kept: Client, query: str, status: int, param: str | None) -> None:
    answer = await kept.get(f"/v1/chat/completions?{query}")
    assert (answer.status, answer.json()["error"]["param"]) == (status, param), answer.body


async def test_the_metadata_of_a_kept_completion_changes_and_then_it_goes(kept: Client) -> None:
    path = f"/v1/chat/completions/{(await kept.post('/v1/chat/completions', CHAT)).json()['id']}"
    changed = await kept.post(path, {"metadata": {"new": "ü"}})
    assert (changed.status, changed.json()["metadata"]) == (200, {"new": "ü"})
    assert (await get(kept, path))["metadata"] == {"new": "ü"}
    assert (await kept.post(path, {"metadata": None})).json()["metadata"] == {}
    for body in ({}, {"metadata": {"k": 1}}, {"metadata": {}, "model": "x"}):
        assert (await kept.post(path, body)).status == 400
    deleted = (await kept.request("DELETE", path, b"")).json()
    assert deleted == {"object": "chat.completion.deleted", "id": path.rpartition("/")[2], "deleted": True}
    for answer in (await kept.get(path), await kept.post(path, {"metadata": {}}), await kept.get(f"{path}/messages")):
        assert answer.status == 404


async def test_the_messages_of_a_kept_completion_are_told_in_order(kept: Client) -> None:
    parts = [{"type": "text", "text": "How"}, {"type": "text", "text": " are you?"}]
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "name": "Ann", "content": parts}]
    completion_id = (await kept.post("/v1/chat/completions", CHAT | {"messages": messages})).json()["id"]
    page = await get(kept, f"/v1/chat/completions/{completion_id}/messages")
    assert page["data"] == [
        {
            "id": f"{completion_id}-0",
            "role": "system",
            "content": "Be kind.",
            "refusal": None,
            "name": None,
            "content_parts": None,
        },
        {
            "id": f"{completion_id}-1",
            "role": "user",
            "content": None,
            "refusal": None,
            "name": "Ann",
            "content_parts": parts,
        },
    ]
    assert page["last_id"] == f"{completion_id}-1"
    newest = await get(kept, f"/v1/chat/completions/{completion_id}/messages?order=desc&limit=1")
    assert ([item["id"] for item in newest["data"]], newest["has_more"]) == ([f"{completion_id}-1"], True)


async def test_kept_answers_need_a_key_and_the_right_method(kept: Client) -> None:
    assert (await kept.get("/v1/responses/resp_1", key="")).status == 401
    assert (await kept.request("PUT", "/v1/responses/resp_1", b"")).headers["allow"] == "DELETE, GET, HEAD"
    assert (await kept.get("/v1/responses")).headers["allow"] == "POST"
    for path in ("/v1/responses/", "/v1/responses/a/b", "/v1/chat/completions/a/b", "/v1/responses/a%2Fb"):
        assert (await kept.get(path)).json()["error"]["code"] == "unknown_url"
