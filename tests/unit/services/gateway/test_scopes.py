"""What a key must be allowed for which endpoint."""

from __future__ import annotations

import pytest

from services.gateway.caller import Caller
from services.gateway.docs import openapi
from services.gateway.scopes import SCOPES, missing, needed


def caller(*scopes: str) -> Caller:
    return Caller("org-1", "proj_1", "key_1", "user-1", frozenset(scopes), frozenset(), "off", (), None)


OPERATIONS = [(method.upper(), path) for path, methods in openapi("")["paths"].items() for method in methods]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_needs_a_scope_that_a_key_can_hold(method: str, path: str) -> None:
    scope = needed(method, path)
    assert scope in SCOPES
    assert missing(caller("*"), method, path) == ""
    assert missing(caller(scope), method, path) == ""
    assert missing(caller(), method, path) == scope


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_key_that_only_reads_changes_nothing(method: str, path: str) -> None:
    assert (missing(caller("api.all.read"), method, path) == "") == (method == "GET")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/chat/completions", "model.request"),
        ("GET", "/v1/chat/completions", "api.chat.completions.read"),
        ("DELETE", "/v1/chat/completions/chatcmpl-1", "api.chat.completions.write"),
        ("POST", "/v1/responses", "api.responses.write"),
        ("POST", "/v1/responses/input_tokens", "model.request"),
        ("GET", "/v1/models/a", "api.model.read"),
        ("POST", "/v1/files", "api.files.write"),
        ("GET", "/v1/fine-tuning/jobs", "api.fine_tuning.jobs.read"),
        ("HEAD", "/v1/batches", "api.batches.read"),
    ],
)
def test_the_table_says_what_openai_says(method: str, path: str, scope: str) -> None:
    assert needed(method, path) == scope


def test_the_longer_name_of_a_scope_is_understood() -> None:
    assert missing(caller("api.model.request"), "POST", "/v1/embeddings") == ""
