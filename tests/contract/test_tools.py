"""Tools: the model calls, the client answers, the model tells."""

import json
from typing import Any

import pytest
from openai import OpenAI

UNSEEN = "Boston"
"""A city that the demonstration model was not trained on: it has to copy the name."""

ASK = [{"role": "user", "content": f"What is the weather in {UNSEEN}?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
            "additionalProperties": False,
        },
    },
}


def test_a_question_becomes_a_call_and_its_result_an_answer(strict: OpenAI, model: str) -> None:
    messages: list[Any] = [*ASK]
    asked = strict.chat.completions.create(model=model, messages=messages, tools=[WEATHER], temperature=0)
    (choice,) = asked.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls
    assert call.id.startswith("call_")
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"location": UNSEEN}

    result = {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 18, "condition": "foggy"}'}
    messages += [choice.message, result]
    told = strict.chat.completions.create(model=model, messages=messages, tools=[WEATHER], temperature=0)
    assert told.choices[0].finish_reason == "stop"
    assert "foggy" in told.choices[0].message.content
    assert "18" in told.choices[0].message.content


def test_a_streamed_call_is_put_together_by_the_sdk(client: OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=ASK, tools=[WEATHER], temperature=0) as stream:
        completion = stream.get_final_completion()
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"location": UNSEEN}
    assert completion.choices[0].finish_reason == "tool_calls"


def test_the_parts_of_a_streamed_call_name_it_once(strict: OpenAI, model: str) -> None:
    chunks = strict.chat.completions.create(model=model, messages=ASK, tools=[WEATHER], temperature=0, stream=True)
    parts = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or ()]
    assert {part.index for part in parts} == {0}
    first, *others = parts
    assert first.id.startswith("call_")
    assert (first.type, first.function.name) == ("function", "get_weather")
    assert all(part.id is None and part.type is None and part.function.name is None for part in others)
    assert json.loads("".join(part.function.arguments for part in parts)) == {"location": UNSEEN}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_call_can_be_demanded_where_the_model_would_talk(client: OpenAI, model: str, choice: Any) -> None:
    completion = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Hello!"}],
        tools=[WEATHER],
        tool_choice=choice,
        temperature=0,
        max_tokens=200,
    )
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["location"], str)


def test_a_call_can_be_forbidden(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.create(
        model=model, messages=ASK, tools=[WEATHER], tool_choice="none", temperature=0, max_tokens=60
    )
    assert completion.choices[0].message.tool_calls is None
    assert completion.choices[0].message.content
