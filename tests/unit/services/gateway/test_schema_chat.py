"""Chat bodies: what is refused, in which words, and what a good one says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.errors import ApiError
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.schema.messages import text_of
from services.gateway.schema.parse import parse
from services.gateway.schema.tools import Calling

IRE = "invalid_request_error"
USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def read(body: object) -> ChatCompletionRequest:
    return parse(ChatCompletionRequest, orjson.dumps(body), b"application/json")


def chat(**parameters: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [USER], **parameters}


def said(*messages: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages)}


def function(**fields: Any) -> dict[str, Any]:
    return chat(tools=[{"type": "function", "function": {"name": "f", **fields}}])


def part(**fields: Any) -> dict[str, Any]:
    return said({"role": "user", "content": [fields]})


def schema(**fields: Any) -> dict[str, Any]:
    return chat(response_format={"type": "json_schema", "json_schema": fields})


def below(path: str, kind: str, bound: str, got: str) -> tuple[str, str, str]:
    return (
        f"{kind}_below_min_value",
        path,
        f"Invalid '{path}': {kind} below minimum value. Expected a value >= {bound}, but got {got} instead.",
    )


def above(path: str, kind: str, bound: str, got: str) -> tuple[str, str, str]:
    return (
        f"{kind}_above_max_value",
        path,
        f"Invalid '{path}': {kind} above maximum value. Expected a value <= {bound}, but got {got} instead.",
    )


def mistyped(path: str, expected: str, got: str) -> tuple[str, str, str]:
    return "invalid_type", path, f"Invalid type for '{path}': expected {expected}, but got {got} instead."


def absent(path: str) -> tuple[str, str, str]:
    return "missing_required_parameter", path, f"Missing required parameter: '{path}'."


def unknown(path: str) -> tuple[str, str, str]:
    return "unknown_parameter", path, f"Unknown parameter: '{path}'."


def wrong_word(path: str, word: str, supported: str) -> tuple[str, str, str]:
    return "invalid_value", path, f"Invalid value: '{word}'. Supported values are: {supported}."


def empty(path: str) -> tuple[str, str, str]:
    return (
        "empty_array",
        path,
        f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    )


def too_many(path: str, most: int, got: int) -> tuple[str, str, str]:
    return (
        "array_above_max_length",
        path,
        f"Invalid '{path}': array too long. Expected an array with maximum length {most}, but got an array with length "
        f"{got} instead.",
    )


def too_long(path: str, most: int, got: int) -> tuple[str, str, str]:
    return (
        "string_above_max_length",
        path,
        f"Invalid '{path}': string too long. Expected a string with maximum length {most}, but got a string with "
        f"length {got} instead.",
    )


def unserved(path: str, value: str) -> tuple[str, str, str]:
    return "unsupported_value", path, f"Unsupported value: '{path}' does not support '{value}' with this model."


def unserved_parameter(name: str) -> tuple[str, str, str]:
    return "unsupported_parameter", name, f"Unsupported parameter: '{name}' is not supported with this model."


def only_when(name: str, condition: str) -> tuple[None, str, str]:
    return None, name, f"Invalid value for '{name}': '{name}' is only allowed when {condition}."


NO_MODEL = (None, None, "you must provide a model parameter")
TEXT_OR_PARTS = "one of a string or array of objects"
CLOSED = "'additionalProperties' is required to be supplied and to be false."
STRICT_OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
STRICT_OPTIONAL = {**STRICT_OPEN, "additionalProperties": False}
STRICT_NESTED = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {}}}},
    "required": ["a"],
    "additionalProperties": False,
}

ROWS: list[tuple[object, tuple[str | None, str | None, str]]] = [
    # What must be there, and what must not.
    ({"messages": [USER]}, NO_MODEL),
    ({"messages": [USER], "model": None}, NO_MODEL),
    ({"messages": [USER], "model": ""}, NO_MODEL),
    ({"messages": [], "foo": 1}, NO_MODEL),
    (chat(model=3), mistyped("model", "a string", "an integer")),
    ({"model": "m"}, absent("messages")),
    ({"model": "m", "foo": 1}, unknown("foo")),
    (chat(foo=None), unknown("foo")),
    (chat(foo=1, temperature=9), unknown("foo")),
    (chat(cache_salt="x"), unknown("cache_salt")),
    (chat(chat_template_kwargs={}), unknown("chat_template_kwargs")),
    (chat(**{f"x{i}": 1 for i in range(50)}), unknown("x0")),
    # Numbers.
    (chat(temperature=-1), below("temperature", "decimal", "0", "-1")),
    (chat(temperature=2.5), above("temperature", "decimal", "2", "2.5")),
    (chat(temperature="1"), mistyped("temperature", "a decimal", "a string")),
    (chat(temperature=True), mistyped("temperature", "a decimal", "a boolean")),
    (chat(top_p=1.01), above("top_p", "decimal", "1", "1.01")),
    (chat(top_p=-0.5), below("top_p", "decimal", "0", "-0.5")),
    (chat(n=0), below("n", "integer", "1", "0")),
    (chat(n=129), above("n", "integer", "128", "129")),
    (chat(n=1.5), mistyped("n", "an integer", "a decimal number")),
    (chat(n=1.0), mistyped("n", "an integer", "a decimal number")),
    (chat(n=True), mistyped("n", "an integer", "a boolean")),
    (chat(max_tokens=0), below("max_tokens", "integer", "1", "0")),
    (chat(max_completion_tokens=-3), below("max_completion_tokens", "integer", "1", "-3")),
    (chat(max_tokens=2**31), above("max_tokens", "integer", "2147483647", "2147483648")),
    (chat(seed=2**63), above("seed", "integer", "9223372036854775807", "9223372036854775808")),
    (chat(presence_penalty=-2.1), below("presence_penalty", "decimal", "-2", "-2.1")),
    (chat(frequency_penalty=3), above("frequency_penalty", "decimal", "2", "3")),
    (chat(top_logprobs=21, logprobs=True), above("top_logprobs", "integer", "20", "21")),
    # Stop texts and biases.
    (chat(stop=[]), empty("stop")),
    (chat(stop=list("abcde")), too_many("stop", 4, 5)),
    (chat(stop=5), mistyped("stop", "one of a string or array of strings", "an integer")),
    (chat(stop=["a", 5]), mistyped("stop[1]", "a string", "an integer")),
    (
        chat(stop=""),
        (
            "empty_string",
            "stop",
            "Invalid 'stop': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        ),
    ),
    (
        chat(logit_bias={"-5": 1}),
        (
            None,
            "logit_bias",
            "Invalid key in 'logit_bias': -5. You should only be submitting non-negative integers.",
        ),
    ),
    (chat(logit_bias={"5": 101}), above("logit_bias.5", "decimal", "100", "101")),
    (chat(logit_bias=[]), mistyped("logit_bias", "an object", "an array")),
    # Streams.
    (chat(stream="yes"), mistyped("stream", "a boolean", "a string")),
    (
        chat(stream_options={"include_usage": True}),
        (None, "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled."),
    ),
    (
        chat(stream=False, stream_options={}),
        (None, "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled."),
    ),
    (chat(stream=True, stream_options={"x": 1}), unknown("stream_options.x")),
    (
        chat(stream=True, stream_options={"include_usage": 1}),
        mistyped("stream_options.include_usage", "a boolean", "an integer"),
    ),
    (chat(top_logprobs=3), only_when("top_logprobs", "'logprobs' is enabled")),
    (chat(top_logprobs=0, logprobs=False), only_when("top_logprobs", "'logprobs' is enabled")),
    # Messages.
    (chat(messages=None), mistyped("messages", "an array of objects", "null")),
    (chat(messages={}), mistyped("messages", "an array of objects", "an object")),
    (said(), empty("messages")),
    (said("x"), mistyped("messages[0]", "an object", "a string")),
    (said(*[USER] * 2049), too_many("messages", 2048, 2049)),
    (said({"content": "x"}), absent("messages[0].role")),
    (said({"role": None}), absent("messages[0].role")),
    (said({"role": 5}), mistyped("messages[0].role", "a string", "an integer")),
    (
        said({"role": "boss"}),
        wrong_word(
            "messages[0].role",
            "boss",
            "'developer', 'system', 'user', 'assistant', 'tool', and 'function'",
        ),
    ),
    (said(USER, {"role": "user"}), absent("messages[1].content")),
    (said({"role": "user", "content": None}), mistyped("messages[0].content", TEXT_OR_PARTS, "null")),
    (said({"role": "system", "content": 5}), mistyped("messages[0].content", TEXT_OR_PARTS, "an integer")),
    (said({"role": "user", "content": []}), empty("messages[0].content")),
    (said({"role": "user", "content": "x", "user": 1}), unknown("messages[0].user")),
    (said({**USER, "name": "x" * 65}), too_long("messages[0].name", 64, 65)),
    (said({"role": "user", "content": ["x"]}), mistyped("messages[0].content[0]", "an object", "a string")),
    (part(text="a"), absent("messages[0].content[0].type")),
    (part(type="text"), absent("messages[0].content[0].text")),
    (part(type="text", text=5), mistyped("messages[0].content[0].text", "a string", "an integer")),
    (part(type="text", text="a", extra=1), unknown("messages[0].content[0].extra")),
    (
        part(type="video"),
        wrong_word("messages[0].content[0].type", "video", "'text', 'image_url', 'input_audio', and 'file'"),
    ),
    (
        said({"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
        wrong_word("messages[0].content[0].type", "image_url", "'text'"),
    ),
    (
        said({"role": "system", "content": [{"type": "text", "text": 5}]}),
        mistyped("messages[0].content[0].text", "a string", "an integer"),
    ),
    (
        part(type="image_url", image_url={"url": "http://127.0.0.1/"}),
        unserved("messages[0].content[0].type", "image_url"),
    ),
    (part(type="input_audio", input_audio={}), unserved("messages[0].content[0].type", "input_audio")),
    (part(type="file", file={"file_id": "x"}), unserved("messages[0].content[0].type", "file")),
    # Calls and their answers.
    (said({"role": "assistant"}), mistyped("messages[0].content", TEXT_OR_PARTS, "null")),
    (said({"role": "assistant", "tool_calls": []}), empty("messages[0].tool_calls")),
    (
        said({"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f"}}]}),
        absent("messages[0].tool_calls[0].function.arguments"),
    ),
    (
        said({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}),
        unserved("messages[0].tool_calls[0].type", "custom"),
    ),
    (said({"role": "tool", "content": "x"}), absent("messages[0].tool_call_id")),
    (
        said(USER, {"role": "tool", "content": "x", "tool_call_id": "c"}),
        (
            None,
            "messages.[1].role",
            "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
        ),
    ),
    (
        said(USER, {"role": "assistant", "tool_calls": [CALL]}, USER),
        (
            None,
            "messages.[2].role",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: c",
        ),
    ),
    (said({"role": "function", "content": "x"}), absent("messages[0].name")),
    # Tools.
    (chat(tools=[]), empty("tools")),
    (chat(tools=[TOOL] * 129), too_many("tools", 128, 129)),
    (chat(tools={}), mistyped("tools", "an array of objects", "an object")),
    (chat(tools=[{"type": "function"}]), absent("tools[0].function")),
    (chat(tools=[TOOL, {"type": "function", "function": {}}]), absent("tools[1].function.name")),
    (chat(tools=[{"type": "function", "function": 1}]), mistyped("tools[0].function", "an object", "an integer")),
    (
        function(name="a b"),
        (
            "invalid_value",
            "tools[0].function.name",
            "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]+$'.",
        ),
    ),
    (function(name="a" * 65), too_long("tools[0].function.name", 64, 65)),
    (function(parameters=[]), mistyped("tools[0].function.parameters", "an object", "an array")),
    (chat(tools=[{"type": "custom", "custom": {"name": "x"}}]), unserved("tools[0].type", "custom")),
    (
        function(strict=True, parameters=STRICT_OPEN),
        (
            "invalid_function_parameters",
            "tools[0].function.parameters",
            f"Invalid schema for function 'f': In context=(), {CLOSED}",
        ),
    ),
    (
        function(strict=True, parameters=STRICT_OPTIONAL),
        (
            "invalid_function_parameters",
            "tools[0].function.parameters",
            "Invalid schema for function 'f': In context=(), 'required' is required to be supplied and to be an array "
            "including every key in properties. Missing 'a'.",
        ),
    ),
    (chat(tool_choice="auto"), only_when("tool_choice", "'tools' are specified")),
    (chat(parallel_tool_calls=True), only_when("parallel_tool_calls", "'tools' are specified")),
    (chat(tools=[TOOL], functions=[{"name": "f"}]), only_when("functions", "'tools' are not specified")),
    (chat(function_call="auto"), only_when("function_call", "'functions' are specified")),
    (
        chat(tools=[TOOL], tool_choice="always"),
        wrong_word("tool_choice", "always", "'none', 'auto', and 'required'"),
    ),
    (chat(tools=[TOOL], tool_choice=5), mistyped("tool_choice", "one of a string or object", "an integer")),
    (
        chat(tools=[TOOL], tool_choice={"type": "custom", "custom": {"name": "x"}}),
        unserved("tool_choice.type", "custom"),
    ),
    (
        chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "g"}}),
        (
            None,
            "tool_choice",
            "Invalid value for 'tool_choice': no function named 'g' was specified in the 'tools' parameter.",
        ),
    ),
    (
        chat(tools=[TOOL], tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": []}}),
        wrong_word("tool_choice.allowed_tools.mode", "none", "'auto' and 'required'"),
    ),
    (
        chat(functions=[{"name": "f"}], function_call={"name": "g"}),
        (
            None,
            "function_call",
            "Invalid value for 'function_call': no function named 'g' was specified in the 'functions' parameter.",
        ),
    ),
    (
        chat(functions=[{"name": "f"}], function_call="required"),
        wrong_word("function_call", "required", "'none' and 'auto'"),
    ),
    # The shape of the answer.
    (
        chat(response_format={"type": "json_object"}),
        (
            None,
            "messages",
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        ),
    ),
    (chat(response_format="json"), mistyped("response_format", "an object", "a string")),
    (
        chat(response_format={"type": "xml"}),
        wrong_word("response_format.type", "xml", "'text', 'json_object', and 'json_schema'"),
    ),
    (chat(response_format={"type": "json_schema"}), absent("response_format.json_schema")),
    (schema(schema={}), absent("response_format.json_schema.name")),
    (schema(name="x", strict=True), absent("response_format.json_schema.schema")),
    (schema(name="x", schema_={}), unknown("response_format.json_schema.schema_")),
    (schema(name="x", schema=5), mistyped("response_format.json_schema.schema", "an object", "an integer")),
    (
        schema(name="x", strict=True, schema=STRICT_NESTED),
        (
            None,
            "response_format",
            f"Invalid schema for response_format 'x': In context=('properties', 'a', 'items'), {CLOSED}",
        ),
    ),
    (
        schema(name="x", strict=True, schema={"type": "array"}),
        (
            None,
            "response_format",
            "Invalid schema for response_format 'x': schema must be a JSON Schema of 'type: \"object\"', got "
            "'type: \"array\"'.",
        ),
    ),
    # The rest.
    (
        chat(metadata={str(i): "" for i in range(17)}),
        (
            "object_above_max_properties",
            "metadata",
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object "
            "with 17 properties instead.",
        ),
    ),
    (chat(metadata={"a": "x" * 513}), too_long("metadata.a", 512, 513)),
    (chat(metadata={"a": 1}), mistyped("metadata.a", "a string", "an integer")),
    (chat(safety_identifier="x" * 65), too_long("safety_identifier", 64, 65)),
    (chat(user=5), mistyped("user", "a string", "an integer")),
    (
        chat(service_tier="gold"),
        wrong_word("service_tier", "gold", "'auto', 'default', 'flex', 'scale', 'priority', and 'fast'"),
    ),
    (chat(service_tier=1), mistyped("service_tier", "a string", "an integer")),
    (chat(verbosity="low"), unserved("verbosity", "low")),
    (chat(modalities=["text", "audio"]), unserved("modalities", "text,audio")),
    (chat(modalities=["smell"]), wrong_word("modalities[0]", "smell", "'text' and 'audio'")),
    (chat(audio={"voice": "x"}), unserved_parameter("audio")),
    (chat(web_search_options={}), unserved_parameter("web_search_options")),
    (chat(moderation={"model": "x"}), unserved_parameter("moderation")),
]


@pytest.mark.parametrize(("body", "expected"), ROWS, ids=[row[1][2][:70] for row in ROWS])
def test_a_wrong_body_is_one_error_in_openais_words(body: object, expected: tuple[str | None, str | None, str]) -> None:
    with pytest.raises(ApiError) as caught:
        read(body)
    error = caught.value
    assert (error.status, error.type) == (400, IRE)
    assert (error.code, error.param, error.message) == expected


def test_an_integer_beyond_64_bits_is_too_large_and_not_a_decimal() -> None:
    for value, code in ((10**30, "integer_above_max_value"), (-(10**30), "integer_below_min_value")):
        with pytest.raises(ApiError) as caught:
            parse(ChatCompletionRequest, orjson.dumps(chat())[:-1] + b',"seed":%d}' % value, b"application/json")
        assert (caught.value.code, caught.value.param) == (code, "seed")


def test_a_very_long_name_is_not_repeated_whole() -> None:
    for body in (chat(**{"x" * 50_000: 1}), chat(metadata={"x" * 50_000: "v"})):
        with pytest.raises(ApiError) as caught:
            read(body)
        assert len(caught.value.message) < 1000


def test_null_means_not_given() -> None:
    nothing = dict.fromkeys(ChatCompletionRequest.model_fields.keys() - {"model", "messages"})
    body = read({**nothing, "model": "m", "messages": [USER]})
    assert body == read(chat())
    assert (body.choice_count, body.token_ceiling, list(body.stop_texts), body.biases) == (1, None, [], {})
    assert not body.wants_usage_chunk
    assert body.calling == Calling()


def test_the_newer_name_of_the_ceiling_wins() -> None:
    assert read(chat(max_tokens=5)).token_ceiling == 5
    assert read(chat(max_tokens=5, max_completion_tokens=7)).token_ceiling == 7


def test_a_stop_text_may_come_alone_or_in_an_array() -> None:
    assert list(read(chat(stop="a")).stop_texts) == ["a"]
    assert list(read(chat(stop=["a", "b"])).stop_texts) == ["a", "b"]


def test_the_usage_chunk_is_wanted_only_from_a_stream_that_asks() -> None:
    assert read(chat(stream=True, stream_options={"include_usage": True})).wants_usage_chunk
    assert not read(chat(stream=True, stream_options={"include_usage": False})).wants_usage_chunk
    assert not read(chat(stream=True)).wants_usage_chunk


def test_biases_are_keyed_by_token_id() -> None:
    assert read(chat(logit_bias={"5": -100, "07": 1.5})).biases == {5: -100, 7: 1.5}


def test_parts_are_joined_as_the_client_cut_them() -> None:
    body = read(part(type="text", text="a ", prompt_cache_breakpoint={"mode": "explicit"}))
    assert text_of(body.messages[0]) == "a "
    body = read(said({"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}))
    assert body.texts == ["a b"]
    body = read(said({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}))
    assert body.texts == ["no"]


def test_an_answer_of_ours_can_be_sent_back_as_it_came() -> None:
    answered = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "reasoning_content": "hm",
        "tool_calls": [CALL, {**CALL, "id": "d"}],
    }
    results = [{"role": "tool", "content": "1", "tool_call_id": i} for i in ("d", "c")]
    assert len(read(said(USER, answered, *results, USER)).messages) == 5


def test_the_legacy_form_of_calls_can_be_sent_back() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    body = read(said(USER, called, {"role": "function", "name": "f", "content": "1"}))
    assert body.texts == ["hi", "", "1"]


@pytest.mark.parametrize(
    ("parameters", "mode", "name", "parallel"),
    [
        ({}, "auto", "", True),
        ({"tool_choice": "none"}, "none", "", True),
        ({"tool_choice": "required", "parallel_tool_calls": False}, "required", "", False),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "named", "f", True),
    ],
)
def test_tools_say_what_may_be_called(parameters: dict[str, Any], mode: str, name: str, parallel: bool) -> None:
    calling = read(chat(tools=[TOOL], **parameters)).calling
    assert [function.name for function in calling.functions] == ["f"]
    assert (calling.mode, calling.name, calling.parallel, calling.legacy) == (mode, name, parallel, False)


def test_allowed_tools_leave_the_others_out() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [other]}}
    calling = read(chat(tools=[TOOL, other], tool_choice=choice)).calling
    assert ([function.name for function in calling.functions], calling.mode) == (["g"], "required")


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [(None, "auto", ""), ("none", "none", ""), ({"name": "f"}, "named", "f")],
)
def test_functions_are_tools_in_their_older_form(choice: object, mode: str, name: str) -> None:
    calling = read(chat(functions=[{"name": "f", "parameters": {"type": "object"}}], function_call=choice)).calling
    assert (calling.mode, calling.name, calling.legacy) == (mode, name, True)
    assert calling.functions[0].parameters_json == '{"type":"object"}'


def test_the_prompts_characters_include_calls_and_tools() -> None:
    called = {"role": "assistant", "tool_calls": [CALL]}
    answer = {"role": "tool", "content": "12345", "tool_call_id": "c"}
    body = read(
        {**said(USER, called, answer), "tools": [{"type": "function", "function": {"name": "ff", "parameters": {}}}]}
    )
    assert body.prompt_characters == len("hi") + len("f") + len("{}") + len("12345") + len("ff") + len("{}")


def test_a_schema_that_is_absent_means_any_json_object() -> None:
    body = read(schema(name="x"))
    assert body.wants_json_object
    assert body.json_schema is None
    body = read(schema(name="x", schema={"type": "array"}))
    assert not body.wants_json_object
    assert body.json_schema == {"type": "array"}


def test_json_mode_needs_the_word_anywhere_in_the_conversation() -> None:
    asked = {"role": "system", "content": [{"type": "text", "text": "Answer in JSON."}]}
    assert read({**said(asked, USER), "response_format": {"type": "json_object"}}).wants_json_object


def test_a_closed_schema_passes_the_strict_rules() -> None:
    closed = {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/b"}]}},
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {"b": {"type": "object", "properties": {}, "required": [], "additionalProperties": False}},
    }
    assert read(schema(name="x", strict=True, schema=closed)).json_schema == closed
    assert read(function(strict=True, parameters=closed)).calling.functions[0].strict


def test_strict_rules_reach_into_definitions() -> None:
    open_inside = {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        "$defs": {"b": {"type": ["object", "null"]}},
    }
    with pytest.raises(ApiError, match=r"In context=\('\$defs', 'b'\)"):
        read(schema(name="x", strict=True, schema=open_inside))


def test_what_is_accepted_without_effect_is_accepted() -> None:
    read(
        chat(
            service_tier="flex",
            store=True,
            metadata={"a": "b"},
            prompt_cache_key="k",
            prompt_cache_retention="24h",
            prompt_cache_options={"ttl": "30m", "mode": "implicit"},
            prediction={"type": "content", "content": "x"},
            modalities=["text"],
            verbosity="medium",
            reasoning_effort="low",
            safety_identifier="u",
        )
    )


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(chat()).temperature = 1.0
