"""Makes a FastAPI application fail in OpenAI's words: its own would be `{"detail": …}`, 422 and redirects."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from services.gateway import request_errors
from services.gateway.errors import ApiError, envelope


def speak_openai(app: FastAPI) -> None:
    """Answer whatever `app` refuses by itself in OpenAI's envelope, and never redirect."""
    app.router.redirect_slashes = False
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(ApiError, _of_api)


def allowed_methods(app: FastAPI, request: Request) -> list[str]:
    """Answer the methods of all routes at the request's path; the framework's own list is that of the first one."""
    methods: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= set(route.methods or ())
    return sorted(methods)


def answer(error: ApiError) -> Response:
    """Make a response of an error."""
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return Response(envelope(error), error.status, headers, "application/json")


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # Not `request.url`: that one is built from the Host header, which is the client's.
    method, path = request.method, request.scope["path"]
    if error.status_code == 404:
        return answer(request_errors.unknown_url(method, path))
    if error.status_code == 405:
        return answer(request_errors.method_not_allowed(method, path, allowed_methods(request.app, request)))
    return answer(ApiError(error.status_code, "The request was refused."))


async def _of_validation(_request: Request, error: Exception) -> Response:
    """Name the place of the first fault; the framework's own text stays here."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    path = ".".join(str(step) for step in first["loc"][1:]) or str(first["loc"][0])
    if first["type"] == "missing":
        return answer(request_errors.missing_parameter(path))
    if first["type"] == "extra_forbidden":
        return answer(request_errors.unknown_parameter(path))
    return answer(request_errors.invalid(path, "the value is not valid."))


async def _of_api(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return answer(error)
