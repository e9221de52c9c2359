"""The Responses API between a real HTTP client and scripted services."""

import json
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2
from tests import openai_document
from tests.integration.gateway.client import Answer, Client, eventually
from tests.integration.gateway.scripted import MODEL, Peers

ASK: dict[str, Any] = {"model": MODEL, "input": "Say hello", "store": False}


def events(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(frame.split("\ndata: ")[1]) for frame in answer.body.decode().split("\n\n")[:-1]]


async def test_a_whole_answer_has_openais_shape_and_headers(client: Client) -> None:
    answer = await client.post("/v1/responses", ASK)
    assert answer.status == 200
    body = answer.json()
    assert body["id"] == "resp_" + answer.headers["x-request-id"].removeprefix("req_")
    assert body["output"][0]["content"][0]["text"] == "Hello there!"
    assert (body["status"], body["error"], body["incomplete_details"]) == ("completed", None, None)
    assert body["completed_at"] >= body["created_at"]
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"], body["usage"]["total_tokens"]) == (7, 3, 10)
    assert answer.headers["x-ratelimit-remaining-requests"] == "99"
    openai_document.check("Response", body)


async def test_a_stream_tells_the_same(client: Client) -> None:
    answer = await client.post("/v1/responses", ASK | {"stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    told = events(answer)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert told[0]["type"] == "response.created"
    assert told[-1]["type"] == "response.completed"
    assert "".join(event["delta"] for event in told if event["type"].endswith(".delta")) == "Hello there!"
    assert told[-1]["response"]["usage"]["total_tokens"] == 10
    assert b"[DONE]" not in answer.body
    for event in told:
        openai_document.check("ResponseStreamEvent", event)


async def test_the_model_reads_instructions_items_calls_and_tools(client: Client, scripted: Peers) -> None:
    scripted.inference.calls = ("weather",)
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "How is "}, {"type": "input_text", "text": "it?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "call_a", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_b", "name": "weather", "arguments": '{"in":1}'},
        {"type": "function_call_output", "call_id": "call_a", "output": "sun"},
        {"type": "function_call_output", "call_id": "call_b", "output": [{"type": "input_text", "text": "rain"}]},
    ]
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    asked = {"instructions": "You are kind.", "input": items, "tools": [tool], "max_output_tokens": 16}
    answer = await client.post("/v1/responses", ASK | asked | {"reasoning": {"effort": "low"}})
    assert answer.status == 200
    (start,) = scripted.inference.started
    assert [(message.role, message.content, len(message.tool_calls)) for message in start.chat.messages] == [
        ("system", "You are kind.", 0),
        ("developer", "Be brief.", 0),
        ("user", "How is it?", 0),
        ("assistant", "I look.", 2),
        ("tool", "sun", 0),
        ("tool", "rain", 0),
    ]
    assert start.chat.messages[3].tool_calls[1].arguments == '{"in":1}'
    assert start.chat.messages[5].tool_call_id == "call_b"
    assert start.chat.tools[0].name == "weather"
    assert not start.chat.tools[0].strict
    assert start.sampling.max_tokens == 16
    assert start.chat.reasoning_effort == "low"
    message, call = answer.json()["output"]
    assert message["type"] == "message"
    assert (call["type"], call["call_id"], call["name"], call["arguments"], call["status"]) == (
        "function_call",
        "call_0",
        "weather",
        "{}",
        "completed",
    )
    openai_document.check("Response", answer.json())


async def test_what_was_used_is_billed_as_a_response(client: Client, scripted: Peers) -> None:
    answer = await client.post("/v1/responses", ASK)
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events and request_id in scripted.ratelimit.settled)
    event = scripted.billing.events[request_id]
    assert event.endpoint == billing_pb2.ENDPOINT_RESPONSES
    assert event.outcome == billing_pb2.OUTCOME_OK
    assert (event.usage.prompt_tokens, event.usage.completion_tokens) == (7, 3)


async def test_an_answer_that_ran_out_of_tokens_is_incomplete(client: Client, scripted: Peers) -> None:
    scripted.inference.ending = 2
    answer = await client.post("/v1/responses", ASK)
    assert answer.json()["status"] == "incomplete"
    assert answer.json()["incomplete_details"] == {"reason": "max_output_tokens"}
    told = events(await client.post("/v1/responses", ASK | {"stream": True}))
    assert told[-1]["type"] == "response.incomplete"


async def test_a_replica_that_fails_in_the_middle_ends_the_stream_with_an_error(
    client: Client, scripted: Peers
) -> None:
    scripted.inference.after = scripted.spare.after = "fail"
    told = events(await client.post("/v1/responses", ASK | {"stream": True}))
    assert [event["type"] for event in told[-2:]] == ["error", "response.failed"]
    assert told[-2]["error"]["code"] == told[-2]["code"] == "engine_error"
    assert told[-1]["response"]["status"] == "failed"


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"model": "gpt-5"}, 400, "model_not_found", "model"),
        ({"model": "vectors"}, 404, None, "model"),
        ({"max_output_tokens": 15}, 400, "integer_below_min_value", "max_output_tokens"),
        ({"background": True}, 400, "unsupported_parameter", "background"),
        ({"conversation": "conv_1"}, 400, "unsupported_parameter", "conversation"),
        (
            {"input": [{"type": "function_call_output", "call_id": "call_x", "output": ""}]},
            400,
            None,
            "input",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "call_x", "name": "f", "arguments": "{}"}]},
            400,
            None,
            "input",
        ),
        ({"text": {"format": {"type": "json_object"}}}, 400, None, "input"),
    ],
)
async def test_what_cannot_be_served_is_refused_in_openais_words(
    client: Client, changes: dict[str, Any], status: int, code: str | None, param: str
) -> None:
    answer = await client.post("/v1/responses", ASK | changes)
    assert answer.status == status, answer.body
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)


async def test_a_conversation_too_long_for_the_model_names_the_input(client: Client, scripted: Peers) -> None:
    scripted.inference.before = "refuse"
    answer = await client.post("/v1/responses", ASK)
    assert answer.status == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("context_length_exceeded", "input")


async def test_json_is_asked_for_in_the_form_the_engine_enforces(client: Client, scripted: Peers) -> None:
    shape = {"type": "json_schema", "name": "s", "schema": {"type": "object"}}
    assert (await client.post("/v1/responses", ASK | {"text": {"format": shape}})).status == 200
    assert json.loads(scripted.inference.started[0].format.json_schema) == {"type": "object"}
    asked = {"text": {"format": {"type": "json_object"}}, "input": "Answer in JSON."}
    assert (await client.post("/v1/responses", ASK | asked)).status == 200
    assert scripted.inference.started[1].format.json_object


async def test_an_input_is_counted_and_costs_a_request_of_no_tokens(client: Client, scripted: Peers) -> None:
    answer = await client.post("/v1/responses/input_tokens", {"model": MODEL, "input": "Say hello"})
    assert answer.json() == {"object": "response.input_tokens", "input_tokens": 9}
    assert answer.headers["x-ratelimit-remaining-requests"] == "99"
    request_id = answer.headers["x-request-id"]
    await eventually(lambda: request_id in scripted.billing.events and request_id in scripted.router.released)
    usage = scripted.billing.events[request_id].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (0, 0)
    assert not scripted.inference.started
    await scripted.kill("inference")
    away = await client.post("/v1/responses/input_tokens", {"model": MODEL, "input": "Say hello"})
    assert away.status == 503
