"""The bytes of streams and answers: what OpenAI's clients parse, to the letter."""

import json
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capstan.inference.v1 import inference_pb2
from services.gateway import chat_answers, text_answers
from services.gateway.chat_answers import ChunkWriter, Head
from services.gateway.collected import Choice
from services.gateway.deltas import FINISH_REASONS, Usage, finish_word
from services.gateway.stream import DONE

HEAD = Head("chatcmpl-1", 1_700_000_000, "capstan-demo", "fp_1")
USAGE = Usage(prompt_tokens=9, cached_prompt_tokens=4, completion_tokens=2)


def delta(text: str = "", **fields: object) -> inference_pb2.Delta:
    return inference_pb2.Delta(text=text, token_count=1, **fields)


def events(data: bytes) -> list[dict]:
    assert data.endswith(b"\n\n")
    frames = data.decode().split("\n\n")[:-1]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def test_a_stream_of_two_tokens_has_these_bytes() -> None:
    writer = ChunkWriter(HEAD, include_usage=False, logprobs=False, service_tier="default")
    data = writer.write([(0, delta("Hel"))]) + writer.write([(0, delta("lo"))])
    data += writer.write([(0, delta(finish_reason=inference_pb2.FINISH_REASON_STOP))]) + DONE
    frame = (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"capstan-demo",'
        b'"service_tier":"default","system_fingerprint":"fp_1","choices":[%s]}\n\n'
    )
    choices = [
        b'{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}',
        b'{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}',
        b'{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}',
        b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}',
    ]
    assert data == b"".join(frame % choice for choice in choices) + b"data: [DONE]\n\n"


def test_with_usage_every_chunk_says_null_and_the_last_has_no_choices() -> None:
    writer = ChunkWriter(HEAD, include_usage=True, logprobs=False, service_tier="default")
    chunks = events(writer.write([(0, delta("a", finish_reason=inference_pb2.FINISH_REASON_LENGTH))]))
    assert [chunk["usage"] for chunk in chunks] == [None, None, None]
    (last,) = events(writer.usage(USAGE))
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 11
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 4


def test_each_choice_opens_once_and_closes_once_however_they_interleave() -> None:
    writer = ChunkWriter(HEAD, include_usage=False, logprobs=False, service_tier="default")
    stop = inference_pb2.FINISH_REASON_STOP
    batch = [
        (0, delta("a")),
        (0, delta("b", choice=1)),
        (0, delta(choice=1, finish_reason=stop)),
        (0, delta("c", finish_reason=stop)),
    ]
    choices = [chunk["choices"][0] for chunk in events(writer.write(batch))]
    for index in (0, 1):
        mine = [choice for choice in choices if choice["index"] == index]
        assert [("role" in choice["delta"]) for choice in mine].count(True) == 1
        assert "role" in mine[0]["delta"]
        assert [choice["finish_reason"] for choice in mine if choice["finish_reason"]] == ["stop"]
        assert mine[-1]["finish_reason"] == "stop"


def test_a_tool_call_names_itself_once_and_its_parts_never_share_a_chunk() -> None:
    writer = ChunkWriter(HEAD, include_usage=False, logprobs=False, service_tier="default")
    first = inference_pb2.ToolCallDelta(index=0, call_id="call_1", name="get_weather", arguments="")
    second = inference_pb2.ToolCallDelta(index=1, call_id="call_2", name="get_time", arguments="{}")
    more = inference_pb2.ToolCallDelta(index=0, arguments='{"city":')
    chunks = events(writer.write([(0, delta(tool_calls=[first, more, second]))]))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": None, "refusal": None}
    calls = [chunk["choices"][0]["delta"]["tool_calls"] for chunk in chunks[1:]]
    assert calls == [
        [{"index": 0, "function": {"name": "get_weather", "arguments": ""}, "id": "call_1", "type": "function"}],
        [{"index": 0, "function": {"arguments": '{"city":'}}],
        [{"index": 1, "function": {"name": "get_time", "arguments": "{}"}, "id": "call_2", "type": "function"}],
    ]


def logprob(token: bytes, value: float, top: int = 0) -> inference_pb2.TokenLogprob:
    entry = inference_pb2.LogprobEntry(token=token, logprob=value)
    return inference_pb2.TokenLogprob(chosen=entry, top=[entry] * top)


def test_log_probabilities_come_with_their_chunk_and_show_part_characters_as_bytes() -> None:
    writer = ChunkWriter(HEAD, include_usage=False, logprobs=True, service_tier="default")
    chunks = events(writer.write([(0, delta("é", logprobs=[logprob(b"\xc3", -0.5), logprob(b"\xa9", -0.25, top=1)]))]))
    content = chunks[1]["choices"][0]["logprobs"]["content"]
    assert [entry["bytes"] for entry in content] == [[0xC3], [0xA9]]
    assert content[0]["top_logprobs"] == []
    assert content[1]["top_logprobs"][0]["logprob"] == -0.25


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20))
def test_the_texts_of_the_chunks_are_the_text_whatever_is_in_it(texts: list[str]) -> None:
    writer = ChunkWriter(HEAD, include_usage=False, logprobs=False, service_tier="default")
    data = b"".join(writer.write([(0, delta(text))]) for text in texts)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in events(data)) == "".join(texts)


def test_every_finish_reason_of_the_wire_has_openais_word() -> None:
    numbers = set(inference_pb2.FinishReason.values()) - {inference_pb2.FINISH_REASON_UNSPECIFIED}
    assert set(FINISH_REASONS) == numbers


def test_a_finish_reason_that_only_a_newer_replica_knows_is_an_end() -> None:
    assert finish_word(99) == "stop"


@dataclass
class Call:
    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass
class Part:
    choice: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: list[Call] = field(default_factory=list)
    token_count: int = 1
    logprobs: list[object] = field(default_factory=list)
    finish_reason: int = 0


def whole(parts: list[Part], **options: object) -> dict:
    choice = Choice()
    for part in parts:
        choice.add(part)
    answer = chat_answers.completion(HEAD, [choice], USAGE, logprobs=False, service_tier="default", **options)
    return orjson.loads(answer)


def test_a_whole_answer_has_all_keys_clients_read() -> None:
    answer = whole([Part(text="Pa"), Part(text="ris", finish_reason=1)])
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"]["prompt_tokens"] == 9


def test_a_whole_answer_with_calls_has_no_content_and_whole_arguments() -> None:
    parts = [
        Part(tool_calls=[Call(0, "call_1", "f", '{"a"')]),
        Part(tool_calls=[Call(0, arguments=":1}"), Call(1, "call_2", "g", "{}")], finish_reason=3),
    ]
    message = whole(parts)["choices"][0]["message"]
    assert message["content"] is None
    assert [call["function"] for call in message["tool_calls"]] == [
        {"name": "f", "arguments": '{"a":1}'},
        {"name": "g", "arguments": "{}"},
    ]


def test_an_empty_answer_is_an_empty_text_not_null() -> None:
    assert whole([Part(finish_reason=2)])["choices"][0]["message"]["content"] == ""


def test_legacy_log_probabilities_count_characters_and_leave_the_unknown_null() -> None:
    tokens = [logprob(b"Hi", -9999.0), logprob(b" there", -1.5, top=1)]
    shape, offset = text_answers.logprobs_json(tokens, 0)
    assert shape["tokens"] == ["Hi", " there"]
    assert shape["token_logprobs"] == [None, -1.5]
    assert shape["top_logprobs"] == [None, {" there": -1.5}]
    assert shape["text_offset"] == [0, 2]
    assert offset == 8


@pytest.mark.parametrize("include_usage", [True, False])
def test_legacy_chunks_have_their_object_and_close_each_choice(include_usage: bool) -> None:
    writer = text_answers.ChunkWriter(HEAD, include_usage=include_usage, logprobs=False)
    chunks = events(writer.write([(2, delta("x")), (2, delta(finish_reason=inference_pb2.FINISH_REASON_LENGTH))]))
    assert [chunk["object"] for chunk in chunks] == ["text_completion"] * 2
    assert [chunk["choices"][0]["index"] for chunk in chunks] == [2, 2]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert all(("usage" in chunk) is include_usage for chunk in chunks)


def test_a_request_with_functions_is_answered_with_a_function_call() -> None:
    words = chat_answers.CallWords(legacy=True)
    answer = whole([Part(tool_calls=[Call(0, "call_1", "f", "{}")], finish_reason=3)], words=words)
    assert answer["choices"][0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert answer["choices"][0]["finish_reason"] == "function_call"
    writer = ChunkWriter(HEAD, include_usage=False, logprobs=False, service_tier="default", words=words)
    parts = [inference_pb2.ToolCallDelta(call_id="call_1", name="f"), inference_pb2.ToolCallDelta(arguments="{}")]
    chunks = events(writer.write([(0, delta(tool_calls=parts, finish_reason=3))]))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]
    assert deltas == [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


def test_a_call_that_the_request_named_ends_with_stop() -> None:
    words = chat_answers.CallWords(named=True)
    answer = whole([Part(tool_calls=[Call(0, "call_1", "f", "{}")], finish_reason=3)], words=words)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert whole([Part(finish_reason=2)], words=words)["choices"][0]["finish_reason"] == "length"
