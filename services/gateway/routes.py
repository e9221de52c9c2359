"""Which path is which endpoint: the API's straight to its endpoint, its description through FastAPI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from chassis.kit import Kit
from chassis.ops import AsgiApp, Receive, Scope, Send
from services.gateway import request_errors
from services.gateway.api.chat import create_chat_completion
from services.gateway.api.chat_objects import (
    MetadataUpdate,
    delete_chat_completion,
    list_chat_completions,
    list_messages,
    retrieve_chat_completion,
    update_chat_completion,
)
from services.gateway.api.completions import create_completion
from services.gateway.api.embeddings import create_embeddings
from services.gateway.api.hot import HotRoute
from services.gateway.api.input_tokens import count_input_tokens
from services.gateway.api.models import delete_model, list_models, retrieve_model
from services.gateway.api.moderations import create_moderation
from services.gateway.api.objects import NoBody, ObjectRoute
from services.gateway.api.plain import PlainRoute
from services.gateway.api.response_objects import (
    cancel_response,
    delete_response,
    list_input_items,
    retrieve_response,
)
from services.gateway.api.responses import create_response
from services.gateway.desk import Desk
from services.gateway.docs import documentation
from services.gateway.docs_page import docs_page
from services.gateway.edge import BodyLimits, Edge
from services.gateway.schema.chat import ChatCompletionRequest
from services.gateway.schema.completions import CompletionRequest
from services.gateway.schema.embeddings import EmbeddingRequest
from services.gateway.schema.moderations import ModerationRequest
from services.gateway.schema.responses import ResponseRequest

MODEL_PREFIX = "/v1/models/"

SPELLINGS = {"/v1/fine-tuning/": "/v1/fine_tuning/"}
"""Prefixes that stand for another one: the dash is a common spelling of what the SDKs write with an underscore."""

ADMINISTRATION = ("/v1/organization", "/v1/projects/")
"""Prefixes of what the other listener serves."""

Methods = Mapping[str, AsgiApp]


class Routes:
    """Finds the endpoint of a request. Paths are exact: nothing is redirected, and a trailing slash is another URL.

    `patterns` are asked, in order, for what is no fixed path; the group of the one that matches is the object's id.
    """

    def __init__(self, endpoints: Mapping[str, Methods], patterns: Mapping[str, Methods]) -> None:
        self._endpoints = endpoints
        self._patterns = [(re.compile(pattern), methods) for pattern, methods in patterns.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or raise the `ApiError` that says why there is no endpoint."""
        path, method = spelled(scope["path"]), scope["method"]
        endpoints = self._endpoints.get(path)
        if endpoints is None:
            endpoints = self._matched(scope, path)
        # The server leaves the body out of what answers HEAD.
        endpoint = endpoints.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            if method == "OPTIONS":
                await tell_methods(allowed(endpoints), send)
                return
            raise request_errors.method_not_allowed(method, path, allowed(endpoints))
        await endpoint(scope, receive, send)

    def _matched(self, scope: Scope, path: str) -> Methods:
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                scope["state"]["object_id"] = match[1]
                return methods
        if path.startswith(ADMINISTRATION):
            raise request_errors.served_elsewhere(scope["method"], path)
        raise request_errors.unknown_url(scope["method"], path)


def spelled(path: str) -> str:
    """Put a path in the spelling that the endpoints are listed under."""
    for prefix, other in SPELLINGS.items():
        if path.startswith(prefix):
            return other + path[len(prefix) :]
    return path


def allowed(endpoints: Mapping[str, AsgiApp]) -> list[str]:
    """Name the methods that a path takes, but for OPTIONS, which all do."""
    return sorted([*endpoints, "HEAD"] if "GET" in endpoints else endpoints)


async def tell_methods(methods: Sequence[str], send: Send) -> None:
    """Answer OPTIONS (RFC 9110, 9.3.7). No origin is named: a key belongs into no browser's page."""
    await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", ", ".join(methods).encode())]})
    await send({"type": "http.response.body", "body": b""})


def routes(desk: Desk, kit: Kit) -> AsgiApp:
    """Build the whole HTTP application."""
    chat = HotRoute(desk, "chat", ChatCompletionRequest, create_chat_completion)
    completions = HotRoute(desk, "completions", CompletionRequest, create_completion)
    embeddings = HotRoute(desk, "embeddings", EmbeddingRequest, create_embeddings)
    responses = HotRoute(desk, "responses", ResponseRequest, create_response)
    moderations = HotRoute(desk, "moderations", ModerationRequest, create_moderation)
    endpoints: dict[str, dict[str, AsgiApp]] = {
        "/v1/chat/completions": {"POST": chat, "GET": ObjectRoute(desk, "chat", NoBody, list_chat_completions)},
        "/v1/completions": {"POST": completions},
        "/v1/embeddings": {"POST": embeddings},
        "/v1/responses": {"POST": responses},
        "/v1/responses/input_tokens": {"POST": HotRoute(desk, "responses", ResponseRequest, count_input_tokens)},
        "/v1/moderations": {"POST": moderations},
        "/v1/models": {"GET": PlainRoute(desk, "/v1/models", "models", list_models)},
    }
    if desk.settings.openapi:
        endpoints["/openapi.json"] = {"GET": cast("AsgiApp", documentation(kit.version))}
        endpoints["/docs"] = {"GET": docs_page()}
    model = {
        "GET": PlainRoute(desk, MODEL_PREFIX, "models", retrieve_model),
        "DELETE": PlainRoute(desk, MODEL_PREFIX, "models", delete_model),
    }
    app = Routes(endpoints, _kept(desk) | {"/v1/models/(.+)": model})
    limits = BodyLimits(max_bytes=desk.settings.max_body_bytes)
    return Edge(app, limits=limits, clock=desk.clock, ids=kit.ids, log=desk.log)


def _kept(desk: Desk) -> dict[str, Methods]:
    """Answer the endpoints of kept answers."""
    return {
        "/v1/chat/completions/([^/]+)": {
            "GET": ObjectRoute(desk, "chat", NoBody, retrieve_chat_completion),
            "POST": ObjectRoute(desk, "chat", MetadataUpdate, update_chat_completion),
            "DELETE": ObjectRoute(desk, "chat", NoBody, delete_chat_completion),
        },
        "/v1/chat/completions/([^/]+)/messages": {"GET": ObjectRoute(desk, "chat", NoBody, list_messages)},
        "/v1/responses/([^/]+)": {
            "GET": ObjectRoute(desk, "responses", NoBody, retrieve_response),
            "DELETE": ObjectRoute(desk, "responses", NoBody, delete_response),
        },
        "/v1/responses/([^/]+)/cancel": {"POST": ObjectRoute(desk, "responses", NoBody, cancel_response)},
        "/v1/responses/([^/]+)/input_items": {"GET": ObjectRoute(desk, "responses", NoBody, list_input_items)},
    }
