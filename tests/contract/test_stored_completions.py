"""Stored chat completions, as the official SDK speaks them."""

import json
import secrets
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests import openai_document

CAPITAL: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]


def test_a_stored_completion_is_found_changed_and_deleted(client: OpenAI, model: str) -> None:
    case = secrets.token_hex(8)
    made = client.chat.completions.create(
        model=model, messages=CAPITAL, store=True, metadata={"case": case}, temperature=0
    )
    found = client.chat.completions.retrieve(made.id)
    assert found.choices[0].message.content == made.choices[0].message.content
    openai_document.check("CreateChatCompletionResponse", json.loads(found.to_json(exclude_unset=True)))
    (listed,) = client.chat.completions.list(metadata={"case": case}, model=model)
    assert listed.id == made.id
    (message,) = client.chat.completions.messages.list(made.id)
    assert (message.id, message.content) == (f"{made.id}-0", CAPITAL[0]["content"])
    changed = client.chat.completions.update(made.id, metadata={"case": "changed " + case})
    assert changed.to_dict()["metadata"] == {"case": "changed " + case}
    assert list(client.chat.completions.list(metadata={"case": case})) == []
    deleted = client.chat.completions.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "chat.completion.deleted")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(made.id)


def test_a_streamed_completion_is_stored_and_an_unstored_one_is_not(client: OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=CAPITAL, temperature=0, store=True) as stream:
        made = stream.get_final_completion()
    assert "Paris" in client.chat.completions.retrieve(made.id).choices[0].message.content
    unstored = client.chat.completions.create(model=model, messages=CAPITAL, temperature=0)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(unstored.id)


def test_a_list_is_walked_page_by_page_from_the_oldest(client: OpenAI, model: str) -> None:
    case = secrets.token_hex(8)
    made = [
        client.chat.completions.create(
            model=model, messages=CAPITAL, store=True, metadata={"case": case}, max_tokens=1
        ).id
        for _ in range(3)
    ]
    walked = client.chat.completions.list(metadata={"case": case}, limit=1)
    assert [completion.id for completion in walked] == made
