"""The list of models."""

import openai
import pytest
from openai import OpenAI

from tools.local.roster import EMBEDDING_NAME


def test_the_models_that_run_are_listed(strict: OpenAI, model: str) -> None:
    listed = {one.id: one for one in strict.models.list()}
    assert {model, EMBEDDING_NAME} <= set(listed)
    assert all(one.object == "model" and one.created > 0 and one.owned_by for one in listed.values())


def test_a_model_can_be_looked_up(strict: OpenAI, model: str) -> None:
    assert strict.models.retrieve(model).id == model


@pytest.mark.parametrize("name", ["gpt-none", "somebody/something", "a b?c#d%"])
def test_a_model_that_is_not_there_is_not_found(client: OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        client.models.retrieve(name)
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")
    assert f"'{name}'" in refusal.value.message
