"""The only place where what services report becomes what clients see: one row per `chassis.errors.Reason`.

    ApiError (api_error)             what is answered; raised by whoever finds the fault, caught at the edge
     |- made by `request_errors`     faults in what the client sent
     '- made by `to_api_error` here  everything the services report

No text of a lower service reaches a client, but for the fields that errors.proto declares safe to show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from chassis.errors import CapstanError, Reason
from services.gateway.api_error import (
    DO_NOT_RETRY,
    SERVER_ERROR,
    SERVICE_UNAVAILABLE,
    ApiError,
    envelope,
    retry_headers,
)
from services.gateway.limits_headers import Dimension, duration

EndpointKind = Literal["chat", "completions", "embeddings", "moderations", "responses", "models", "other"]
"""What the client asked for, as far as error texts differ."""


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """What is known about the request that failed. Everything is optional; a text says less without it."""

    request_id: str = ""
    """"req_…"."""
    endpoint: EndpointKind = "other"
    model: str | None = None
    """As the client named it."""
    organization_id: str | None = None
    redacted_key: str | None = None
    """`chassis.keys.redact` of what was presented."""


def to_api_error(error: CapstanError, *, context: ErrorContext, jitter: float = 0.0) -> ApiError:
    """Translate what a service reported.

    `jitter`, from 0 to 1, is drawn by the caller for each answer and spreads the retries of many clients.
    """
    return _ROWS[error.reason](_Case(error.metadata, context, jitter))


@dataclass(frozen=True, slots=True)
class _Case:
    """The input of a row."""

    metadata: Mapping[str, str]
    context: ErrorContext
    jitter: float

    def text(self, name: str, default: str = "") -> str:
        return self.metadata.get(name) or default

    def number(self, name: str) -> int | None:
        value = self.metadata.get(name, "")
        return int(value) if value.isdecimal() else None

    @property
    def model(self) -> str:
        return self.context.model or self.text("model", "this model")

    @property
    def organization(self) -> str:
        return f" in organization {self.context.organization_id}" if self.context.organization_id else ""


def _internal(case: _Case) -> ApiError:
    named = f" Please include the request ID {case.context.request_id} if you report it." * bool(
        case.context.request_id
    )
    return ApiError(
        500,
        f"The server had an error while processing your request. Sorry about that!{named}",
        kind=SERVER_ERROR,
        code="internal_error",
    )


def _invalid_argument(case: _Case) -> ApiError:
    param = case.metadata.get("param") or None
    message = f"Invalid value for '{param}'." if param else "The request is invalid."
    return ApiError(400, message, code="invalid_value", param=param)


# What a client may know to exist. The stores behind them are nobody's business outside.
_NAMED_SERVICES = frozenset({"auth", "ratelimit", "router", "inference", "moderation", "billing", "jobs"})


def _unavailable(case: _Case) -> ApiError:
    service = case.text("service")
    if service == "gateway":  # it stops, and this answer with it
        return _away(case, "server_shutdown")
    code = f"{service}_unavailable" if service in _NAMED_SERVICES else "service_unavailable"
    return _away(case, code)


def _away(case: _Case, code: str) -> ApiError:
    """A part of the platform cannot answer: the client is not at fault and may come back, in 2 to 4 s."""
    wait_ms = max(2000, case.number("retry_after_ms") or 0) * (1 + case.jitter)
    return ApiError(
        503,
        "The service is temporarily unavailable. Please try again later.",
        kind=SERVICE_UNAVAILABLE,
        code=code,
        headers=retry_headers(wait_ms),
    )


# Services whose answer is the work itself. Late, they are a timeout; any other that is late is as good as away.
_WORKERS = frozenset({"", "inference", "router"})


def _deadline_exceeded(case: _Case) -> ApiError:
    works = _WORKERS if case.context.endpoint != "moderations" else _WORKERS | {"moderation"}
    if case.text("service") not in works:
        return _unavailable(case)
    return ApiError(504, "The request took too long to process. Please try again.", kind=SERVER_ERROR, code="timeout")


def _overloaded(case: _Case) -> ApiError:
    """Shed: the more clients there are, the wider their return must be spread, here over 2 to 10 s."""
    wait_ms = max(2000, case.number("retry_after_ms") or 0) + 8000 * case.jitter
    return ApiError(
        503,
        "Our servers are currently overloaded. Please try again later.",
        kind=SERVICE_UNAVAILABLE,
        code="server_is_overloaded",
        headers=retry_headers(wait_ms),
    )


def _metering_unavailable(case: _Case) -> ApiError:
    return _away(case, "metering_unavailable")


def _budget_unknown(case: _Case) -> ApiError:
    return _away(case, "budget_unavailable")


def _unauthenticated(message: str, code: str | None) -> ApiError:
    # RFC 9110, 15.5.2: a 401 names the scheme it wants.
    return ApiError(401, message, code=code, headers=((b"www-authenticate", b"Bearer"),))


def _key_missing(_case: _Case) -> ApiError:
    return _unauthenticated(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY).",
        None,
    )


def _key_invalid(case: _Case) -> ApiError:
    shown = f": {case.context.redacted_key}" if case.context.redacted_key else ""
    return _unauthenticated(
        f"Incorrect API key provided{shown}. You can get an API key from the administrator of your organization.",
        "invalid_api_key",
    )


def _project_archived(_case: _Case) -> ApiError:
    return _unauthenticated("The project that this API key belongs to was archived.", "invalid_api_key")


def _organization_mismatch(_case: _Case) -> ApiError:
    return _unauthenticated(
        "OpenAI-Organization header should match organization for API key", "mismatched_organization"
    )


def _project_mismatch(_case: _Case) -> ApiError:
    return _unauthenticated("OpenAI-Project header should match project for API key", "mismatched_project")


def _permission_denied(case: _Case) -> ApiError:
    scope, project, model = case.text("scope"), case.text("project"), case.metadata.get("model") or case.context.model
    if scope == "model" and model:
        owner = f"Project `{project}`" if project else "Your project"
        return ApiError(403, f"{owner} does not have access to model `{model}`", code="model_not_found")
    missing = f" Missing scopes: {scope}." if scope else ""
    return ApiError(403, f"You have insufficient permissions for this operation.{missing}")


_DIMENSIONS: Mapping[str, tuple[Dimension, str]] = {
    "requests_per_minute": ("requests", "requests per min (RPM)"),
    "requests_per_day": ("requests", "requests per day (RPD)"),
    "concurrent_requests": ("requests", "concurrent requests"),
    "tokens_per_minute": ("tokens", "tokens per min (TPM)"),
    "tokens_per_day": ("tokens", "tokens per day (TPD)"),
}


def _dimension(case: _Case) -> tuple[Dimension, str]:
    """Read the dimension's name, with or without the proto's prefix; the two plain words mean a minute's."""
    name = case.text("dimension").lower().removeprefix("dimension_")
    return _DIMENSIONS.get(name) or _DIMENSIONS["tokens_per_minute" if "token" in name else "requests_per_minute"]


def _amounts(case: _Case, **names: str) -> str:
    known = [f"{title} {case.metadata[name]}" for title, name in names.items() if case.number(name) is not None]
    return f": {', '.join(known)}." if known else "."


def _rate_limited(case: _Case) -> ApiError:
    kind, words = _dimension(case)
    # Who shares a limit with others should not come back with all of them at once.
    spread = 0.0 if case.text("scope") == "key" else 0.1 * case.jitter
    wait_ms = math.ceil((case.number("retry_after_ms") or 1000) * (1 + spread))
    amounts = _amounts(case, Limit="limit", Used="used", Requested="requested")
    return ApiError(
        429,
        f"Rate limit reached for {case.model}{case.organization} on {words}{amounts} "
        f"Please try again in {duration(wait_ms)}.",
        kind=kind,
        code="rate_limit_exceeded",
        headers=retry_headers(wait_ms),
    )


def _request_too_large(case: _Case) -> ApiError:
    kind, words = _dimension(case)
    amounts = _amounts(case, Limit="limit", Requested="requested")
    return ApiError(
        429,
        f"Request too large for {case.model}{case.organization} on {words}{amounts} "
        "The input or output tokens must be reduced in order to run successfully.",
        kind=kind,
        code="rate_limit_exceeded",
        headers=(DO_NOT_RETRY,),
    )


_BUDGETS: Mapping[str, tuple[str, str]] = {
    "credit": ("credit_balance_exhausted", "Your credit balance is too low for this request. Please add credits."),
    "organization": (
        "organization_spend_limit_exceeded",
        "Your organization's monthly spend limit does not allow this request. Its owners can raise the limit.",
    ),
    "project": (
        "project_spend_limit_exceeded",
        "Your project's monthly spend limit does not allow this request. The organization's owners can raise it.",
    ),
}
_QUOTA = ("insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")


def _quota_exhausted(case: _Case) -> ApiError:
    """Waiting does not help, so nobody is told how long."""
    code, message = _BUDGETS.get(case.text("budget"), _QUOTA)
    return ApiError(429, message, kind="insufficient_quota", code=code, headers=(DO_NOT_RETRY,))


def _model_not_found(case: _Case) -> ApiError:
    if case.context.endpoint == "models":
        return ApiError(404, f"The model '{case.model}' does not exist", code="model_not_found", param="model")
    if case.context.endpoint == "responses":
        return ApiError(
            400, f"The requested model '{case.model}' does not exist.", code="model_not_found", param="model"
        )
    return ApiError(
        404, f"The model `{case.model}` does not exist or you do not have access to it.", code="model_not_found"
    )


_KINDS: Mapping[EndpointKind, tuple[str, str]] = {
    "chat": ("a chat model", "v1/chat/completions"),
    "responses": ("a chat model", "v1/responses"),
    "completions": ("a completion model", "v1/completions"),
    "embeddings": ("an embedding model", "v1/embeddings"),
    "moderations": ("a moderation model", "v1/moderations"),
}


def _model_kind_mismatch(case: _Case) -> ApiError:
    wanted, path = _KINDS.get(case.context.endpoint, ("a model for this", "requested"))
    message = f"This is not {wanted} and thus not supported in the {path} endpoint."
    return ApiError(404, message, param="model")


def _context_length_exceeded(case: _Case) -> ApiError:
    limit, prompt = case.text("limit_tokens", "?"), case.number("prompt_tokens") or 0
    completion = case.number("completion_tokens") or 0
    begin = f"This model's maximum context length is {limit} tokens"
    param: str | None = None
    if case.context.endpoint in ("chat", "responses", "other"):
        param = "input" if case.context.endpoint == "responses" else "messages"
        asked = (
            f"you requested {prompt + completion} tokens ({prompt} in the messages, {completion} in the completion)"
            if completion
            else f"your messages resulted in {prompt} tokens"
        )
        reduce = "messages or completion" if completion else "messages"
        message = f"{begin}. However, {asked}. Please reduce the length of the {reduce}."
    else:
        param = "prompt" if case.context.endpoint == "completions" else None
        message = (
            f"{begin}, however you requested {prompt + completion} tokens ({prompt} in your prompt; {completion} for "
            "the completion). Please reduce your prompt; or completion length."
        )
    return ApiError(400, message, code="context_length_exceeded", param=param)


def _parameter_refused(case: _Case) -> ApiError:
    param = case.metadata.get("param") or None
    if param == "messages" and case.context.endpoint == "responses":
        param = "input"
    message = case.text("message") or (f"Invalid value for '{param}'." if param else "A parameter's value is invalid.")
    return ApiError(400, message, code="invalid_value", param=param)


def _engine_failed(case: _Case) -> ApiError:
    named = f" Please include the request ID {case.context.request_id} if you report it." * bool(
        case.context.request_id
    )
    return ApiError(
        500, f"The model failed while processing your request.{named}", kind=SERVER_ERROR, code="engine_error"
    )


def _content_refused(case: _Case) -> ApiError:
    named = case.text("categories").replace(",", ", ")
    why = f" (flagged: {named})" if named else ""
    return ApiError(
        400, f"Your request was refused by your project's content policy{why}.", code="content_policy_violation"
    )


def _object_not_found(case: _Case) -> ApiError:
    kind = case.text("object", "object")
    if kind == "adapter":  # taken away under a running request: to the client, its model is gone
        return _model_not_found(case)
    return ApiError(404, f"No such {kind[:1].upper()}{kind[1:]} object: {case.text('id')}", param="id")


def _object_conflict(case: _Case) -> ApiError:
    """The SDKs repeat a 409 by themselves, which cannot help here."""
    kind = case.text("object", "object")
    return ApiError(
        409,
        f"{kind[:1].upper()}{kind[1:]} '{case.text('id')}' exists already and differs.",
        code="already_exists",
        headers=(DO_NOT_RETRY,),
    )


_ROWS: Mapping[Reason, Callable[[_Case], ApiError]] = {
    Reason.INTERNAL: _internal,
    Reason.INVALID_ARGUMENT: _invalid_argument,
    Reason.UNAVAILABLE: _unavailable,
    Reason.DEADLINE_EXCEEDED: _deadline_exceeded,
    Reason.OVERLOADED: _overloaded,
    Reason.KEY_MISSING: _key_missing,
    Reason.KEY_INVALID: _key_invalid,
    Reason.PROJECT_ARCHIVED: _project_archived,
    Reason.ORGANIZATION_MISMATCH: _organization_mismatch,
    Reason.PROJECT_MISMATCH: _project_mismatch,
    Reason.PERMISSION_DENIED: _permission_denied,
    Reason.RATE_LIMITED: _rate_limited,
    Reason.REQUEST_TOO_LARGE_FOR_LIMIT: _request_too_large,
    Reason.QUOTA_EXHAUSTED: _quota_exhausted,
    Reason.BUDGET_UNKNOWN: _budget_unknown,
    Reason.MODEL_NOT_FOUND: _model_not_found,
    Reason.MODEL_KIND_MISMATCH: _model_kind_mismatch,
    Reason.NO_CAPACITY: _overloaded,
    Reason.CONTEXT_LENGTH_EXCEEDED: _context_length_exceeded,
    Reason.PARAMETER_REFUSED: _parameter_refused,
    Reason.ENGINE_FAILED: _engine_failed,
    Reason.CONTENT_REFUSED: _content_refused,
    Reason.OBJECT_NOT_FOUND: _object_not_found,
    Reason.OBJECT_CONFLICT: _object_conflict,
    Reason.METERING_UNAVAILABLE: _metering_unavailable,
}

__all__ = ["ApiError", "EndpointKind", "ErrorContext", "envelope", "to_api_error"]
