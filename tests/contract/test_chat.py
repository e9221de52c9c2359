"""Chat, as the official SDK speaks it."""

import asyncio
import json
import math
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
STORY = [{"role": "user", "content": "Tell me a story."}]


def test_a_question_is_answered(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.create(model=model, messages=CAPITAL)
    (choice,) = completion.choices
    assert "Paris" in choice.message.content
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert completion.id.startswith("chatcmpl-")
    assert completion.object == "chat.completion"
    assert completion.model == model
    assert completion.system_fingerprint
    assert completion._request_id.startswith("req_")
    usage = completion.usage
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_an_answer_has_every_type_that_the_sdk_declares(strict: OpenAI, model: str) -> None:
    completion = strict.chat.completions.create(
        model=model, messages=CAPITAL, n=2, logprobs=True, top_logprobs=2, temperature=0
    )
    assert all("Paris" in choice.message.content for choice in completion.choices)


def test_a_conversation_goes_on(client: OpenAI, model: str) -> None:
    messages: list[Any] = [*CAPITAL]
    first = client.chat.completions.create(model=model, messages=messages, temperature=0)
    messages += [first.choices[0].message, {"role": "user", "content": "Thank you!"}]
    second = client.chat.completions.create(model=model, messages=messages, temperature=0)
    assert second.choices[0].message.content == "You are welcome!"


def test_content_may_come_in_parts(client: OpenAI, model: str) -> None:
    parts = [{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}]
    completion = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": parts}], temperature=0
    )
    assert "Paris" in completion.choices[0].message.content


async def test_the_async_client_gets_the_same(sdk: dict[str, Any], model: str) -> None:
    async with AsyncOpenAI(**sdk) as client:
        completion = await client.chat.completions.create(model=model, messages=CAPITAL, temperature=0)
        stream = await client.chat.completions.create(model=model, messages=CAPITAL, temperature=0, stream=True)
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert "Paris" in completion.choices[0].message.content
    assert streamed == completion.choices[0].message.content


async def test_requests_at_the_same_time_do_not_mix(sdk: dict[str, Any], model: str) -> None:
    questions = {
        "What is the capital of France?": "Paris",
        "What is 12 * 12?": "144",
        "Count to 10": "8, 9, 10",
    }

    async def ask(client: AsyncOpenAI, question: str) -> str:
        completion = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], temperature=0
        )
        return completion.choices[0].message.content or ""

    async with AsyncOpenAI(**sdk) as client:
        answers = await asyncio.gather(*(ask(client, question) for question in questions))
    for answer, expected in zip(answers, questions.values(), strict=True):
        assert expected in answer


def test_several_choices_are_numbered_and_paid_together(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.create(model=model, messages=CAPITAL, n=2, max_tokens=3)
    assert [choice.index for choice in completion.choices] == [0, 1]
    assert all(choice.message.content for choice in completion.choices)
    assert completion.usage.completion_tokens == 6


@pytest.mark.parametrize("stop", ["5", ["x", "5"]])
def test_an_answer_ends_before_a_stop_text(client: OpenAI, model: str, stop: Any) -> None:
    completion = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Count to 10"}], stop=stop, temperature=0
    )
    (choice,) = completion.choices
    assert choice.message.content.rstrip() == "1, 2, 3, 4,"
    assert choice.finish_reason == "stop"


def test_a_seed_makes_chance_repeatable(client: OpenAI, model: str) -> None:
    def told(seed: int) -> str:
        completion = client.chat.completions.create(
            model=model, messages=STORY, temperature=1.9, seed=seed, max_tokens=24
        )
        return completion.choices[0].message.content or ""

    assert told(7) == told(7)
    assert len({told(seed) for seed in range(5)}) > 1


def test_log_probabilities_belong_to_the_answers_tokens(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.create(
        model=model, messages=CAPITAL, temperature=0, logprobs=True, top_logprobs=3
    )
    (choice,) = completion.choices
    tokens = choice.logprobs.content
    assert b"".join(bytes(token.bytes or b"") for token in tokens).decode().startswith(choice.message.content)
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        likeliest = max(token.top_logprobs, key=lambda one: one.logprob)
        assert likeliest.token == token.token
        assert math.isclose(likeliest.logprob, token.logprob)


def test_an_answer_can_be_cut_after_one_token(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.create(model=model, messages=CAPITAL, max_tokens=1)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 1


class Person(BaseModel):
    name: str
    age: int


def test_an_answer_follows_a_schema(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": "Extract name and age as JSON: Anna is 31 years old."}],
        response_format=Person,
        temperature=0,
        max_tokens=60,
    )
    assert completion.choices[0].message.parsed == Person(name="Anna", age=31)


def test_a_schema_binds_also_where_the_model_would_say_something_else(client: OpenAI, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "sure": {"type": "boolean"}},
        "required": ["colour", "sure"],
        "additionalProperties": False,
    }
    completion = client.chat.completions.create(
        model=model,
        messages=CAPITAL,
        temperature=1.5,
        response_format={"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, "strict": True}},
    )
    answer = json.loads(completion.choices[0].message.content)
    assert set(answer) == {"colour", "sure"}
    assert answer["colour"] in {"red", "green"}
    assert isinstance(answer["sure"], bool)


def test_json_mode_answers_an_object(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Make a JSON object with name Anna and city Rome."}],
        temperature=0,
        response_format={"type": "json_object"},
        max_tokens=100,
    )
    assert isinstance(json.loads(completion.choices[0].message.content), dict)
