"""Embeddings: unit vectors in which what means the same is near."""

import math
from collections.abc import Sequence

import openai
import pytest
from openai import OpenAI

from tests.contract.suite import Suite
from tools.local.roster import EMBEDDING_NAME

DIMENSIONS = 384


def length(vector: Sequence[float]) -> float:
    return math.sqrt(sum(number * number for number in vector))


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def vectors(client: OpenAI, *texts: str) -> list[list[float]]:
    answer = client.embeddings.create(model=EMBEDDING_NAME, input=list(texts))
    assert [one.index for one in answer.data] == list(range(len(texts)))
    return [one.embedding for one in answer.data]


def test_a_vector_has_length_one(client: OpenAI) -> None:
    (vector,) = vectors(client, "A cat sits on the mat.")
    assert len(vector) == DIMENSIONS
    assert math.isclose(length(vector), 1, abs_tol=1e-4)


def test_numbers_and_base64_are_the_same(strict: OpenAI, client: OpenAI) -> None:
    """The SDK asks for base64 by itself, and decodes it."""
    text = "A cat sits on the mat."
    plain = strict.embeddings.create(model=EMBEDDING_NAME, input=text, encoding_format="float")
    assert len(plain.data[0].embedding) == DIMENSIONS
    assert math.isclose(likeness(plain.data[0].embedding, vectors(client, text)[0]), 1, abs_tol=1e-4)
    packed = client.embeddings.with_raw_response.create(model=EMBEDDING_NAME, input=text, encoding_format="base64")
    assert isinstance(packed.http_response.json()["data"][0]["embedding"], str)


def test_what_means_the_same_is_nearer_than_what_does_not(client: OpenAI) -> None:
    cat, kitten, market = vectors(
        client, "A cat sits on the mat.", "A kitten is resting on a rug.", "Stock markets fell sharply on Monday."
    )
    assert likeness(cat, kitten) > likeness(cat, market) + 0.2


def test_a_text_has_the_same_vector_alone_and_among_others(client: OpenAI) -> None:
    texts = ["one", "A much longer text about ships, harbours and the capstans that haul their anchors.", "two"]
    together = vectors(client, *texts)
    for text, vector in zip(texts, together, strict=True):
        assert likeness(vectors(client, text)[0], vector) > 0.999


def test_usage_counts_the_inputs(client: OpenAI) -> None:
    one = client.embeddings.create(model=EMBEDDING_NAME, input="hello there").usage
    two = client.embeddings.create(model=EMBEDDING_NAME, input=["hello there", "hello there"]).usage
    assert one.prompt_tokens > 0
    assert two.prompt_tokens == 2 * one.prompt_tokens
    assert one.total_tokens == one.prompt_tokens


def test_a_model_of_another_kind_is_refused(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        client.embeddings.create(model=model, input="x")
    assert refusal.value.param == "model"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=EMBEDDING_NAME, messages=[{"role": "user", "content": "x"}])


def test_an_input_that_is_too_long_is_refused_and_not_cut(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.embeddings.create(model=EMBEDDING_NAME, input="word " * 3000)
    assert refusal.value.code == "context_length_exceeded"


def test_the_model_is_named_in_a_header(suite: Suite) -> None:
    answer = suite.post("/v1/embeddings", {"model": EMBEDDING_NAME, "input": "x"})
    assert answer.headers["openai-model"] == EMBEDDING_NAME
