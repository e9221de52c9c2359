"""The forms in which models write function calls."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference import reasoning
from services.inference.settings import Settings
from services.inference.tool_call_forms import FORMS, CallForm
from services.inference.tool_calls_llama import Llama3JsonFinder
from services.inference.tool_calls_mistral import MistralFinder
from services.inference.tool_calls_pythonic import PythonicFinder
from tests.unit.services.inference.calls import NAMES, TEXTS, Call, pieces_of, read

CALL_FORMS = {name: form for name, form in FORMS.items() if form is not None}
any_form = pytest.mark.parametrize("form", CALL_FORMS.values(), ids=CALL_FORMS)

PARIS = '{"city": "Paris"}'
ROME = '{"city": "Rome"}'

LLAMA: list[tuple[str, str, list[Call]]] = [
    ('{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [("get_weather", PARIS)]),
    (' \n{"name":"get_weather","parameters":{"city": "Paris"}}\n', "", [("get_weather", PARIS)]),
    ('{"type": "function", "name": "get_weather", "parameters": {"city": "Paris"}}', "", [("get_weather", PARIS)]),
    ('<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [("get_weather", PARIS)]),
    ('<|python_tag|> {"parameters": {"city": "Paris"}, "name": "get_weather"}', "", [("get_weather", PARIS)]),
    (
        '{"name": "get_weather", "parameters": {"city": "Paris"}}; '
        '{"name": "send_email", "arguments": {"city": "Rome"}}',
        "",
        [("get_weather", PARIS), ("send_email", ROME)],
    ),
    ('I will look.\n{"name": "get_weather", "parameters": {}}', "I will look.", [("get_weather", "{}")]),
    ('{"name": "get_weather"}', "", [("get_weather", "{}")]),
    ('{"name": "get_weather", "parameters": {}} Done; really.', "Done; really.", [("get_weather", "{}")]),
    ('{"name": "get_weather", "parameters": {}}; and so on', "; and so on", [("get_weather", "{}")]),
    ('See {"name": "get_weather", "parameters": {}}', 'See {"name": "get_weather", "parameters": {}}', []),
    ('{"name": "rm_rf", "parameters": {}}', '{"name": "rm_rf", "parameters": {}}', []),
    ('{"capital": "Paris"}', '{"capital": "Paris"}', []),
    ('{"name": "get_wea', '{"name": "get_wea', []),
    ('{"name": "get_weather", "parameters": {"city": "Pa', "", [("get_weather", '{"city": "Pa')]),
    ("<|python_tag|>print(1)", "<|python_tag|>print(1)", []),
    ("a <|pyth", "a <|pyth", []),
]
MISTRAL: list[tuple[str, str, list[Call]]] = [
    ('[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}]', "", [("get_weather", PARIS)]),
    (
        '[TOOL_CALLS][{"name":"get_weather","arguments":{"city": "Paris"}}, '
        '{"arguments": {"city": "Rome"}, "name": "send_email", "id": "abc"}]',
        "",
        [("get_weather", PARIS), ("send_email", ROME)],
    ),
    (
        '[TOOL_CALLS]get_weather{"city": "Paris"}[TOOL_CALLS]send_email{"city": "Rome"}',
        "",
        [("get_weather", PARIS), ("send_email", ROME)],
    ),
    ('[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', "", [("get_weather", PARIS)]),
    ('[TOOL_CALLS]get_weather[CALL_ID]Ab12[ARGS]{"city": "Paris"}', "", [("get_weather", PARIS)]),
    ("I will look. [TOOL_CALLS]get_weather{}", "I will look.", [("get_weather", "{}")]),
    ('[TOOL_CALLS]rm_rf{"a": 1} ok', '[TOOL_CALLS]rm_rf{"a": 1} ok', []),
    ('[TOOL_CALLS] [{"name": "rm_rf", "arguments": {}}]', '[TOOL_CALLS] [{"name": "rm_rf", "arguments": {}}]', []),
    ("[TOOL_CALLS] []", "[TOOL_CALLS] []", []),
    ("[TOOL_CALLS] what?", "[TOOL_CALLS] what?", []),
    ("[TOOL_CALLS]" + "a" * 300, "[TOOL_CALLS]" + "a" * 300, []),
    ("a [TOOL_CA", "a [TOOL_CA", []),
    ('[TOOL_CALLS] [{"name": "get_', '[TOOL_CALLS] [{"name": "get_', []),
    ("[1, 2]", "[1, 2]", []),
]
PYTHONIC: list[tuple[str, str, list[Call]]] = [
    ('[get_weather(city="Paris")]', "", [("get_weather", PARIS)]),
    (
        "[get_weather(city='Paris'), send_email(to=['a', \"b\"], n=-1.5, now=True, cc=None, o={'k': 2},)]",
        "",
        [
            ("get_weather", PARIS),
            ("send_email", '{"to": ["a", "b"], "n": -1.5, "now": true, "cc": null, "o": {"k": 2}}'),
        ],
    ),
    ("[get_weather()]", "", [("get_weather", "{}")]),
    ('[get_weather(**{"city": "Paris"})]', "", [("get_weather", PARIS)]),
    ('<|python_start|>[get_weather(city="Paris")]<|python_end|>', "", [("get_weather", PARIS)]),
    ('I will look.\n[get_weather(city="Paris")] Done.', "I will look.Done.", [("get_weather", PARIS)]),
    ("[get_weather(), ]", "", [("get_weather", "{}")]),
    ("See [get_weather()]", "See [get_weather()]", []),
    ("[rm_rf(a=1)]", "[rm_rf(a=1)]", []),
    ("[get_weather(1)]", "[get_weather(1)]", []),
    ("[get_weather(), rm_rf(a=1)]", ", rm_rf(a=1)]", [("get_weather", "{}")]),
    ("[1, 2, 3]", "[1, 2, 3]", []),
    ("[get_weather(city=open('x'))]", "open('x'))]", [("get_weather", '{"city": ')]),
    ('[get_weather(city="Pa', "", [("get_weather", '{"city": "Pa')]),
    ("[get_weather(n=12", "", [("get_weather", '{"n": 12')]),
    ("[get_wea", "[get_wea", []),
    ("a < b", "a < b", []),
]


@pytest.mark.parametrize(("text", "told", "found"), LLAMA)
def test_llamas_calls_are_found(text: str, told: str, found: list[Call]) -> None:
    assert read(Llama3JsonFinder, [text]) == (told, found)


@pytest.mark.parametrize(("text", "told", "found"), MISTRAL)
def test_mistrals_calls_are_found(text: str, told: str, found: list[Call]) -> None:
    assert read(MistralFinder, [text]) == (told, found)


@pytest.mark.parametrize(("text", "told", "found"), PYTHONIC)
def test_calls_in_python_are_found(text: str, told: str, found: list[Call]) -> None:
    assert read(PythonicFinder, [text]) == (told, found)


def test_an_escape_means_what_it_means_in_python() -> None:
    text = r"""[send_email(a='it\'s \"é\"\n\x41\u00e9\U0001F642\101\q', b="line
break", c='\ud83d\ude42', d='\ud83d')]"""
    _, [(_, arguments)] = read(PythonicFinder, list(text))
    assert json.loads(arguments) == {
        "a": 'it\'s "é"\nAé🙂A\\q',
        "b": "line\nbreak",
        "c": "🙂",
        "d": "\ud83d",
    }
    arguments.encode()


@any_form
@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_is_forced_is_found(form: CallForm, name: str) -> None:
    arguments = '{"city": "Pa]})ris", "n": [true, null]}'
    forced = form.before.replace("NAME", name) + arguments + form.after
    assert forced.startswith(form.trigger.replace("NAME", name))
    assert read(form.finder, list(form.separator.join([forced, forced]))) == ("", [(name, arguments)] * 2)
    assert read(form.finder, [forced, form.separator, forced], limit=1) == ("", [(name, arguments)])


@any_form
def test_arguments_are_told_before_the_call_ends(form: CallForm) -> None:
    finder = form.finder(NAMES)
    finder.feed(form.before.replace("NAME", "get_weather") + '{"ci')
    assert [part.arguments for part in finder.feed('ty": "Par').parts] == ['ty": "Par']


@any_form
@given(text=TEXTS, data=st.data(), limit=st.sampled_from([None, 1]))
def test_the_cut_of_the_text_changes_nothing(form: CallForm, text: str, data: st.DataObject, limit: int | None) -> None:
    whole = read(form.finder, [text], limit=limit)
    assert read(form.finder, pieces_of(text, data), limit=limit) == whole
    assert read(form.finder, list(text), limit=limit) == whole


@any_form
@given(text=TEXTS)
def test_text_without_calls_comes_through_unchanged(form: CallForm, text: str) -> None:
    told, found = read(form.finder, list(text))
    if not found:
        assert told == text


@any_form
@given(text=st.text())
def test_what_could_not_be_said_of_any_function_is_text(form: CallForm, text: str) -> None:
    finder = form.finder(frozenset())
    assert finder.feed(text).text + finder.rest().text == text


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,6}", fullmatch=True),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    ),
    st.data(),
)
def test_literals_of_python_become_json(arguments: dict[str, object], data: st.DataObject) -> None:
    text = f"[get_weather({', '.join(f'{name}={value!r}' for name, value in arguments.items())})]"
    told, [(name, written)] = read(PythonicFinder, pieces_of(text, data))
    assert (told, name, json.loads(written)) == ("", "get_weather", arguments)


def test_every_choice_of_the_settings_has_a_form() -> None:
    fields = Settings.model_fields
    assert set(get_args(fields["tool_call_parser"].annotation)) == FORMS.keys()
    assert set(get_args(fields["reasoning_parser"].annotation)) == reasoning.FORMS.keys()


@any_form
def test_an_engine_can_follow_what_is_forced(form: CallForm) -> None:
    grammar = pytest.importorskip("xgrammar", reason="comes with vLLM")
    tags = [
        {
            "type": "tag",
            "begin": form.before.replace("NAME", name),
            "content": {"type": "json_schema", "json_schema": {"type": "object"}},
            "end": form.after,
        }
        for name in NAMES
    ]
    triggers = sorted({form.trigger.replace("NAME", name) for name in NAMES})
    triggered = {"type": "triggered_tags", "triggers": triggers, "tags": tags, "at_least_one": True}
    separated = {"type": "tags_with_separator", "tags": tags, "separator": form.separator, "at_least_one": True}
    for shape in (triggered, separated):
        grammar.Grammar.from_structural_tag(json.dumps({"type": "structural_tag", "format": shape}))
