"""Every answer of every endpoint, held against OpenAI's own API document.

Where the document contradicts the live service it is mended (`tests.openai_document`) or passed by, with the reason.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.gateway.docs import openapi
from tests.contract.suite import Suite
from tests.contract.test_tools import ASK as WEATHER_QUESTION
from tests.contract.test_tools import WEATHER
from tests.openai_document import check
from tools.local.roster import EMBEDDING_NAME

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]

Exercise = Callable[[Suite, str], None]
EXERCISES: dict[str, list[Exercise]] = {}


def exercises(operation: str) -> Callable[[Exercise], Exercise]:
    """Register how an operation is called, and what its answers are held against."""

    def register(exercise: Exercise) -> Exercise:
        EXERCISES.setdefault(operation, []).append(exercise)
        return exercise

    return register


def answered(suite: Suite, path: str, body: dict[str, Any]) -> Any:
    answer = suite.post(path, body)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def chunks(suite: Suite, path: str, body: dict[str, Any]) -> Iterator[Any]:
    answer = suite.post(path, body | {"stream": True})
    assert answer.status == 200, answer.body
    *frames, done, rest = answer.body.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert frames
    for frame in frames:
        yield json.loads(frame.removeprefix("data: "))


CHATS: list[dict[str, Any]] = [
    {},
    {"n": 2, "max_tokens": 4, "stop": ["x"], "seed": 1},
    {"logprobs": True, "top_logprobs": 2},
    {"max_tokens": 1},
    {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "Say it as JSON."}]},
    {"messages": WEATHER_QUESTION, "tools": [WEATHER]},
    {"messages": WEATHER_QUESTION, "tools": [WEATHER], "tool_choice": "required"},
    {"messages": WEATHER_QUESTION, "functions": [WEATHER["function"]]},
]


@exercises("createChatCompletion")
def chat(suite: Suite, model: str) -> None:
    for options in CHATS:
        body = {"model": model, "messages": CAPITAL, "temperature": 0, "max_tokens": 60} | options
        check("CreateChatCompletionResponse", answered(suite, "/v1/chat/completions", body))


@exercises("createChatCompletion")
def chat_stream(suite: Suite, model: str) -> None:
    for options in [*CHATS, {"stream_options": {"include_usage": True}}]:
        body = {"model": model, "messages": CAPITAL, "temperature": 0, "max_tokens": 60} | options
        for chunk in chunks(suite, "/v1/chat/completions", body):
            check("CreateChatCompletionStreamResponse", chunk)


TEXTS: list[dict[str, Any]] = [
    {},
    {"n": 2, "prompt": ["a", "b"]},
    {"logprobs": 2},
    {"echo": True, "logprobs": 1},
    {"prompt": [5, 6]},
]


def spoken(answer: Any) -> None:
    """Mend what `echo` does: the first token has no probability, for which the live service says null and the
    document a number.
    """
    for choice in answer["choices"]:
        if choice["logprobs"] and choice["logprobs"]["token_logprobs"][:1] == [None]:
            choice["logprobs"]["token_logprobs"][0] = 0.0
            choice["logprobs"]["top_logprobs"][0] = {}


@exercises("createCompletion")
def completion(suite: Suite, model: str) -> None:
    for options in [*TEXTS, {"best_of": 3}]:
        body = {"model": model, "prompt": "Once", "max_tokens": 4} | options
        answer = answered(suite, "/v1/completions", body)
        spoken(answer)
        check("CreateCompletionResponse", answer)


@exercises("createCompletion")
def completion_stream(suite: Suite, model: str) -> None:
    """The document has no chunk of its own: a chunk is a whole answer, but for the reason that has yet to come."""
    for options in [*TEXTS, {"stream_options": {"include_usage": True}}]:
        body = {"model": model, "prompt": "Once", "max_tokens": 4} | options
        for chunk in chunks(suite, "/v1/completions", body):
            for choice in chunk["choices"]:
                choice["finish_reason"] = choice["finish_reason"] or "stop"
            spoken(chunk)
            check("CreateCompletionResponse", chunk)


@exercises("createEmbedding")
def embedding(suite: Suite, _model: str) -> None:
    """Base64 is what the SDKs ask for and the document does not know: there the vector is passed by."""
    for given in ("a", ["a", "b"], [5, 6], [[5], [6]]):
        body = {"model": EMBEDDING_NAME, "input": given}
        check("CreateEmbeddingResponse", answered(suite, "/v1/embeddings", body))
        packed = answered(suite, "/v1/embeddings", body | {"encoding_format": "base64"})
        for one in packed["data"]:
            assert isinstance(one["embedding"], str)
            one["embedding"] = []
        check("CreateEmbeddingResponse", packed)


@exercises("createModeration")
def moderation(suite: Suite, _model: str) -> None:
    parts = [{"type": "text", "text": "I will hurt you."}, {"type": "text", "text": "Today."}]
    for given in ("I love you.", ["I love you.", "I will kill you."], parts):
        check("CreateModerationResponse", answered(suite, "/v1/moderations", {"input": given}))


@exercises("listModels")
def models(suite: Suite, _model: str) -> None:
    check("ListModelsResponse", json.loads(suite.get("/v1/models").body))


@exercises("retrieveModel")
def one_model(suite: Suite, model: str) -> None:
    check("Model", json.loads(suite.get(f"/v1/models/{model}").body))


@exercises("deleteModel")
def no_base_model_is_deleted(suite: Suite, model: str) -> None:
    answer = suite.request("DELETE", f"/v1/models/{model}", None)
    assert answer.status == 403
    check("ErrorResponse", json.loads(answer.body))


@pytest.mark.parametrize(
    "exercise", [one for several in EXERCISES.values() for one in several], ids=lambda one: one.__name__
)
def test_answers_are_what_openais_document_says(suite: Suite, model: str, exercise: Exercise) -> None:
    exercise(suite, model)


HELD_BY_THEIR_OWN_TESTS = {
    "createResponse",
    "countInputTokens",
    "getResponse",
    "deleteResponse",
    "listInputItems",
    "listChatCompletions",
    "getChatCompletion",
    "updateChatCompletion",
    "deleteChatCompletion",
    "getChatCompletionMessages",
}
"""Of answers that are kept: test_responses.py and test_stored_completions.py, which make some first."""


def test_every_operation_that_is_served_is_held_against_it() -> None:
    operations = {
        operation["operationId"] for methods in openapi("")["paths"].values() for operation in methods.values()
    }
    assert operations == set(EXERCISES) | HELD_BY_THEIR_OWN_TESTS


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/nothing", None),
        ("GET", "/v1/completions", None),
        ("POST", "/v1/chat/completions", b"{"),
        ("POST", "/v1/embeddings", b"{}"),
        ("GET", "/v1/models/none", None),
    ],
)
def test_errors_are_what_it_says_too(suite: Suite, method: str, path: str, body: bytes | None) -> None:
    answer = suite.request(method, path, body)
    assert answer.status >= 400
    check("ErrorResponse", json.loads(answer.body))
