"""What every answer says about itself in its headers."""

import re
from collections.abc import Mapping
from typing import Any

import openai
import pytest
from openai import OpenAI

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+(\.\d{1,3})?s)|\d+ms|0s")


def check_limits(headers: Mapping[str, str]) -> None:
    for kind in ("requests", "tokens"):
        limit, remaining = (int(headers[f"x-ratelimit-{word}-{kind}"]) for word in ("limit", "remaining"))
        assert 0 <= remaining < limit
        assert DURATION.fullmatch(headers[f"x-ratelimit-reset-{kind}"])


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_says_who_when_and_what_is_left(client: OpenAI, model: str, stream: bool) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=CAPITAL, stream=stream, max_tokens=8)
    headers = raw.headers
    assert re.fullmatch("req_[0-9a-f]{32}", headers["x-request-id"])
    assert int(headers["openai-processing-ms"]) >= 0
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-organization"].startswith("org-")
    assert headers["openai-project"].startswith("proj_")
    check_limits(headers)
    parsed: Any = raw.parse()
    if stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in parsed)


def test_every_request_has_an_id_of_its_own(client: OpenAI, model: str) -> None:
    ids = {client.models.with_raw_response.list().headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_embeddings_and_completions_tell_their_limits_too(client: OpenAI, model: str) -> None:
    check_limits(client.completions.with_raw_response.create(model=model, prompt="x", max_tokens=1).headers)


def test_what_a_request_may_use_is_taken_from_what_is_left(client: OpenAI, model: str) -> None:
    """The larger its maximum, the less remains: the reservation counts, and what was not used is given back."""

    def left(maximum: int) -> int:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=CAPITAL, max_tokens=maximum)
        headers = raw.headers
        return int(headers["x-ratelimit-limit-tokens"]) - int(headers["x-ratelimit-remaining-tokens"])

    assert left(1001) - left(1) >= 1000
    assert left(1) < 1000


def test_a_refusal_has_an_id_as_well(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(model=model, messages=CAPITAL, temperature=9)
    assert refusal.value.response.headers["x-request-id"] == refusal.value.request_id
    assert refusal.value.request_id.startswith("req_")
