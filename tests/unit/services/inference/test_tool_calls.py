"""The finder of function calls: what it tells does not depend on how the text was cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.tool_calls import BEGIN, END, ToolCallFinder

NAMES = frozenset({"get_weather", "send_email"})

Call = tuple[str, str]


def read(pieces: list[str], *, limit: int | None = None) -> tuple[str, list[Call]]:
    """All text and all calls, put together from the parts."""
    finder = ToolCallFinder(NAMES, limit=limit)
    text: list[str] = []
    calls: dict[int, Call] = {}
    for found in [*map(finder.feed, pieces), finder.rest()]:
        text.append(found.text)
        for part in found.parts:
            assert bool(part.name) == (part.call not in calls), "the name comes once, first"
            name, arguments = calls.get(part.call, (part.name, ""))
            calls[part.call] = name, arguments + part.arguments
    assert list(calls) == list(range(len(calls)))
    return "".join(text), list(calls.values())


def call(name: str, arguments: object) -> str:
    return f'{BEGIN}\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n{END}'


def test_a_call_is_no_text() -> None:
    assert read([call("get_weather", {"city": "Paris"})]) == ("", [("get_weather", '{"city": "Paris"}')])


def test_text_before_a_call_is_told_without_the_gap() -> None:
    text, calls = read(["I will look.\n" + call("get_weather", {})])
    assert (text, calls) == ("I will look.", [("get_weather", "{}")])


def test_calls_follow_each_other() -> None:
    text, calls = read([call("get_weather", {"a": 1}) + "\n" + call("send_email", {"b": [1, {"c": "}"}]})])
    assert text == ""
    assert calls == [("get_weather", '{"a": 1}'), ("send_email", '{"b": [1, {"c": "}"}]}')]


def test_text_between_and_after_calls_is_told() -> None:
    text, calls = read([call("get_weather", {}) + " and then " + call("get_weather", {}) + "\nIs that so? "])
    assert text == "and thenIs that so? "
    assert len(calls) == 2


def test_arguments_are_told_before_the_call_ends() -> None:
    finder = ToolCallFinder(NAMES)
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
    text, calls = read([f'{BEGIN}{{"name": "get_weather", "arguments": {{"a": 1{END}bye'])
    assert (text, calls) == ("bye", [("get_weather", '{"a": 1')])


def test_calls_beyond_the_limit_are_dropped_with_what_follows() -> None:
    text, calls = read([call("get_weather", {}) + call("send_email", {}) + "bye"], limit=1)
    assert (text, calls) == ("", [("get_weather", "{}")])


def test_text_that_only_begins_like_a_tag_is_told_in_the_end() -> None:
    assert read(["a < b and <tool", "_bar"]) == ("a < b and <tool_bar", [])
    assert read(["the end <tool_"]) == ("the end <tool_", [])


PIECES = st.one_of(
    st.sampled_from([BEGIN, END, "<", "<tool", "_call>", "\n", " ", "{", "}", '"', "\\", "hello", "é🙂"]),
    st.builds(
        call, st.sampled_from(["get_weather", "send_email", "rm_rf"]), st.dictionaries(st.text(max_size=5), st.text())
    ),
    st.text(max_size=8),
)


@given(st.lists(PIECES, max_size=8).map("".join), st.data(), st.sampled_from([None, 1]))
def test_the_cut_of_the_text_changes_nothing(text: str, data: st.DataObject, limit: int | None) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(pieces, limit=limit) == read([text], limit=limit)
    assert read(list(text), limit=limit) == read([text], limit=limit)


@given(st.text().filter(lambda text: BEGIN not in text))
def test_text_without_calls_comes_through_unchanged(text: str) -> None:
    assert read(list(text)) == (text, [])
