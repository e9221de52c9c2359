"""References inside of JSON Schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.gateway.api_error import ApiError
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.schema.parse import parse
from services.gateway.schema.references import MAX_NODES, MAX_REFERENCES, broken_reference
from services.gateway.schema.responses import ResponseRequest

TEXT = {"type": "string"}
TREE = {"type": "object", "properties": {"left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
REMOTE = {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema.json"}}}


def defs(**definitions: Any) -> dict[str, Any]:
    return {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": definitions}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        TREE,
        defs(a=TEXT),
        defs(a=True),
        defs(a={"type": "array", "items": {"$ref": "#/$defs/a"}}),
        defs(a={"$ref": "#/$defs/b"}, b=TEXT),
        defs(a={"anyOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]}, b=TEXT),
        {"definitions": {"a/b ~": TEXT}, "items": {"$ref": "#/definitions/a~1b%20~0"}},
        {"anyOf": [TEXT, {"type": "array", "items": {"$ref": "#/anyOf/0"}}]},
        {"properties": {"$ref": TEXT, "default": TEXT}, "items": {"$ref": "#/properties/default"}},
        {"enum": [{"$ref": "https://example.com"}], "default": {"$ref": "x"}, "const": {"$ref": "x"}},
    ],
)
def test_references_into_the_schema_are_fine(schema: dict[str, Any]) -> None:
    assert broken_reference(schema) is None


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (REMOTE, "In context=('properties', 'a'), '$ref' to 'https://example.com/schema.json' leaves the schema"),
        ({"$ref": "file:///etc/passwd"}, "leaves the schema"),
        ({"$ref": "other.json#/a"}, "leaves the schema"),
        ({"$ref": ""}, "leaves the schema"),
        ({"items": {"$dynamicRef": "https://example.com"}}, "leaves the schema"),
        ({"anyOf": [{"not": {"$ref": "//example.com/x"}}]}, "In context=('anyOf', '0', 'not')"),
        ({"properties": {"default": {"$ref": "x.json"}}}, "In context=('properties', 'default')"),
        ({"x-mine": [{"$ref": "x.json"}]}, "leaves the schema"),
        ({"items": {"$ref": "https://example.com/" + "a" * 5000}}, "aaa…' leaves the schema"),
        ({"$ref": "#/$defs/a"}, "cannot be resolved"),
        ({"$ref": "#anchor"}, "cannot be resolved"),
        ({"$ref": "#/"}, "cannot be resolved"),
        ({"$ref": "#/anyOf/7", "anyOf": [{}]}, "cannot be resolved"),
        ({"$ref": "#/anyOf/x", "anyOf": [{}]}, "cannot be resolved"),
        ({"$ref": "#/title", "title": "a text"}, "cannot be resolved"),
        ({"$ref": "#/default/a", "default": {"a": {"$ref": "https://example.com"}}}, "cannot be resolved"),
        ({"$ref": "#"}, "circle"),
        (defs(a={"$ref": "#/$defs/a"}), "circle"),
        (defs(a={"$ref": "#/$defs/b"}, b={"$ref": "#/$defs/a"}), "circle"),
        (defs(a={"anyOf": [TEXT, {"$ref": "#/$defs/a"}]}), "circle"),
        (defs(a={"allOf": [{"not": {"if": {"$ref": "#/$defs/a"}}}]}), "circle"),
    ],
)
def test_all_others_are_refused(schema: dict[str, Any], why: str) -> None:
    assert why in str(broken_reference(schema))


def test_a_hostile_schema_is_bounded_work() -> None:
    """Each would take minutes if every reference were followed on its own."""
    many = {f"p{i}": {"$ref": "#/$defs/a"} for i in range(MAX_REFERENCES + 1)}
    assert "references" in str(broken_reference({"properties": many, "$defs": {"a": TEXT}}))
    chain: dict[str, Any] = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(900)}
    assert broken_reference({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": chain | {"d900": TEXT}}) is None
    assert "parts" in str(broken_reference({"anyOf": [{} for _ in range(MAX_NODES)]}))
    assert "cannot be resolved" in str(broken_reference({"$ref": "#/" + "a/" * 1_000_000}))


def function(**more: Any) -> dict[str, Any]:
    return {"name": "f", "parameters": REMOTE} | more


CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
RESPONSE: dict[str, Any] = {"model": "m", "input": "x"}


@pytest.mark.parametrize("strict", [None, False])
@pytest.mark.parametrize(
    ("request_type", "changes", "param", "code"),
    [
        (
            ChatCompletionRequest,
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": REMOTE}}},
            "response_format",
            None,
        ),
        (
            ChatCompletionRequest,
            {"tools": [{"type": "function", "function": {"name": "g"}}, {"type": "function", "function": function()}]},
            "tools[1].function.parameters",
            "invalid_function_parameters",
        ),
        (ChatCompletionRequest, {"functions": [function()]}, "functions[0].parameters", "invalid_function_parameters"),
        (
            ResponseRequest,
            {"text": {"format": {"type": "json_schema", "name": "x", "schema": REMOTE}}},
            "text.format.schema",
            "invalid_json_schema",
        ),
        (
            ResponseRequest,
            {"tools": [function(type="function")]},
            "tools[0].parameters",
            "invalid_function_parameters",
        ),
    ],
)
def test_every_place_that_takes_a_schema_refuses_remote_references(
    request_type: type[Any], changes: dict[str, Any], param: str, code: str | None, strict: bool | None
) -> None:
    body = json.loads(json.dumps((CHAT if request_type is ChatCompletionRequest else RESPONSE) | changes))
    for place in (
        *(tool.get("function", tool) for tool in body.get("tools", ())),
        *([body["response_format"]["json_schema"]] if "response_format" in body else ()),
        *([body["text"]["format"]] if "text" in body else ()),
    ):
        place["strict"] = strict
    with pytest.raises(ApiError) as refusal:
        parse(request_type, json.dumps(body).encode(), b"application/json")
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, param, code)
    assert "leaves the schema" in str(refusal.value.message)
