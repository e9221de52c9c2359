"""What services report, as clients see it."""

from __future__ import annotations

import json

import pytest

from chassis.errors import CapstanError, Reason
from services.gateway import request_errors
from services.gateway.errors import ApiError, EndpointKind, ErrorContext, envelope, to_api_error

IRE = "invalid_request_error"
CONTEXT = ErrorContext(
    request_id="req_1",
    endpoint="chat",
    model="m",
    organization_id="org-a",
    redacted_key="sk-proj-****abcd",
)
LIMIT = {"dimension": "tokens_per_minute", "limit": "1000", "used": "900", "requested": "300"}


def told(reason: Reason, *, context: ErrorContext = CONTEXT, jitter: float = 0.0, **metadata: str) -> ApiError:
    return to_api_error(CapstanError(reason, "internal detail", **metadata), context=context, jitter=jitter)


def on(endpoint: EndpointKind) -> ErrorContext:
    return ErrorContext(endpoint=endpoint, model="m")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_an_answer_that_leaks_no_text_of_a_service(reason: Reason) -> None:
    for context in (CONTEXT, ErrorContext()):
        error = told(reason, context=context)
        assert 400 <= error.status <= 599
        assert error.message
        assert "internal detail" not in error.message
        body = json.loads(envelope(error))
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert isinstance(body["error"]["code"], str | None)


@pytest.mark.parametrize(
    ("reason", "metadata", "expected"),
    [
        (
            Reason.INTERNAL,
            {},
            (
                500,
                "server_error",
                "internal_error",
                None,
                "The server had an error while processing your request. Sorry about that! "
                "Please include the request ID req_1 if you report it.",
            ),
        ),
        (
            Reason.INVALID_ARGUMENT,
            {"param": "limit"},
            (400, IRE, "invalid_value", "limit", "Invalid value for 'limit'."),
        ),
        (
            Reason.UNAVAILABLE,
            {"service": "auth"},
            (
                503,
                "service_unavailable_error",
                "auth_unavailable",
                None,
                "The service is temporarily unavailable. Please try again later.",
            ),
        ),
        (
            Reason.DEADLINE_EXCEEDED,
            {"service": "inference"},
            (504, "server_error", "timeout", None, "The request took too long to process. Please try again."),
        ),
        (
            Reason.OVERLOADED,
            {},
            (
                503,
                "service_unavailable_error",
                "server_is_overloaded",
                None,
                "Our servers are currently overloaded. Please try again later.",
            ),
        ),
        (
            Reason.KEY_MISSING,
            {},
            (
                401,
                IRE,
                None,
                None,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            ),
        ),
        (
            Reason.KEY_INVALID,
            {},
            (
                401,
                IRE,
                "invalid_api_key",
                None,
                "Incorrect API key provided: sk-proj-****abcd. You can get an API key from the administrator of your "
                "organization.",
            ),
        ),
        (
            Reason.PROJECT_ARCHIVED,
            {},
            (401, IRE, "invalid_api_key", None, "The project that this API key belongs to was archived."),
        ),
        (
            Reason.ORGANIZATION_MISMATCH,
            {},
            (
                401,
                IRE,
                "mismatched_organization",
                None,
                "OpenAI-Organization header should match organization for API key",
            ),
        ),
        (
            Reason.PROJECT_MISMATCH,
            {},
            (401, IRE, "mismatched_project", None, "OpenAI-Project header should match project for API key"),
        ),
        (
            Reason.PERMISSION_DENIED,
            {"scope": "model", "model": "m", "project": "proj_1"},
            (403, IRE, "model_not_found", None, "Project `proj_1` does not have access to model `m`"),
        ),
        (
            Reason.PERMISSION_DENIED,
            {"scope": "files.write"},
            (
                403,
                IRE,
                None,
                None,
                "You have insufficient permissions for this operation. Missing scopes: files.write.",
            ),
        ),
        (
            Reason.RATE_LIMITED,
            {**LIMIT, "retry_after_ms": "12000"},
            (
                429,
                "tokens",
                "rate_limit_exceeded",
                None,
                "Rate limit reached for m in organization org-a on tokens per min (TPM): Limit 1000, Used 900, "
                "Requested 300. Please try again in 12s.",
            ),
        ),
        (
            Reason.RATE_LIMITED,
            {"dimension": "DIMENSION_REQUESTS_PER_MINUTE", "limit": "3", "used": "3", "requested": "1"},
            (
                429,
                "requests",
                "rate_limit_exceeded",
                None,
                "Rate limit reached for m in organization org-a on requests per min (RPM): Limit 3, Used 3, "
                "Requested 1. Please try again in 1s.",
            ),
        ),
        (
            Reason.REQUEST_TOO_LARGE_FOR_LIMIT,
            LIMIT,
            (
                429,
                "tokens",
                "rate_limit_exceeded",
                None,
                "Request too large for m in organization org-a on tokens per min (TPM): Limit 1000, Requested 300. "
                "The input or output tokens must be reduced in order to run successfully.",
            ),
        ),
        (
            Reason.QUOTA_EXHAUSTED,
            {},
            (
                429,
                "insufficient_quota",
                "insufficient_quota",
                None,
                "You exceeded your current quota, please check your plan and billing details.",
            ),
        ),
        (
            Reason.MODEL_NOT_FOUND,
            {"model": "m"},
            (
                404,
                IRE,
                "model_not_found",
                None,
                "The model `m` does not exist or you do not have access to it.",
            ),
        ),
        (
            Reason.MODEL_KIND_MISMATCH,
            {"model": "m"},
            (
                404,
                IRE,
                None,
                "model",
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            ),
        ),
        (
            Reason.NO_CAPACITY,
            {"model": "m"},
            (
                503,
                "service_unavailable_error",
                "server_is_overloaded",
                None,
                "Our servers are currently overloaded. Please try again later.",
            ),
        ),
        (
            Reason.CONTEXT_LENGTH_EXCEEDED,
            {"limit_tokens": "512", "prompt_tokens": "600"},
            (
                400,
                IRE,
                "context_length_exceeded",
                "messages",
                "This model's maximum context length is 512 tokens. However, your messages resulted in 600 tokens. "
                "Please reduce the length of the messages.",
            ),
        ),
        (
            Reason.CONTEXT_LENGTH_EXCEEDED,
            {"limit_tokens": "512", "prompt_tokens": "400", "completion_tokens": "200"},
            (
                400,
                IRE,
                "context_length_exceeded",
                "messages",
                "This model's maximum context length is 512 tokens. However, you requested 600 tokens (400 in the "
                "messages, 200 in the completion). Please reduce the length of the messages or completion.",
            ),
        ),
        (
            Reason.PARAMETER_REFUSED,
            {"param": "dimensions", "message": "This model makes vectors of 384 dimensions."},
            (400, IRE, "invalid_value", "dimensions", "This model makes vectors of 384 dimensions."),
        ),
        (
            Reason.ENGINE_FAILED,
            {},
            (
                500,
                "server_error",
                "engine_error",
                None,
                "The model failed while processing your request. Please include the request ID req_1 if you report it.",
            ),
        ),
        (
            Reason.CONTENT_REFUSED,
            {"categories": "hate,violence"},
            (
                400,
                IRE,
                "content_policy_violation",
                None,
                "Your request was refused by your project's content policy (flagged: hate, violence).",
            ),
        ),
        (
            Reason.OBJECT_NOT_FOUND,
            {"object": "file", "id": "file-1"},
            (404, IRE, None, "id", "No such File object: file-1"),
        ),
        (
            Reason.OBJECT_CONFLICT,
            {"object": "adapter", "id": "ft:a"},
            (409, IRE, "already_exists", None, "Adapter 'ft:a' exists already and differs."),
        ),
        (
            Reason.BUDGET_UNKNOWN,
            {"budgets": "org-1/2026-11"},
            (
                503,
                "service_unavailable_error",
                "budget_unavailable",
                None,
                "The service is temporarily unavailable. Please try again later.",
            ),
        ),
        (
            Reason.METERING_UNAVAILABLE,
            {},
            (
                503,
                "service_unavailable_error",
                "metering_unavailable",
                None,
                "The service is temporarily unavailable. Please try again later.",
            ),
        ),
    ],
)
def test_a_reason_is_told_in_openais_words(
    reason: Reason, metadata: dict[str, str], expected: tuple[int, str, str | None, str | None, str]
) -> None:
    error = told(reason, **metadata)
    assert (error.status, error.type, error.code, error.param, error.message) == expected


@pytest.mark.parametrize(
    ("endpoint", "status", "param", "message"),
    [
        ("chat", 404, None, "The model `m` does not exist or you do not have access to it."),
        ("completions", 404, None, "The model `m` does not exist or you do not have access to it."),
        ("embeddings", 404, None, "The model `m` does not exist or you do not have access to it."),
        ("responses", 400, "model", "The requested model 'm' does not exist."),
        ("models", 404, "model", "The model 'm' does not exist"),
    ],
)
def test_an_unknown_model_is_told_in_the_words_of_the_endpoint(
    endpoint: EndpointKind, status: int, param: str | None, message: str
) -> None:
    error = told(Reason.MODEL_NOT_FOUND, context=on(endpoint))
    assert (error.status, error.code, error.param, error.message) == (status, "model_not_found", param, message)


@pytest.mark.parametrize(
    ("endpoint", "param", "rest"),
    [
        ("completions", "prompt", ", however you requested 12 tokens (9 in your prompt; 3 for the completion)."),
        ("embeddings", None, ", however you requested 12 tokens (9 in your prompt; 3 for the completion)."),
    ],
)
def test_too_long_a_prompt_is_told_in_the_words_of_the_endpoint(
    endpoint: EndpointKind, param: str | None, rest: str
) -> None:
    error = told(
        Reason.CONTEXT_LENGTH_EXCEEDED,
        context=on(endpoint),
        limit_tokens="8",
        prompt_tokens="9",
        completion_tokens="3",
    )
    assert error.param == param
    assert error.message == (
        f"This model's maximum context length is 8 tokens{rest} Please reduce your prompt; or completion length."
    )


def test_a_taken_away_adapter_is_an_unknown_model_to_the_client() -> None:
    error = told(Reason.OBJECT_NOT_FOUND, object="adapter", id="/models/secret/path")
    assert (error.status, error.code) == (404, "model_not_found")
    assert "secret" not in error.message


@pytest.mark.parametrize("service", ["auth", "ratelimit", "moderation", "billing", "router", "inference", "jobs"])
def test_a_service_that_is_away_is_named_in_the_code_and_never_a_401(service: str) -> None:
    error = told(Reason.UNAVAILABLE, service=service)
    assert (error.status, error.code) == (503, f"{service}_unavailable")
    assert error.headers == ((b"retry-after", b"2"), (b"retry-after-ms", b"2000"))


@pytest.mark.parametrize("service", ["postgres", "valkey", "10.0.0.7:50051", ""])
def test_what_is_behind_the_services_is_not_named(service: str) -> None:
    assert told(Reason.UNAVAILABLE, service=service).code == "service_unavailable"


@pytest.mark.parametrize("service", ["auth", "ratelimit", "moderation", "billing"])
def test_a_helper_that_is_late_is_as_good_as_away(service: str) -> None:
    assert told(Reason.DEADLINE_EXCEEDED, service=service).code == f"{service}_unavailable"
    assert told(Reason.DEADLINE_EXCEEDED, service=service).status == 503


@pytest.mark.parametrize(
    ("wait_ms", "seconds"), [("1", b"1"), ("999", b"1"), ("1000", b"1"), ("1001", b"2"), ("59001", b"60")]
)
def test_retry_after_is_whole_seconds_rounded_up_beside_the_precise_wait(wait_ms: str, seconds: bytes) -> None:
    headers = dict(told(Reason.RATE_LIMITED, retry_after_ms=wait_ms).headers)
    assert headers == {b"retry-after": seconds, b"retry-after-ms": wait_ms.encode()}


@pytest.mark.parametrize(
    ("reason", "hint", "least", "most"),
    [
        (Reason.RATE_LIMITED, "10000", 10_000, 11_000),
        (Reason.OVERLOADED, "500", 2_000, 10_000),
        (Reason.NO_CAPACITY, "3000", 3_000, 11_000),
        (Reason.UNAVAILABLE, "1000", 2_000, 4_000),
        (Reason.METERING_UNAVAILABLE, "5000", 5_000, 10_000),
    ],
)
def test_jitter_spreads_retries_upward_only(reason: Reason, hint: str, least: int, most: int) -> None:
    for jitter, expected in ((0.0, least), (1.0, most)):
        headers = dict(told(reason, jitter=jitter, retry_after_ms=hint).headers)
        assert int(headers[b"retry-after-ms"]) == expected
        assert int(headers[b"retry-after"]) == -(-expected // 1000)


def test_who_has_a_limit_alone_hears_the_exact_wait() -> None:
    headers = dict(told(Reason.RATE_LIMITED, jitter=1.0, scope="key", retry_after_ms="10000").headers)
    assert headers[b"retry-after-ms"] == b"10000"


@pytest.mark.parametrize("reason", [Reason.QUOTA_EXHAUSTED, Reason.REQUEST_TOO_LARGE_FOR_LIMIT, Reason.OBJECT_CONFLICT])
def test_what_waiting_cannot_mend_tells_the_sdk_not_to_retry(reason: Reason) -> None:
    assert told(reason).headers == ((b"x-should-retry", b"false"),)


def test_a_401_names_the_scheme_it_wants() -> None:
    assert (b"www-authenticate", b"Bearer") in told(Reason.KEY_MISSING).headers


def test_more_headers_make_another_error_and_leave_the_first_alone() -> None:
    error = told(Reason.RATE_LIMITED, **LIMIT)
    more = error.with_headers((b"x-ratelimit-limit-requests", b"60"))
    assert more.headers == (*error.headers, (b"x-ratelimit-limit-requests", b"60"))
    assert (b"x-ratelimit-limit-requests", b"60") not in error.headers
    assert envelope(more) == envelope(error)


def test_a_clients_own_text_is_repeated_only_so_far() -> None:
    error = request_errors.invalid_value("tool_choice", "x" * 100_000, ["auto"])
    assert len(error.message) < 500


def test_a_wrong_method_is_told_which_ones_are_right() -> None:
    error = request_errors.method_not_allowed("POST", "/v1/models", ["GET", "DELETE"])
    assert error.headers == ((b"allow", b"DELETE, GET"),)
    assert (error.status, error.code) == (405, "method_not_supported")


@pytest.mark.parametrize(
    ("budget", "code"),
    [
        ("credit", "credit_balance_exhausted"),
        ("organization", "organization_spend_limit_exceeded"),
        ("project", "project_spend_limit_exceeded"),
        ("newer", "insufficient_quota"),
    ],
)
def test_spent_money_says_whose_and_that_waiting_does_not_help(budget: str, code: str) -> None:
    error = CapstanError(Reason.QUOTA_EXHAUSTED, "spent", budget=budget)
    answer = to_api_error(error, context=ErrorContext())
    assert (answer.status, answer.type, answer.code) == (429, "insufficient_quota", code)
    assert (b"x-should-retry", b"false") in answer.headers
    assert not any(name.startswith(b"retry-after") for name, _ in answer.headers)
