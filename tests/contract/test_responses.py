"""The Responses API, as the official SDK speaks it: every answer and event is also held to OpenAI's document."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests import openai_document

CAPITAL = "What is the capital of France?"
UNSEEN = "Boston"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
        "additionalProperties": False,
    },
    "strict": True,
}


def test_a_question_is_answered_in_the_types_of_the_sdk(strict: OpenAI, model: str) -> None:
    response = strict.responses.create(model=model, input=CAPITAL, temperature=0)
    assert "Paris" in response.output_text
    assert (response.status, response.model, response.error) == ("completed", model, None)
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0
    assert response._request_id.removeprefix("req_") == response.id.removeprefix("resp_")
    openai_document.check("Response", json.loads(response.to_json(exclude_unset=True)))


def test_a_stream_is_put_together_by_the_sdk(client: OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input=CAPITAL, temperature=0) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert "Paris" in final.output_text
    told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert told == final.output_text
    assert final.usage.output_tokens > 0


def test_every_event_is_one_of_the_documents(strict: OpenAI, model: str) -> None:
    events = list(strict.responses.create(model=model, input=CAPITAL, temperature=0, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[1].type, events[-1].type) == (
        "response.created",
        "response.in_progress",
        "response.completed",
    )
    for event in events:
        openai_document.check("ResponseStreamEvent", json.loads(event.to_json(exclude_unset=True)))


def test_a_call_is_made_answered_and_told_from_the_store(strict: OpenAI, model: str) -> None:
    question = f"What is the weather in {UNSEEN}?"
    asked = strict.responses.create(model=model, input=question, tools=[WEATHER], temperature=0)
    (call,) = (item for item in asked.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"location": UNSEEN})
    result: Any = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": '{"temperature": 18, "condition": "foggy"}',
    }
    told = strict.responses.create(
        model=model, previous_response_id=asked.id, input=[result], tools=[WEATHER], temperature=0
    )
    assert "foggy" in told.output_text
    assert told.previous_response_id == asked.id


def test_a_streamed_call_is_put_together_by_the_sdk(client: OpenAI, model: str) -> None:
    question = f"What is the weather in {UNSEEN}?"
    with client.responses.stream(model=model, input=question, tools=[WEATHER], temperature=0) as stream:
        final = stream.get_final_response()
    (call,) = (item for item in final.output if item.type == "function_call")
    assert json.loads(call.arguments) == {"location": UNSEEN}


def test_a_conversation_goes_on_with_the_items_of_the_answer(client: OpenAI, model: str) -> None:
    first = client.responses.create(model=model, input=CAPITAL, temperature=0, store=False)
    items: list[Any] = [{"role": "user", "content": CAPITAL}, *first.output, {"role": "user", "content": "Thank you!"}]
    second = client.responses.create(model=model, input=items, temperature=0)
    assert second.output_text == "You are welcome!"


def test_an_answer_is_parsed_into_a_type(client: OpenAI, model: str) -> None:
    class Place(BaseModel):
        name: str

    parsed = client.responses.parse(
        model=model, input="Where is it? Answer in JSON.", text_format=Place, max_output_tokens=400, temperature=0
    )
    if parsed.status == "completed":
        assert isinstance(parsed.output_parsed, Place)
    assert parsed.text.format.type == "json_schema"


def test_an_answer_that_runs_out_of_tokens_is_incomplete(client: OpenAI, model: str) -> None:
    response = client.responses.create(model=model, input="Tell me a story.", max_output_tokens=16, temperature=0)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 16


def test_log_probabilities_are_told_when_they_are_included(strict: OpenAI, model: str) -> None:
    response = strict.responses.create(
        model=model, input=CAPITAL, temperature=0, include=["message.output_text.logprobs"], top_logprobs=2
    )
    (message,) = response.output
    logprobs = message.content[0].logprobs
    # The token that ends the answer has a probability, and no text.
    assert "".join(entry.token for entry in logprobs).startswith(response.output_text)
    assert all(len(entry.top_logprobs) == 2 for entry in logprobs)


def test_a_kept_response_is_retrieved_listed_and_deleted(client: OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input=CAPITAL, metadata={"case": "kept"}, temperature=0)
    found = client.responses.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    (item,) = client.responses.input_items.list(made.id)
    assert item.content[0].text == CAPITAL
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        client.responses.cancel(made.id)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as refusal:
        client.responses.create(model=model, input=CAPITAL, previous_response_id=made.id)
    assert refusal.value.code == "previous_response_not_found"


def test_many_input_items_come_page_by_page(client: OpenAI, model: str) -> None:
    items: list[Any] = [{"role": "user", "content": str(number)} for number in range(5)]
    made = client.responses.create(model=model, input=items, temperature=0, max_output_tokens=16)
    listed = client.responses.input_items.list(made.id, limit=2, order="asc")
    assert [item.content[0].text for item in listed] == ["0", "1", "2", "3", "4"]


def test_what_is_refused_is_an_error_of_the_sdk(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.responses.create(model="gpt-unknown", input="x")
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as refusal:
        client.responses.create(model=model, input="x", background=True)
    assert refusal.value.param == "background"


def test_an_input_is_counted_as_the_engine_counts_it(strict: OpenAI, model: str) -> None:
    counted = strict.responses.input_tokens.count(model=model, input=CAPITAL, tools=[WEATHER])
    response = strict.responses.create(model=model, input=CAPITAL, tools=[WEATHER], store=False, max_output_tokens=16)
    assert counted.input_tokens == response.usage.input_tokens
