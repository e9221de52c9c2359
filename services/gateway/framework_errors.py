"""Makes a FastAPI application fail in OpenAI's words: its own would be `{"detail": …}`, 422 and redirects."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from services.gateway import request_errors
from services.gateway.errors import ApiError, envelope
from services.gateway.schema import translate
from services.gateway.schema.parse import MAX_FAULTS


def speak_openai(app: FastAPI) -> None:
    """Answer whatever `app` refuses by itself in OpenAI's envelope, and never redirect."""
    app.router.redirect_slashes = False
    app.add_exception_handler(HTTPException, of_http)
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


async def of_http(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    # Not `request.url`: that one is built from the Host header, which is the client's.
    method, path = request.method, request.scope["path"]
    if error.status_code == 404:
        return answer(request_errors.unknown_url(method, path))
    if error.status_code == 405:
        return answer(request_errors.method_not_allowed(method, path, allowed_methods(request.app, request)))
    return answer(ApiError(error.status_code, "The request was refused."))


async def _of_validation(request: Request, error: Exception) -> Response:
    """Name the first fault; the framework's own text stays here."""
    assert isinstance(error, RequestValidationError)
    faults = [fault for fault in error.errors() if fault["loc"][0] == error.errors()[0]["loc"][0]]
    if len(faults) > MAX_FAULTS:
        return answer(request_errors.too_many_faults(len(faults)))
    told = error.body if faults[0]["loc"][0] == "body" else dict(request.query_params)
    first = translate.first_fault(told, [_placed(fault) for fault in faults])
    return answer(translate.to_api_error(first))


def _placed(fault: dict[str, Any]) -> ErrorDetails:
    """Leave out which part of the request it is, and read the text of a query as the number that it was judged as."""
    told = fault | {"loc": fault["loc"][1:]}
    if fault["type"] in ("greater_than_equal", "less_than_equal") and isinstance(fault["input"], str):
        number = float(fault["input"])
        told["input"] = int(number) if number.is_integer() else number
    return cast("ErrorDetails", told)


async def _of_api(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return answer(error)
