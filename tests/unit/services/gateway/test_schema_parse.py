"""Reading JSON: strictly, whole, and without being stalled by what is made to stall."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.errors import ApiError, envelope
from services.gateway.schema import answers, models
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.schema.completions import CompletionRequest
from services.gateway.schema.embeddings import EmbeddingRequest
from services.gateway.schema.parse import parse

JSON = b"application/json"
GOOD = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


def refusal(body: bytes, content_type: bytes | None = JSON) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(ChatCompletionRequest, body, content_type)
    return caught.value


def content(escaped: bytes) -> bytes:
    return b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % escaped


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b"[1]",
        b'"text"',
        b"null",
        b"5",
        GOOD + b"x",
        GOOD + GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD[:-1] + b',"temperature":NaN}',
        GOOD[:-1] + b',"temperature":Infinity}',
        GOOD[:-1] + b',"temperature":1e999}',
        GOOD[:-1] + b',"temperature":01}',
        GOOD[:-1] + b",}",
        GOOD.replace(b'"', b"'"),
        content(b"\xff"),
        content(b"\xed\xa0\x80"),
        content(b"\\ud800"),
        content(b"\\udc00x"),
        content(b"\x00"),
        content(b"\\u0000"),
        content(b"\\\\\\u0000"),
        b"[" * 2000,
        b'{"a":' * 2000,
        b"a=b&c=d",
    ],
)
def test_what_is_no_json_object_is_refused_in_one_way(body: bytes) -> None:
    error = refusal(body)
    assert (error.status, error.type, error.code, error.param) == (400, "invalid_request_error", None, None)
    assert error.message.startswith("We could not parse the JSON body of your request. (HINT: ")


def test_the_hint_says_what_is_wrong() -> None:
    assert "empty" in refusal(b"").message
    assert "JSON object" in refusal(b"[]").message
    assert "U+0000" in refusal(content(b"\\u0000")).message
    assert "byte 1" in refusal(b"{").message


@pytest.mark.parametrize("escaped", [b"\\\\u0000", b"\\\\\\\\u0000", b"u0000", b"\\u0001", b"\\ud83d\\ude00"])
def test_text_about_escapes_is_only_text(escaped: bytes) -> None:
    body = parse(ChatCompletionRequest, content(escaped), JSON)
    assert body.texts == [orjson.loads(b'"%b"' % escaped)]


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert parse(ChatCompletionRequest, b'{"model":"first",' + GOOD[1:], JSON).model == "m"


@pytest.mark.parametrize(
    "content_type",
    [JSON, b"application/json; charset=utf-8", b'Application/JSON;charset="UTF-8"', b"application/json ; x=y"],
)
def test_json_may_say_its_charset(content_type: bytes) -> None:
    assert parse(ChatCompletionRequest, GOOD, content_type).model == "m"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"text/plain",
        b"application/jsonx",
        b"multipart/form-data; boundary=x",
        b"application/json; charset=latin-1",
        b"\xff" * 1000,
    ],
)
def test_another_media_type_is_a_415(content_type: bytes | None) -> None:
    error = refusal(GOOD, content_type)
    assert (error.status, error.type, error.code) == (415, "invalid_request_error", "unsupported_content_type")
    assert len(envelope(error)) < 1500


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def with_schema(schema: dict[str, Any]) -> bytes:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool]})


def test_free_json_has_a_bounded_depth() -> None:
    assert parse(ChatCompletionRequest, with_schema(nested(60)), JSON).calling.functions[0].parameters_json
    error = refusal(with_schema(nested(100)))
    assert (error.param, error.code) == ("tools[0].function.parameters", "invalid_value")
    deep_list: list[Any] = []
    for _ in range(100):
        deep_list = [deep_list]
    assert refusal(with_schema({"enum": deep_list})).param == "tools[0].function.parameters"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "x", **{f"k{i}": 1 for i in range(100_000)}}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 40_000}]},
        {"logit_bias": {f"k{i}": 1 for i in range(100_000)}},
        {"metadata": {f"k{i}": "" for i in range(100_000)}},
        {"prediction": {f"k{i}": [{}, {}] for i in range(20_000)}},
    ],
)
def test_a_body_of_very_many_small_values_is_refused_before_they_are_looked_at(body: dict[str, Any]) -> None:
    error = refusal(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **body}))
    assert (error.status, error.code) == (400, None)
    assert "more than 30000 values" in error.message


def test_a_long_text_is_not_many_values() -> None:
    text = '{"a": [1, 2, {"b": "c"}]}\n' * 40_000
    body = parse(
        ChatCompletionRequest, orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}), JSON
    )
    assert body.prompt_characters == len(text)


def test_many_token_ids_are_not_many_values() -> None:
    body = parse(EmbeddingRequest, orjson.dumps({"model": "m", "input": [[7] * 1000] * 300}), JSON)
    assert body.prompt_token_count == 300_000


def test_very_many_faults_are_counted_instead_of_listed() -> None:
    message = {"role": "user", "content": "x", **{f"k{i}": 1 for i in range(500)}}
    error = refusal(orjson.dumps({"model": "m", "messages": [message]}))
    assert error.message == "The body does not fit this endpoint: 500 of its values are wrong or unknown."


@pytest.mark.parametrize("kind", [ChatCompletionRequest, CompletionRequest, EmbeddingRequest])
def test_requests_describe_themselves_for_the_docs(
    kind: type[ChatCompletionRequest | CompletionRequest | EmbeddingRequest],
) -> None:
    schema = kind.model_json_schema()
    assert schema["additionalProperties"] is False
    assert {"model"} <= set(schema["required"])
    undescribed = [name for name, field in schema["properties"].items() if "description" not in field]
    assert undescribed == []


def test_answers_describe_themselves_for_the_docs() -> None:
    for kind in (answers.ChatCompletion, answers.Completion, answers.EmbeddingList, answers.ErrorEnvelope):
        assert kind.model_json_schema()["properties"]
    assert models.ModelList(data=[]).model_dump() == {"object": "list", "data": []}


def test_an_error_is_an_error_envelope() -> None:
    answers.ErrorEnvelope.model_validate_json(envelope(refusal(b"{}")))


def fault(kind: type[ChatCompletionRequest | CompletionRequest | EmbeddingRequest], body: bytes) -> ApiError | None:
    try:
        parse(kind, body, JSON)
    except ApiError as error:
        return error
    return None


_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}


@given(st.sampled_from(sorted(_RANGES)), st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5))
def test_a_number_passes_exactly_when_it_is_in_its_range(name: str, value: float) -> None:
    low, high = _RANGES[name]
    body = GOOD[:-1] + b',"%b":%b}' % (name.encode(), orjson.dumps(value))
    if low <= value <= high:
        assert getattr(parse(ChatCompletionRequest, body, JSON), name) == value
    else:
        error = refusal(body)
        assert error.param == name
        assert error.code == ("decimal_below_min_value" if value < low else "decimal_above_max_value")


@given(st.sampled_from(["n", "max_tokens", "top_logprobs", "seed"]), st.integers(-(2**64), 2**64))
def test_an_integer_passes_exactly_when_it_is_in_its_range(name: str, value: int) -> None:
    low, high = {
        "n": (1, 128),
        "max_tokens": (1, 2**31 - 1),
        "top_logprobs": (0, 20),
        "seed": (-(2**63), 2**63 - 1),
    }[name]
    body = GOOD[:-1] + b',"logprobs":true,"%b":%d}' % (name.encode(), value)
    if low <= value <= high:
        assert getattr(parse(ChatCompletionRequest, body, JSON), name) == value
    else:
        error = refusal(body)
        assert error.param == name
        assert error.code == ("integer_below_min_value" if value < low else "integer_above_max_value")


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "function", "name", "tools", "id"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from([*sorted(ChatCompletionRequest.model_fields), "prompt", "input", "x"]), _json),
    st.sampled_from([ChatCompletionRequest, CompletionRequest, EmbeddingRequest]),
)
def test_any_object_is_either_a_request_or_one_400_in_our_own_words(
    body: dict[str, Any], kind: type[ChatCompletionRequest | CompletionRequest | EmbeddingRequest]
) -> None:
    error = fault(kind, json.dumps({"model": "m", **body}).encode())
    if error is not None:
        assert error.status == 400
        for foreign in ("pydantic", "Input should", "validation error", "Value error"):
            assert foreign not in error.message
