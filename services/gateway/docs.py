"""`/openapi.json`: what the API is, made from the models that judge its requests."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway.api.chat_objects import MetadataUpdate
from services.gateway.framework_errors import speak_openai
from services.gateway.schema.answers import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    CompletionChunk,
    EmbeddingList,
    ErrorEnvelope,
)
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.schema.completions import CompletionRequest
from services.gateway.schema.embeddings import EmbeddingRequest
from services.gateway.schema.models import Model, ModelDeleted, ModelList
from services.gateway.schema.moderation_answers import Moderation
from services.gateway.schema.moderations import ModerationRequest
from services.gateway.schema.response_objects import Deleted, KeptChatCompletion, Page, Response, TokenCount
from services.gateway.schema.responses import ResponseRequest

Json = dict[str, Any]

DESCRIPTION = (
    "OpenAI's API, served by Capstan. Any OpenAI SDK works with `base_url` set to this server's `/v1` "
    "and a key that this server made."
)

_POSTS: tuple[tuple[str, str, str, type[BaseModel], type[BaseModel]], ...] = (
    ("/v1/chat/completions", "createChatCompletion", "Answer a conversation", ChatCompletionRequest, ChatCompletion),
    ("/v1/completions", "createCompletion", "Continue prompts (legacy)", CompletionRequest, Completion),
    ("/v1/responses", "createResponse", "Respond to a text or a conversation", ResponseRequest, Response),
    ("/v1/responses/input_tokens", "countInputTokens", "Count the tokens of an input", ResponseRequest, TokenCount),
    (
        "/v1/chat/completions/{completion_id}",
        "updateChatCompletion",
        "Change a stored completion's metadata",
        MetadataUpdate,
        KeptChatCompletion,
    ),
    ("/v1/embeddings", "createEmbedding", "Make vectors of texts", EmbeddingRequest, EmbeddingList),
    ("/v1/moderations", "createModeration", "Judge texts", ModerationRequest, Moderation),
)
_GETS: tuple[tuple[str, str, str, type[BaseModel]], ...] = (
    ("/v1/models", "listModels", "List the models", ModelList),
    ("/v1/models/{model}", "retrieveModel", "Describe a model", Model),
    ("/v1/chat/completions", "listChatCompletions", "List the stored completions", Page),
    ("/v1/chat/completions/{completion_id}", "getChatCompletion", "Answer a stored completion", KeptChatCompletion),
    ("/v1/chat/completions/{completion_id}/messages", "getChatCompletionMessages", "List what was asked", Page),
    ("/v1/responses/{response_id}", "getResponse", "Answer a stored response", Response),
    ("/v1/responses/{response_id}/input_items", "listInputItems", "List what was asked", Page),
)
_DELETES: tuple[tuple[str, str, str, type[BaseModel]], ...] = (
    ("/v1/models/{model}", "deleteModel", "Delete a fine-tuned model", ModelDeleted),
    ("/v1/chat/completions/{completion_id}", "deleteChatCompletion", "Forget a stored completion", Deleted),
    ("/v1/responses/{response_id}", "deleteResponse", "Forget a stored response", Deleted),
)
_CHUNKS: dict[str, type[BaseModel]] = {
    "/v1/chat/completions": ChatCompletionChunk,
    "/v1/completions": CompletionChunk,
}
"""What the events of a stream hold; the last event is the word [DONE]."""
_STREAMED = frozenset({*_CHUNKS, "/v1/responses"})
_PAGE = ("after", "limit", "order")
_QUERIES = {
    "/v1/chat/completions": (*_PAGE, "model", "metadata"),
    "/v1/chat/completions/{completion_id}/messages": _PAGE,
    "/v1/responses/{response_id}/input_items": _PAGE,
}


def documentation(version: str) -> FastAPI:
    """Build the application that serves the document. FastAPI's own pages would load scripts from elsewhere."""
    app = FastAPI(title="Capstan", version=version, docs_url=None, redoc_url=None, redirect_slashes=False)
    speak_openai(app)
    document = openapi(version)
    app.openapi = lambda: document  # type: ignore[method-assign]  # FastAPI's documented way to replace it
    return app


def openapi(version: str) -> Json:
    """Make the OpenAPI document."""
    models: list[type[BaseModel]] = [ErrorEnvelope]
    for *_, request, answer in _POSTS:
        models += [request, answer]
    models += [*_CHUNKS.values(), *(answer for *_, answer in (*_GETS, *_DELETES))]
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas = {model: references[model, "validation"] for model in models}
    document: Json = get_openapi(title="Capstan", version=version, description=DESCRIPTION, routes=[])
    document["components"] = {
        "schemas": _without_nested_discriminators(definitions.get("$defs", {})),
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"key": []}]
    for path, operation, summary, request, answer in _POSTS:
        content: Json = {"application/json": {"schema": schemas[answer]}}
        if path in _STREAMED:
            chunk = _CHUNKS.get(path)
            content["text/event-stream"] = {"schema": schemas[chunk] if chunk else {"type": "string"}}
        document["paths"].setdefault(path, {})["post"] = {
            "operationId": operation,
            "summary": summary,
            "parameters": _parameters(path),
            "requestBody": {"required": True, "content": {"application/json": {"schema": schemas[request]}}},
            "responses": _responses(content, schemas[ErrorEnvelope]),
        }
    for method, operations in (("get", _GETS), ("delete", _DELETES)):
        for path, operation, summary, answer in operations:
            queries = [_parameter(name, "query") for name in _QUERIES.get(path, ()) if method == "get"]
            document["paths"].setdefault(path, {})[method] = {
                "operationId": operation,
                "summary": summary,
                "parameters": _parameters(path) + queries,
                "responses": _responses({"application/json": {"schema": schemas[answer]}}, schemas[ErrorEnvelope]),
            }
    return document


def _without_nested_discriminators(schema: Any) -> Any:
    """Leave out a discriminator that maps to a schema in place: OpenAPI lets it only name one, pydantic does both."""
    if isinstance(schema, list):
        return [_without_nested_discriminators(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    discriminator = schema.get("discriminator")
    mapping = discriminator.get("mapping", {}) if isinstance(discriminator, dict) else {}
    nested = isinstance(mapping, dict) and not all(isinstance(name, str) for name in mapping.values())
    return {
        name: _without_nested_discriminators(value)
        for name, value in schema.items()
        if not (nested and name == "discriminator")
    }


def _parameters(path: str) -> list[Json]:
    return [_parameter(name, "path") for name in re.findall(r"{(\w+)}", path)]


def _parameter(name: str, place: str) -> Json:
    made: Json = {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}
    if name == "limit":
        made["schema"] = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    elif name == "order":
        made["schema"] = {"type": "string", "enum": ["asc", "desc"]}
    elif name == "metadata":
        made |= {"style": "deepObject", "schema": {"type": "object", "additionalProperties": {"type": "string"}}}
    return made


def _responses(content: Json, error: Json) -> Json:
    failure = {"description": "An error in OpenAI's envelope", "content": {"application/json": {"schema": error}}}
    return {"200": {"description": "OK", "content": content}, "4XX": failure, "5XX": failure}
