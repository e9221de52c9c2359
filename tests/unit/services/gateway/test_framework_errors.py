"""A FastAPI application that fails in OpenAI's words."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Query
from starlette.exceptions import HTTPException

from services.gateway import request_errors
from services.gateway.framework_errors import speak_openai


def application() -> FastAPI:
    app = FastAPI()
    speak_openai(app)

    @app.get("/things/{thing}")
    async def get(thing: str, limit: Annotated[int, Query(ge=1)] = 1) -> str:
        return thing * limit

    @app.delete("/things/{thing}")
    async def delete(thing: str) -> None:
        raise request_errors.unsupported_parameter(thing)

    @app.post("/things")
    async def post(name: str) -> None:
        raise HTTPException(418, detail=f"{name} is secret")

    return app


async def ask(method: str, path: str, query: bytes = b"") -> tuple[int, dict[str, str], Any]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query,
        "headers": [(b"host", b"evil.example")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    await application()(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(sent[1]["body"])


def error(message: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


async def test_what_works_still_works() -> None:
    assert await ask("GET", "/things/a", b"limit=2") == (
        200,
        {"content-length": "4", "content-type": "application/json"},
        "aa",
    )


@pytest.mark.parametrize("path", ["/", "/thing", "/things/a/", "/things/"])
async def test_an_unknown_url_is_a_404_and_never_a_redirect(path: str) -> None:
    status, _, body = await ask("POST", path)
    assert status == 404
    assert body == error(f"Unknown request URL: POST {path}. Please check the URL for typos.", "unknown_url")


async def test_a_wrong_method_is_told_those_of_all_routes_there() -> None:
    status, headers, body = await ask("PUT", "/things/a")
    assert (status, headers["allow"]) == (405, "DELETE, GET")
    assert body["error"]["code"] == "method_not_supported"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        (
            "GET",
            "/things/a",
            b"limit=0",
            error(
                "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
                "integer_below_min_value",
                "limit",
            ),
        ),
        (
            "GET",
            "/things/a",
            b"limit=x",
            error("Invalid type for 'limit': expected an integer, but got a string instead.", "invalid_type", "limit"),
        ),
        ("POST", "/things", b"", error("Missing required parameter: 'name'.", "missing_required_parameter", "name")),
    ],
)
async def test_a_wrong_parameter_is_a_400_and_not_a_422(
    method: str, path: str, query: bytes, expected: dict[str, Any]
) -> None:
    status, _, body = await ask(method, path, query)
    assert (status, body) == (400, expected)


async def test_an_api_error_is_answered_as_it_is() -> None:
    status, _, body = await ask("DELETE", "/things/a")
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_parameter", "a")


async def test_the_frameworks_own_words_stay_inside() -> None:
    status, _, body = await ask("POST", "/things", b"name=it")
    assert (status, body) == (418, error("The request was refused.", None))
