"""The events and objects of the Responses API: what OpenAI's clients parse, to the letter."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from capstan.inference.v1 import inference_pb2
from services.gateway.api_error import ApiError
from services.gateway.deltas import Usage
from services.gateway.response_answers import EventWriter, Head, echo, ended
from services.gateway.response_output import Output
from services.gateway.schema.response_objects import Response
from services.gateway.schema.responses import ResponseRequest
from tests import openai_document

ID = "resp_" + "0" * 32
BODY = ResponseRequest(model="capstan-demo", input="Hello")
HEAD = Head(ID, 1_700_000_000, "capstan-demo", echo(BODY))
USAGE = Usage(prompt_tokens=9, cached_prompt_tokens=4, completion_tokens=2)
STOP = inference_pb2.Delta(finish_reason=inference_pb2.FINISH_REASON_STOP)


def text(text: str) -> inference_pb2.Delta:
    return inference_pb2.Delta(text=text, token_count=1)


def call(index: int, arguments: str, name: str = "", call_id: str = "") -> inference_pb2.Delta:
    part = inference_pb2.ToolCallDelta(index=index, call_id=call_id, name=name, arguments=arguments)
    return inference_pb2.Delta(tool_calls=[part], token_count=1)


def parsed(data: bytes) -> list[dict[str, Any]]:
    """Read events as a client does; each is valid by OpenAI's document, where that is there."""
    assert data.endswith(b"\n\n")
    events = []
    for frame in data.decode().split("\n\n")[:-1]:
        name, body = frame.split("\n")
        event = json.loads(body.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if "response" in event:
            Response.model_validate(event["response"], strict=True)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def written(*deltas: inference_pb2.Delta, logprobs: bool = False) -> bytes:
    output = Output(ID, logprobs=logprobs)
    writer = EventWriter(HEAD, output)
    data = writer.begin() + b"".join(writer.write([delta]) for delta in deltas) + writer.close()
    return data + writer.end(ended(HEAD, output, USAGE, 1_700_000_001))


def whole(*deltas: inference_pb2.Delta) -> dict[str, Any]:
    output = Output(ID)
    for delta in deltas:
        output.take(delta)
    output.close()
    return ended(HEAD, output, USAGE, 1_700_000_001)


def types(data: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in parsed(data)]


def test_the_events_of_two_tokens_have_these_bytes() -> None:
    frames = written(text("Hel"), text("lo"), STOP).split(b"\n\n")
    item = b'"item_id":"msg_%s0000","output_index":0,"content_index":0' % (b"0" * 32)
    message = b'{"id":"msg_%s0000","type":"message","status":"%s","role":"assistant","content":[%s]}'
    part = b'{"type":"output_text","text":"%s","annotations":[],"logprobs":[]}'
    opened = message % (b"0" * 32, b"in_progress", b"")
    closed = message % (b"0" * 32, b"completed", part % b"Hello")
    middle = [
        (b"output_item.added", b'"output_index":0,"item":' + opened),
        (b"content_part.added", item + b',"part":' + part % b""),
        (b"output_text.delta", item + b',"delta":"Hel","logprobs":[]'),
        (b"output_text.delta", item + b',"delta":"lo","logprobs":[]'),
        (b"output_text.done", item + b',"text":"Hello","logprobs":[]'),
        (b"content_part.done", item + b',"part":' + part % b"Hello"),
        (b"output_item.done", b'"output_index":0,"item":' + closed),
    ]
    assert frames[2:-2] == [
        b'event: response.%s\ndata: {"type":"response.%s","sequence_number":%d,%s}' % (name, name, number, rest)
        for number, (name, rest) in enumerate(middle, 2)
    ]
    assert frames[0].startswith(b'event: response.created\ndata: {"type":"response.created","sequence_number":0,')
    assert frames[1].startswith(b'event: response.in_progress\ndata: {"type":"response.in_progress",')
    assert frames[-2].startswith(b'event: response.completed\ndata: {"type":"response.completed","sequence_number":9,')
    assert b"[DONE]" not in b"".join(frames)


def test_a_call_after_text_is_an_item_of_its_own() -> None:
    data = written(text("Well."), call(0, "", "weather", "call_1"), call(0, '{"ci'), call(0, 'ty":1}'), STOP)
    assert types(data)[2:] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    events = parsed(data)
    assert events[-3]["name"] == "weather"
    assert events[-3]["arguments"] == '{"city":1}'
    item = events[-2]["item"]
    assert (item["call_id"], item["name"], item["status"], item["id"][:3]) == (
        "call_1",
        "weather",
        "completed",
        "fc_",
    )


def test_thoughts_come_first_and_apart() -> None:
    data = written(inference_pb2.Delta(reasoning="Hm.", token_count=1), text("Yes."), STOP)
    assert types(data)[2:8] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert [item["type"] for item in parsed(data)[-1]["response"]["output"]] == ["reasoning", "message"]


def test_an_answer_without_words_is_an_empty_message() -> None:
    (item,) = parsed(written(STOP))[-1]["response"]["output"]
    assert item["content"][0]["text"] == ""


def test_a_response_that_was_cut_is_incomplete() -> None:
    cut = inference_pb2.Delta(finish_reason=inference_pb2.FINISH_REASON_LENGTH)
    last = parsed(written(text("Once"), cut))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["status"] == "incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["completed_at"] is None
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_an_error_is_flat_and_nested_and_the_response_failed() -> None:
    writer = EventWriter(HEAD, Output(ID))
    data = writer.begin() + writer.write([text("Once")])
    data += writer.fail(ApiError(500, "It broke.", kind="server_error", code="engine_error"))
    error, last = parsed(data)[-2:]
    assert error["type"] == "error"
    assert (error["code"], error["message"], error["param"]) == ("engine_error", "It broke.", None)
    assert error["error"] == {"type": "server_error", "code": "engine_error", "message": "It broke.", "param": None}
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "It broke."}
    assert last["response"]["output"][0]["content"][0]["text"] == "Once"


def test_log_probabilities_are_told_with_their_text() -> None:
    entry = inference_pb2.LogprobEntry(token=b"Hi", logprob=-0.5)
    token = inference_pb2.TokenLogprob(chosen=entry, top=[entry])
    events = parsed(written(inference_pb2.Delta(text="Hi", logprobs=[token]), STOP, logprobs=True))
    (told,) = next(event for event in events if event["type"] == "response.output_text.delta")["logprobs"]
    assert told == {
        "token": "Hi",
        "logprob": -0.5,
        "bytes": [72, 105],
        "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}],
    }
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == [told]


def test_every_event_is_one_of_the_documents() -> None:
    thought = inference_pb2.Delta(reasoning="Hm.", token_count=1)
    calls = [call(0, "{}", "weather", "call_1"), call(1, "{}", "weather", "call_2")]
    for event in parsed(written(thought, text("Well."), *calls, STOP)):
        openai_document.check("ResponseStreamEvent", event)
    writer = EventWriter(HEAD, Output(ID))
    for event in parsed(writer.begin() + writer.fail(ApiError(503, "Away.", code="x"))):
        openai_document.check("ResponseStreamEvent", event)
    openai_document.check("Response", whole(text("Hello"), STOP))


def test_the_echo_says_what_takes_effect() -> None:
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    tools = [{"type": "function", "name": "f", "parameters": schema}, {"type": "function", "name": "g"}]
    said = ResponseRequest.model_validate(
        {
            "model": "m",
            "input": "x",
            "tools": tools,
            "tool_choice": {"type": "function", "name": "f"},
            "text": {"format": {"type": "json_schema", "name": "s", "schema": schema, "strict": True}},
            "metadata": {"a": "b"},
            "temperature": 0,
            "store": False,
        }
    )
    told = echo(said)
    assert [tool["strict"] for tool in told["tools"]] == [True, False]
    assert told["tool_choice"] == {"type": "function", "name": "f"}
    assert told["text"]["format"]["schema"] == schema
    assert (told["temperature"], told["top_p"], told["store"], told["metadata"]) == (0, 1.0, False, {"a": "b"})
    unset = echo(BODY)
    effective = ["temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "tool_choice"]
    effective += ["tools", "truncation"]
    assert all(unset[name] is not None for name in [*effective, "background", "service_tier", "store"])
    openai_document.check("Response", whole(text("Hello"), STOP) | told)


@given(st.lists(st.sampled_from(["thought", "text", "call"]), max_size=4), st.data())
def test_however_it_is_cut_a_stream_tells_the_whole_answer(kinds: list[str], data: st.DataObject) -> None:
    deltas: list[inference_pb2.Delta] = []
    calls = 0
    for kind in kinds:
        pieces = data.draw(st.lists(st.text('aß€😀\n\0"', min_size=1, max_size=5), min_size=1, max_size=3))
        if kind == "call":
            deltas += [call(calls, "", "f", f"call_{calls}"), *(call(calls, piece) for piece in pieces)]
            calls += 1
        elif kind == "text":
            deltas += [text(piece) for piece in pieces]
        else:
            deltas += [inference_pb2.Delta(reasoning=piece) for piece in pieces]
    events = parsed(written(*deltas, STOP))
    last = events[-1]["response"]
    assert last == whole(*deltas, STOP)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == last["output"]
    for index, item in enumerate(done):
        told = "".join(
            event["delta"] for event in events if event["type"].endswith(".delta") and event["output_index"] == index
        )
        assert told == (item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"])
