"""Which shape an answer must have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.inference.answer_format import constraint_of
from services.inference.prompts import Conversation, Function
from services.inference.request import Constraint, Grammar, JsonObject, JsonSchema, Regex, StructuralTag
from services.inference.tool_call_forms import FORMS, CallForm

CALL_FORMS = {name: form for name, form in FORMS.items() if form is not None}
HERMES = CALL_FORMS["hermes"]
PLAIN = Function("f", "", {"type": "object", "properties": {"a": {"type": "integer"}}})
STRICT = Function("g", "", {"type": "object"}, strict=True)


def form(wanted: Constraint | None, parser: CallForm = HERMES, **conversation: Any) -> Any:
    constraint = constraint_of(wanted, Conversation([{"role": "user", "content": ""}], **conversation), parser)
    return json.loads(constraint.tag)["format"] if isinstance(constraint, StructuralTag) else constraint


def test_free_text_is_free() -> None:
    assert form(None) is None
    assert form(None, functions=[PLAIN]) is None


def test_a_format_without_functions_is_the_format() -> None:
    assert form(JsonObject()) == JsonObject()
    assert form(JsonObject(), functions=[PLAIN], choice="none") == JsonObject()


def test_a_strict_function_shapes_its_calls_and_leaves_text_free() -> None:
    told = form(None, functions=[PLAIN, STRICT])
    assert (told["type"], told["at_least_one"], len(told["tags"])) == ("triggered_tags", False, 2)


def test_a_named_function_is_called_once() -> None:
    told = form(None, functions=[PLAIN, STRICT], choice="named", named="f")
    assert (told["at_least_one"], told["stop_after_first"]) == (True, True)
    [tag] = told["tags"]
    assert tag["begin"] == '<tool_call>\n{"name": "f", "arguments": '
    assert tag["content"]["json_schema"] == PLAIN.parameters
    assert tag["end"] == "}\n</tool_call>"


@pytest.mark.parametrize(("parallel", "once"), [(True, False), (False, True)])
def test_required_calls_may_be_several_if_parallel(parallel: bool, once: bool) -> None:
    told = form(None, functions=[PLAIN], choice="required", parallel=parallel)
    assert (told["at_least_one"], told["stop_after_first"]) == (True, once)


@pytest.mark.parametrize(
    "wanted", [JsonSchema('{"type": "object"}'), JsonObject(), Regex("a+"), Grammar('root ::= "a"')]
)
def test_with_a_format_the_answer_is_calls_or_the_format(wanted: Constraint) -> None:
    told = form(wanted, functions=[PLAIN])
    assert told["type"] == "or"
    assert told["elements"][1]["type"] == "tags_with_separator"


def test_what_must_be_called_leaves_no_room_for_a_format() -> None:
    assert form(JsonObject(), functions=[PLAIN], choice="required")["type"] == "triggered_tags"


def test_a_function_without_parameters_takes_an_object() -> None:
    told = form(None, functions=[Function("f")], choice="required")
    assert told["tags"][0]["content"]["json_schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("llama3_json", '{"name": "f", "parameters": ', "}"),
        ("mistral", "[TOOL_CALLS]f[ARGS]", ""),
        ("pythonic", "[f(**", ")]"),
    ],
)
def test_other_models_are_forced_in_their_own_form(name: str, begin: str, end: str) -> None:
    told = form(None, CALL_FORMS[name], functions=[PLAIN, STRICT], choice="required")
    assert told["tags"][0]["begin"] == begin
    assert len(told["tags"]) == 2
    assert {tag["end"] for tag in told["tags"]} == {end}
    assert all(sum(tag["begin"].startswith(trigger) for trigger in told["triggers"]) == 1 for tag in told["tags"])
