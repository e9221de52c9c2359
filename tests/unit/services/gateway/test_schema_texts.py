"""Bodies of the legacy completions and of embeddings."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.errors import ApiError
from services.gateway.schema.completions import CompletionRequest
from services.gateway.schema.embeddings import EmbeddingRequest
from services.gateway.schema.parse import parse

FORMS = "one of a string, array of strings, array of integers, or array of integer arrays"


def completion(body: object) -> CompletionRequest:
    return parse(CompletionRequest, orjson.dumps(body), b"application/json")


def embedding(body: object) -> EmbeddingRequest:
    return parse(EmbeddingRequest, orjson.dumps(body), b"application/json")


def prompt(value: Any, **parameters: Any) -> dict[str, Any]:
    return {"model": "m", "prompt": value, **parameters}


def text(value: Any, **parameters: Any) -> dict[str, Any]:
    return {"model": "m", "input": value, **parameters}


@pytest.mark.parametrize(
    ("body", "code", "param", "message"),
    [
        ({"prompt": "x"}, None, None, "you must provide a model parameter"),
        (prompt("x", messages=[]), "unknown_parameter", "messages", "Unknown parameter: 'messages'."),
        (
            prompt(5),
            "invalid_type",
            "prompt",
            f"Invalid type for 'prompt': expected {FORMS}, but got an integer instead.",
        ),
        (
            prompt([]),
            "empty_array",
            "prompt",
            "Invalid 'prompt': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        ),
        (
            prompt([[1], []]),
            "empty_array",
            "prompt[1]",
            "Invalid 'prompt[1]': empty array. Expected an array with minimum length 1, but got an empty array "
            "instead.",
        ),
        (
            prompt([3, -1]),
            "integer_below_min_value",
            "prompt[1]",
            "Invalid 'prompt[1]': integer below minimum value. Expected a value >= 0, but got -1 instead.",
        ),
        (
            prompt([2**31]),
            "integer_above_max_value",
            "prompt[0]",
            "Invalid 'prompt[0]': integer above maximum value. Expected a value <= 2147483647, but got 2147483648 "
            "instead.",
        ),
        (
            prompt([1, True]),
            "invalid_type",
            "prompt[1]",
            "Invalid type for 'prompt[1]': expected an integer, but got a boolean instead.",
        ),
        (
            prompt([[1], [2, 1.5]]),
            "invalid_type",
            "prompt[1][1]",
            "Invalid type for 'prompt[1][1]': expected an integer, but got a decimal number instead.",
        ),
        (
            prompt(["a", 1]),
            "invalid_type",
            "prompt[1]",
            "Invalid type for 'prompt[1]': expected a string, but got an integer instead.",
        ),
        (
            prompt([[1], "a"]),
            "invalid_type",
            "prompt[1]",
            "Invalid type for 'prompt[1]': expected an array, but got a string instead.",
        ),
        (
            prompt(["a"] * 129),
            "array_above_max_length",
            "prompt",
            "Invalid 'prompt': array too long. Expected an array with maximum length 128, but got an array with length "
            "129 instead.",
        ),
        (
            prompt("x", suffix="y"),
            "unsupported_parameter",
            "suffix",
            "Unsupported parameter: 'suffix' is not supported with this model.",
        ),
        (
            prompt("x", max_tokens=-1),
            "integer_below_min_value",
            "max_tokens",
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 0, but got -1 instead.",
        ),
        (
            prompt("x", best_of=21),
            "integer_above_max_value",
            "best_of",
            "Invalid 'best_of': integer above maximum value. Expected a value <= 20, but got 21 instead.",
        ),
        (
            prompt("x", best_of=1, n=2),
            None,
            "best_of",
            "Invalid value for 'best_of': 'best_of' must be at least 'n', which is 2.",
        ),
        (
            prompt("x", best_of=2, stream=True),
            None,
            "best_of",
            "Invalid value for 'best_of': 'best_of' is only allowed when 'stream' is not enabled.",
        ),
        (
            prompt("x", logprobs=6),
            "integer_above_max_value",
            "logprobs",
            "Invalid 'logprobs': integer above maximum value. Expected a value <= 5, but got 6 instead.",
        ),
        (
            prompt("x", logprobs=True),
            "invalid_type",
            "logprobs",
            "Invalid type for 'logprobs': expected an integer, but got a boolean instead.",
        ),
        (
            prompt("x", stream_options={}),
            None,
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ),
    ],
)
def test_a_wrong_completion_body_is_one_error(body: object, code: str | None, param: str | None, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        completion(body)
    error = caught.value
    assert (error.status, error.type) == (400, "invalid_request_error")
    assert (error.code, error.param, error.message) == (code, param, message)


@pytest.mark.parametrize(
    ("value", "prompts", "characters", "tokens"),
    [
        ("ab", ["ab"], 2, 0),
        (["ab", ""], ["ab", ""], 2, 0),
        ([1, 2, 3], [[1, 2, 3]], 0, 3),
        ([[1], [2, 3]], [[1], [2, 3]], 0, 3),
        (None, ["<|endoftext|>"], 13, 0),
    ],
)
def test_prompts_come_in_four_forms(value: object, prompts: list[object], characters: int, tokens: int) -> None:
    body = completion(prompt(value))
    assert (body.prompts, body.prompt_characters, body.prompt_token_count) == (prompts, characters, tokens)


def test_a_completion_has_16_tokens_unless_told_otherwise() -> None:
    assert completion(prompt("x")).token_ceiling == 16
    assert completion(prompt("x", max_tokens=0, echo=True)).token_ceiling == 0


def test_candidates_are_at_least_the_choices() -> None:
    assert completion(prompt("x", n=3)).candidate_count == 3
    assert completion(prompt("x", n=2, best_of=5)).candidate_count == 5
    assert completion(prompt("x", best_of=1, stream=True)).candidate_count == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": "x"}, "you must provide a model parameter"),
        ({"model": "m"}, "'input' is a required property"),
        (text("x", foo=1), "Additional properties are not allowed ('foo' was unexpected)"),
        (text(""), "'' is too short - 'input'"),
        (text([]), "[] is too short - 'input'"),
        (text(["a", ""]), "'' is too short - 'input[1]'"),
        (text([[1], []]), "[] is too short - 'input[1]'"),
        (text(["a"] * 2049), "an array with 2049 elements is too long, the maximum is 2048 - 'input'"),
        (text([1] * 2049), "an array with 2049 elements is too long, the maximum is 2048 - 'input'"),
        (text([[1]] * 2049), "an array with 2049 elements is too long, the maximum is 2048 - 'input'"),
        (text("x", encoding_format="int8"), "'int8' is not one of ['float', 'base64'] - 'encoding_format'"),
        (text("x", dimensions=-1), "-1 is less than the minimum of 1 - 'dimensions'"),
        (text("x", dimensions=2**31), "2147483648 is greater than the maximum of 2147483647 - 'dimensions'"),
        (text("x", dimensions="y"), "'y' is not of type 'integer' - 'dimensions'"),
        (text("x", user=5), "5 is not of type 'string' - 'user'"),
    ],
)
def test_embeddings_are_judged_in_the_older_words(body: object, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        embedding(body)
    error = caught.value
    assert (error.status, error.type, error.code, error.param) == (400, "invalid_request_error", None, None)
    assert error.message == message


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (text({}), "invalid_type", "input"),
        (text(None), "invalid_type", "input"),
        (text([-1]), "integer_below_min_value", "input[0]"),
        (text([[1], [2, "a"]]), "invalid_type", "input[1][1]"),
        (text([[1] * 1000] * 301), "max_tokens_per_request", None),
    ],
)
def test_what_the_older_words_lack_is_said_in_the_newer(body: object, code: str, param: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        embedding(body)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)


@pytest.mark.parametrize(
    ("value", "inputs", "texts"),
    [
        ("ab", ["ab"], ["ab"]),
        (["ab", "c"], ["ab", "c"], ["ab", "c"]),
        ([1, 2], [[1, 2]], []),
        ([[1], [2]], [[1], [2]], []),
    ],
)
def test_inputs_come_in_four_forms(value: object, inputs: list[object], texts: list[str]) -> None:
    body = embedding(text(value))
    assert (body.inputs, body.texts, body.prompt_characters) == (inputs, texts, sum(map(len, texts)))


def test_base64_is_answered_only_when_asked_for() -> None:
    assert embedding(text("x", encoding_format="base64")).wants_base64
    assert not embedding(text("x", encoding_format=None)).wants_base64
