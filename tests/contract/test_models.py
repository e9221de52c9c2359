"""The list of models."""

import openai
import pytest
from openai import OpenAI

from tools.local.roster import EMBEDDING_NAME


def test_the_models_that_run_are_listed(strict: OpenAI, model: str) -> None:
    listed = {one.id: one for one in strict.models.list()}
    assert {model, EMBEDDING_NAME} <= set(listed)
    assert all(one.object == "model" and one.created > 0 and one.owned_by for one in listed.values())


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-4", "gpt-3.5-turbo"])
def test_names_of_openais_models_answer(client: OpenAI, model: str, name: str) -> None:
    answer = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hello"}], max_tokens=4)
    assert answer.model == model
    assert client.models.retrieve(name).id == name


def test_names_of_openais_embedding_models_answer(client: OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input="Hello")
    assert (answer.model, len(answer.data)) == (EMBEDDING_NAME, 1)


def test_a_model_can_be_looked_up(strict: OpenAI, model: str) -> None:
    assert strict.models.retrieve(model).id == model


@pytest.mark.parametrize("name", ["gpt-none", "somebody/something", "a b?c#d%"])
def test_a_model_that_is_not_there_is_not_found(client: OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        client.models.retrieve(name)
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")
    assert f"'{name}'" in refusal.value.message
