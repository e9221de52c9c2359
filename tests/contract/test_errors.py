"""What is refused, and which of the SDK's exceptions says so."""

import secrets
from typing import Any

import openai
import pytest
from openai import OpenAI

from chassis import keys
from tests.contract.suite import Suite

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
INVALID = "invalid_request_error"


@pytest.mark.parametrize("key", [keys.mint("proj", secrets.token_bytes), "sk-wrong", "nonsense"])
def test_a_wrong_key_is_refused_and_not_shown_whole(sdk: dict[str, Any], model: str, key: str) -> None:
    with OpenAI(**sdk | {"api_key": key}) as client, pytest.raises(openai.AuthenticationError) as refusal:
        client.chat.completions.create(model=model, messages=CAPITAL)
    error = refusal.value
    assert (error.status_code, error.code, error.type, error.param) == (401, "invalid_api_key", INVALID, None)
    assert error.request_id.startswith("req_")
    if len(key) > 16:
        assert key not in str(error)


def test_no_key_is_refused(suite: Suite, model: str) -> None:
    for scheme in ("", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz"):
        answer = suite.post(
            "/v1/chat/completions", {"model": model, "messages": CAPITAL}, headers={"authorization": scheme}
        )
        assert answer.status == 401
        assert (answer.error["code"], answer.error["type"]) == (None, INVALID)


@pytest.mark.parametrize(
    ("option", "code"), [("organization", "mismatched_organization"), ("project", "mismatched_project")]
)
def test_another_tenants_name_is_refused(sdk: dict[str, Any], model: str, option: str, code: str) -> None:
    with OpenAI(**sdk, **{option: "org-other"}) as client, pytest.raises(openai.AuthenticationError) as refusal:
        client.chat.completions.create(model=model, messages=CAPITAL)
    assert refusal.value.code == code


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        client.chat.completions.create(model="gpt-none", messages=CAPITAL)
    assert (refusal.value.code, refusal.value.type, refusal.value.param) == ("model_not_found", INVALID, None)
    assert "gpt-none" in refusal.value.message


def test_a_prompt_longer_than_the_context_is_refused(client: OpenAI, model: str) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refusal:
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "word " * 4000}], stream=stream
            )
        error = refusal.value
        assert (error.code, error.type, error.param) == ("context_length_exceeded", INVALID, "messages")
        assert "2048 tokens" in error.message


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"temperature": -1}, "temperature", "decimal_below_min_value"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"top_p": 1.1}, "top_p", "decimal_above_max_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"extra_body": {"flavour": 1}}, "flavour", "unknown_parameter"),
        ({"top_logprobs": 3}, "top_logprobs", None),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
    ],
)
def test_a_bad_parameter_names_itself(
    client: OpenAI, model: str, options: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(**{"model": model, "messages": CAPITAL} | options)
    assert (refusal.value.param, refusal.value.code, refusal.value.type) == (param, code, INVALID)


def test_an_unknown_url_and_a_wrong_method_are_answered_in_the_envelope(suite: Suite) -> None:
    assert suite.get("/v1/nothing").error["type"] == INVALID
    wrong = suite.get("/v1/completions")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert wrong.error["type"] == INVALID
    assert suite.post("/v1/chat/completions/", {}).status == 404
