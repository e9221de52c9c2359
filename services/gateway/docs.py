"""`/openapi.json`: what the API is, made from the models that judge its requests."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

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

Json = dict[str, Any]

DESCRIPTION = (
    "OpenAI's API, served by Capstan. Any OpenAI SDK works with `base_url` set to this server's `/v1` "
    "and a key that this server made."
)

_POSTS: tuple[tuple[str, str, str, type[BaseModel], type[BaseModel]], ...] = (
    ("/v1/chat/completions", "createChatCompletion", "Answer a conversation", ChatCompletionRequest, ChatCompletion),
    ("/v1/completions", "createCompletion", "Continue prompts (legacy)", CompletionRequest, Completion),
    ("/v1/embeddings", "createEmbedding", "Make vectors of texts", EmbeddingRequest, EmbeddingList),
    ("/v1/moderations", "createModeration", "Judge texts", ModerationRequest, Moderation),
)
_BODILESS: tuple[tuple[str, str, str, str, type[BaseModel]], ...] = (
    ("get", "/v1/models", "listModels", "List the models", ModelList),
    ("get", "/v1/models/{model}", "retrieveModel", "Describe a model", Model),
    ("delete", "/v1/models/{model}", "deleteModel", "Delete a fine-tuned model", ModelDeleted),
)
_CHUNKS: dict[str, type[BaseModel]] = {
    "/v1/chat/completions": ChatCompletionChunk,
    "/v1/completions": CompletionChunk,
}
"""What the events of a stream hold; the last event is the word [DONE]."""


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
    models += [*_CHUNKS.values(), *(answer for *_, answer in _BODILESS)]
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas = {model: references[model, "validation"] for model in models}
    document: Json = get_openapi(title="Capstan", version=version, description=DESCRIPTION, routes=[])
    document["components"] = {
        "schemas": definitions.get("$defs", {}),
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"key": []}]
    for path, operation, summary, request, answer in _POSTS:
        content: Json = {"application/json": {"schema": schemas[answer]}}
        if path in _CHUNKS:
            content["text/event-stream"] = {"schema": schemas[_CHUNKS[path]]}
        document["paths"][path] = {
            "post": {
                "operationId": operation,
                "summary": summary,
                "requestBody": {"required": True, "content": {"application/json": {"schema": schemas[request]}}},
                "responses": _responses(content, schemas[ErrorEnvelope]),
            }
        }
    for method, path, operation, summary, answer in _BODILESS:
        parameters = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
        document["paths"].setdefault(path, {})[method] = {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters if "{" in path else [],
            "responses": _responses({"application/json": {"schema": schemas[answer]}}, schemas[ErrorEnvelope]),
        }
    return document


def _responses(content: Json, error: Json) -> Json:
    failure = {"description": "An error in OpenAI's envelope", "content": {"application/json": {"schema": error}}}
    return {"200": {"description": "OK", "content": content}, "4XX": failure, "5XX": failure}
