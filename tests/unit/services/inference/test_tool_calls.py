"""The finder of Hermes' function calls: what it tells does not depend on how the text was cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.tool_calls_hermes import BEGIN, END, HermesFinder
from tests.unit.services.inference import calls
from tests.unit.services.inference.calls import NAMES, Call


def read(pieces: list[str], *, limit: int | None = None) -> tuple[str, list[Call]]:
    return calls.read(HermesFinder, pieces, limit=limit)


def call(name: str, arguments: object) -> str:
    return f'{BEGIN}\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n{END}'


def test_a_call_is_no_text() -> None:
    assert read([call("get_weather", {"city": "Paris"})]) == ("", [("get_weather", '{"city": "Paris"}')])


def test_text_before_a_call_is_told_without_the_gap() -> None:
    text, found = read(["I will look.\n" + call("get_weather", {})])
    assert (text, found) == ("I will look.", [("get_weather", "{}")])


def test_calls_follow_each_other() -> None:
    text, found = read([call("get_weather", {"a": 1}) + "\n" + call("send_email", {"b": [1, {"c": "}"}]})])
    assert text == ""
    assert found == [("get_weather", '{"a": 1}'), ("send_email", '{"b": [1, {"c": "}"}]}')]


def test_text_between_and_after_calls_is_told() -> None:
    text, found = read([call("get_weather", {}) + " and then " + call("get_weather", {}) + "\nIs that so? "])
    assert text == "and thenIs that so? "
    assert len(found) == 2


def test_arguments_are_told_before_the_call_ends() -> None:
    finder = HermesFinder(NAMES)
    finder.feed(f'{BEGIN}\n{{"name": "get_weather", "arguments": {{"ci')
    assert [part.arguments for part in finder.feed('ty": "Par').parts] == ['ty": "Par']


def test_a_brace_or_a_tag_in_a_string_ends_nothing() -> None:
    tricky = {"a": '}{][ \\" ' + END}
    assert read([call("send_email", tricky)]) == ("", [("send_email", json.dumps(tricky))])


@pytest.mark.parametrize(
    "inside",
    [
        '{"arguments": {"city": "Rome"}, "name": "get_weather"}',
        '{"name": "get_weather", "parameters": {"city": "Rome"}}',
        '{"name": "get_weather", "arguments": "{\\"city\\": \\"Rome\\"}"}',
        '{"id": 7, "name": "get_weather", "arguments": {"city": "Rome"}}',
    ],
)
def test_other_forms_of_a_call_are_understood(inside: str) -> None:
    text, [(name, arguments)] = read([f"{BEGIN}{inside}{END}"])
    assert (text, name, json.loads(arguments)) == ("", "get_weather", {"city": "Rome"})


@pytest.mark.parametrize("inside", ['{"name": "get_weather"}', '{"name": "get_weather", "arguments": null}'])
def test_a_call_without_arguments_has_an_empty_object(inside: str) -> None:
    assert read([f"{BEGIN}{inside}{END}"]) == ("", [("get_weather", "{}")])


@pytest.mark.parametrize(
    "inside",
    ["not json", '{"name": "rm_rf", "arguments": {}}', '{"name": 5, "arguments": {}}', "[]", '{"arguments": {}}', ""],
)
def test_what_is_no_call_of_a_known_function_is_text(inside: str) -> None:
    whole = f"See: {BEGIN}{inside}{END} there"
    assert read([whole]) == (whole, [])


def test_an_opening_tag_without_an_end_is_text() -> None:
    whole = f'Look \n{BEGIN}\n{{"name": "get_we'
    assert read([whole]) == (whole, [])


def test_a_call_cut_off_in_its_arguments_tells_what_there_was() -> None:
    assert read([f'{BEGIN}{{"name": "get_weather", "arguments": {{"city": "Pa']) == (
        "",
        [("get_weather", '{"city": "Pa')],
    )


def test_arguments_that_never_close_end_at_the_tag() -> None:
    text, found = read([f'{BEGIN}{{"name": "get_weather", "arguments": {{"a": 1{END}bye'])
    assert (text, found) == ("bye", [("get_weather", '{"a": 1')])


def test_text_after_a_call_without_a_closing_tag_is_told() -> None:
    text, found = read([f'{BEGIN}{{"name": "get_weather", "arguments": {{}}}} I think.'])
    assert (text, found) == ("I think.", [("get_weather", "{}")])


def test_calls_beyond_the_limit_are_dropped_with_what_follows() -> None:
    text, found = read([call("get_weather", {}) + call("send_email", {}) + "bye"], limit=1)
    assert (text, found) == ("", [("get_weather", "{}")])


def test_text_that_only_begins_like_a_tag_is_told_in_the_end() -> None:
    assert read(["a < b and <tool", "_bar"]) == ("a < b and <tool_bar", [])
    assert read(["the end <tool_"]) == ("the end <tool_", [])


@given(st.text().filter(lambda text: BEGIN not in text))
def test_text_without_calls_comes_through_unchanged(text: str) -> None:
    assert read(list(text)) == (text, [])
