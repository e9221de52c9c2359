"""Verdicts, as the official SDK asks for them, from the real classifier."""

import openai
import pytest
from openai import OpenAI

from services.gateway.schema.moderation_answers import CATEGORIES
from tests.contract.suite import Suite, until


def test_a_threat_is_flagged_and_kindness_is_not(strict: OpenAI) -> None:
    told = strict.moderations.create(input=["I will kill you and your whole family.", "Thank you for the flowers!"])
    threat, thanks = told.results
    assert threat.flagged
    assert threat.categories.harassment_threatening or threat.categories.violence
    assert not thanks.flagged
    assert told.id.startswith("modr-")
    assert told.model.startswith("capstan-moderation-")
    assert told._request_id.startswith("req_")


def test_every_category_has_a_score_and_says_what_it_was_judged_by(client: OpenAI) -> None:
    (result,) = client.moderations.create(input="Hello.", model="omni-moderation-latest").results
    for table in (result.categories, result.category_scores, result.category_applied_input_types):
        assert set(table.model_dump(by_alias=True)) == set(CATEGORIES)
    assert all(0 <= score <= 1 for score in result.category_scores.model_dump().values())
    assert set(map(tuple, result.category_applied_input_types.model_dump().values())) == {("text",)}


def test_parts_are_judged_together(client: OpenAI) -> None:
    parts = [{"type": "text", "text": "Thank you."}, {"type": "text", "text": "I will kill you."}]
    (result,) = client.moderations.create(input=parts).results
    assert result.flagged


def test_an_image_is_refused_by_its_place(client: OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    with pytest.raises(openai.BadRequestError) as refusal:
        client.moderations.create(input=[{"type": "text", "text": "x"}, image])
    assert (refusal.value.param, refusal.value.code) == ("input[1].type", "unsupported_value")


def test_a_verdict_is_reported_and_costs_nothing(client: OpenAI, suite: Suite, model: str) -> None:
    free = client.moderations.create(input="Hello.")._request_id
    paid = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])._request_id
    until(lambda: len(suite.billed([free, paid])) == 2)
    (row,) = suite.query("select endpoint, amount_nanousd from billing.usage_events where request_id = $1", free)
    assert tuple(row) == ("moderations", 0)


def test_the_classifiers_own_bound_is_told_in_the_clients_words(client: OpenAI) -> None:
    """Many small parts are more to the classifier than their bytes."""
    parts = [{"type": "text", "text": "x" * 62} for _ in range(2047)] + [{"type": "text", "text": "x" * 1000}]
    with pytest.raises(openai.BadRequestError) as refusal:
        client.moderations.create(input=parts)
    assert (refusal.value.param, refusal.value.code) == ("input", "invalid_value")
    assert "items" not in refusal.value.message


def test_as_much_as_is_allowed_is_judged(client: OpenAI) -> None:
    text = "The weather is nice today and we go for a walk. " * 100
    told = client.moderations.create(input=[text, "I will kill you.", ""])
    assert [result.flagged for result in told.results] == [False, True, False]
