"""Bodies of the Responses API: what is taken, and which fault is named how."""

import json
from typing import Any

import pytest

from services.gateway.api_error import ApiError
from services.gateway.schema.parse import parse
from services.gateway.schema.responses import ResponseRequest

LEAST: dict[str, Any] = {"model": "m", "input": "Hello"}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


def read(changes: dict[str, Any]) -> ResponseRequest:
    return parse(ResponseRequest, json.dumps(LEAST | changes).encode(), b"application/json")


def message(content: Any, role: str = "user") -> dict[str, Any]:
    return {"input": [{"role": role, "content": content}]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict.fromkeys(["instructions", "tools", "store", "stream", "conversation", "metadata", "text", "user"]),
        message([{"type": "input_text", "text": "x"}]),
        message("x", "assistant"),
        message([{"type": "output_text", "text": "x", "annotations": [], "logprobs": []}], "assistant"),
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"id": "msg_1"}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None, "status": None}]},
        {"tools": [], "tool_choice": "auto"},
        {"background": False, "truncation": "disabled", "include": ["reasoning.encrypted_content"]},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"temperature": 0, "top_p": 1, "max_output_tokens": 16, "max_tool_calls": 1, "top_logprobs": 20},
        {"reasoning": {"effort": "high", "summary": "auto"}, "text": {"verbosity": "medium"}},
    ],
)
def test_a_right_body_is_taken(changes: dict[str, Any]) -> None:
    assert read(changes).model == "m"


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"wrong": 1}, "unknown_parameter", "wrong"),
        ({"messages": []}, "unknown_parameter", "messages"),
        ({"input": None}, "invalid_type", "input"),
        ({"input": 1}, "invalid_type", "input"),
        ({"input": []}, "empty_array", "input"),
        ({"input": ["x"]}, "invalid_type", "input[0]"),
        ({"input": [{"type": "nonsense"}]}, "invalid_value", "input[0].type"),
        ({"input": [{}]}, "missing_required_parameter", "input[0].type"),
        (message("x", "robot"), "invalid_value", "input[0].role"),
        ({"input": [{"role": "user"}]}, "missing_required_parameter", "input[0].content"),
        (message(None), "invalid_type", "input[0].content"),
        (message([{"type": "text", "text": "x"}]), "invalid_value", "input[0].content[0].type"),
        (message([{"type": "input_image", "image_url": "x"}]), "unsupported_value", "input[0].content[0].type"),
        (message([{"type": "input_text", "text": "x"}], "assistant"), "invalid_value", "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}, None, "input[0].call_id"),
        ({"max_output_tokens": 15}, "integer_below_min_value", "max_output_tokens"),
        ({"temperature": 2.5}, "decimal_above_max_value", "temperature"),
        ({"top_p": -1}, "decimal_below_min_value", "top_p"),
        ({"top_logprobs": 21}, "integer_above_max_value", "top_logprobs"),
        ({"store": "yes"}, "invalid_type", "store"),
        ({"metadata": {"k": 1}}, "invalid_type", "metadata.k"),
        ({"metadata": {str(n): "" for n in range(17)}}, "object_above_max_properties", "metadata"),
        ({"include": ["everything"]}, "invalid_value", "include[0]"),
        ({"truncation": "auto"}, "unsupported_value", "truncation"),
        ({"background": True}, "unsupported_parameter", "background"),
        ({"conversation": {"id": "conv_1"}}, "unsupported_parameter", "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "unsupported_parameter", "prompt"),
        ({"tools": [{"type": "web_search"}]}, "unsupported_value", "tools[0].type"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "invalid_value", "tools[0].name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "missing_required_parameter",
            "tools[0].name",
        ),
        (
            {"tools": [{"type": "function", "name": "f", "strict": True, "parameters": OPEN}]},
            "invalid_function_parameters",
            "tools[0].parameters",
        ),
        ({"tool_choice": "required"}, None, "tool_choice"),
        ({"tool_choice": "must"}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "f"}}, None, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "unsupported_value", "tool_choice.type"),
        ({"text": {"verbosity": "low"}}, "unsupported_value", "text.verbosity"),
        ({"text": {"format": {"type": "yaml"}}}, "invalid_value", "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "missing_required_parameter", "text.format.name"),
        (
            {"text": {"format": {"type": "json_schema", "name": "s", "schema": OPEN, "strict": True}}},
            "invalid_json_schema",
            "text.format.schema",
        ),
        ({"stream_options": {}}, None, "stream_options"),
    ],
)
def test_a_wrong_body_is_refused_by_name(changes: dict[str, Any], code: str | None, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(changes)
    assert (refused.value.status, refused.value.param) == (400, param), refused.value.message
    if code is not None:
        assert refused.value.code == code
    assert "pydantic" not in refused.value.message


@pytest.mark.parametrize("name", ["model", "input"])
def test_what_is_needed_is_asked_for(name: str) -> None:
    body = {key: value for key, value in LEAST.items() if key != name}
    with pytest.raises(ApiError) as refused:
        parse(ResponseRequest, json.dumps(body).encode(), b"application/json")
    assert name in refused.value.message


def test_only_named_functions_may_be_called_when_the_choice_says_so() -> None:
    tools = [{"type": "function", "name": name} for name in ("f", "g")]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    calling = read({"tools": tools, "tool_choice": allowed, "parallel_tool_calls": False}).calling
    assert ([function.name for function in calling.functions], calling.mode, calling.parallel) == (
        ["g"],
        "required",
        False,
    )
