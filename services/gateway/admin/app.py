"""The application of the admin listener."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from chassis.kit import Kit
from chassis.ops import AsgiApp, Receive, Scope, Send
from services.gateway import request_errors
from services.gateway.admin import (
    admin_keys,
    assignments,
    audit_logs,
    costs,
    credit,
    groups,
    invites,
    invoices,
    organizations,
    project_groups,
    project_keys,
    project_users,
    projects,
    rate_limits,
    roles,
    service_accounts,
    spend_alerts,
    spend_limits,
    usage,
    users,
)
from services.gateway.admin.office import Office, unstaffed
from services.gateway.admin.route import BODY
from services.gateway.admin.unserved import why_unserved
from services.gateway.answer import Whole
from services.gateway.docs_page import docs_page
from services.gateway.edge import Edge
from services.gateway.errors import ApiError
from services.gateway.framework_errors import answer, of_http, speak_openai
from services.gateway.schema.answers import ErrorEnvelope

Json = dict[str, Any]

ROUTERS: Sequence[Callable[[Office], APIRouter]] = (
    projects.router,
    project_users.router,
    service_accounts.router,
    project_keys.router,
    rate_limits.router,
    project_groups.router,
    users.router,
    invites.router,
    groups.router,
    roles.router,
    assignments.router,
    admin_keys.router,
    audit_logs.router,
    usage.router,
    costs.router,
    invoices.router,
    credit.router,
    spend_limits.router,
    spend_alerts.router,
    organizations.router,
)
"""A module per noun."""

MOST_FIELDS = 200
"""Parameters in a query, with all elements of arrays."""

DESCRIPTION = (
    "The administration of a Capstan installation, as OpenAI's SDKs call it: "
    "`OpenAI(admin_api_key=…, base_url=…).admin.organization`. Only admin keys (`sk-admin-…`) are served here."
)


def admin_app(office: Office, kit: Kit) -> AsgiApp:
    """Build the whole application of the admin listener."""
    app = application(office, kit.version)
    beside: dict[str, AsgiApp] = {}
    if office.settings.openapi:
        beside = {"/docs": docs_page(), "/openapi.json": _document(app)}

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]  # the server leaves the body out
        scope = {**scope, "method": method, "query_string": plain_query(scope["query_string"])}
        found = beside.get(scope["path"]) if method == "GET" else None
        await (found or cast("AsgiApp", app))(scope, receive, send)

    return Edge(front, limits=BODY, clock=office.clock, ids=kit.ids, log=office.log)


def _document(app: FastAPI) -> AsgiApp:
    """Serve the document, which is made when it is first asked for: it takes longer than all else at the start."""

    @cache
    def whole() -> Whole:
        return Whole(orjson.dumps(_described(app)))

    async def serve(_scope: Scope, _receive: Receive, send: Send) -> None:
        await whole().send(send)

    return serve


def application(office: Office, version: str) -> FastAPI:
    """Build the FastAPI application; of `office` nothing is used before the first request."""
    app = FastAPI(
        title="Capstan administration",
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.office = office
    speak_openai(app)
    app.add_exception_handler(HTTPException, _of_http)
    for router in ROUTERS:
        app.include_router(router(office))
    return app


def openapi(version: str) -> Json:
    """Make the OpenAPI document: failures are told in OpenAI's envelope, and never as 422."""
    return _described(application(unstaffed(), version))


def _described(app: FastAPI) -> Json:
    document: Json = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    schemas: Json = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _, definitions = models_json_schema([(ErrorEnvelope, "validation")], ref_template="#/components/schemas/{model}")
    schemas |= definitions["$defs"]
    error = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorEnvelope.__name__}"}}}
    failure = {"description": "An error in OpenAI's envelope", "content": error}
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            operation["responses"] |= {"4XX": failure, "5XX": failure}
    document["components"]["securitySchemes"] = {"admin_key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"admin_key": []}]
    return document


def plain_query(query: bytes) -> bytes:
    """Write arrays as `name=a&name=b`, which is how they are read; the SDKs send `name[]=a`. Raises `ApiError`."""
    if not query:
        return query
    try:
        fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise ApiError(400, f"The query holds more than {MOST_FIELDS} parameters.") from None
    return urlencode([(name.removesuffix("[]"), value) for name, value in fields]).encode()


async def _of_http(request: Request, error: Exception) -> Response:
    why = why_unserved(request.scope["path"])
    if why:
        return answer(request_errors.not_served(request.scope["method"], request.scope["path"], why))
    return await of_http(request, error)
