"""What can be wrong with a request itself, each fault with OpenAI's status, code and words.

Texts follow recorded traffic; `path` is the place of the fault as the client wrote it: `messages[0].content[1].type`.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.gateway.api_error import DO_NOT_RETRY, SERVICE_UNAVAILABLE, ApiError, retry_headers

LONGEST_ECHO = 200
"""Characters of a client's own text that an error repeats."""


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"


# The connection and the HTTP request.


def malformed_http() -> ApiError:
    """The bytes are no HTTP request."""
    return ApiError(400, "The request is not valid HTTP.")


def headers_too_large() -> ApiError:
    """Request line and headers exceed a bound."""
    return ApiError(431, "The request's headers are too large.")


def headers_timeout() -> ApiError:
    """The headers took too long. The SDKs would repeat a 408, and that is right: the network was slow."""
    return ApiError(408, "The request's headers were not received in time.", code="timeout")


def body_timeout() -> ApiError:
    """The body took too long, or came too slowly."""
    return ApiError(408, "The request's body was not received in time.", code="timeout")


def body_too_large(limit_bytes: int) -> ApiError:
    """The body is longer than it may be."""
    return ApiError(
        413, f"The request's body is too large. The maximum is {limit_bytes} bytes.", code="request_too_large"
    )


def too_many_connections(wait_ms: float) -> ApiError:
    """The gateway serves as many connections as it may."""
    return ApiError(
        503,
        "Our servers are currently overloaded. Please try again later.",
        kind=SERVICE_UNAVAILABLE,
        code="server_is_overloaded",
        headers=retry_headers(wait_ms),
    )


def too_many_wrong_keys(wait_ms: float) -> ApiError:
    """The client's address has tried more wrong keys than anybody mistypes; no key of its is looked at for a while."""
    return ApiError(
        429,
        "Too many requests with an incorrect API key came from your address. Please try again later.",
        kind="requests",
        code="rate_limit_exceeded",
        headers=retry_headers(wait_ms),
    )


def address_not_allowed(address: str) -> ApiError:
    """The key is restricted to other addresses."""
    named = f"Your IP address {address}" if address else "Your IP address"
    return ApiError(403, f"{named} is not allowed to use this API key.", code="ip_not_authorized")


def unsupported_content_type(content_type: str) -> ApiError:
    """The body is not what the endpoint reads."""
    return ApiError(
        415,
        f"Unsupported content type: '{_shown(content_type)}'. This API method only accepts 'application/json' "
        "requests. Please try again with a supported content type.",
        code="unsupported_content_type",
    )


def unsupported_content_encoding(encoding: str) -> ApiError:
    """The body is compressed: a small one can become a huge one, so none is unpacked."""
    return ApiError(
        415,
        f"Unsupported content encoding: '{_shown(encoding)}'. Please send the body uncompressed.",
        code="unsupported_content_encoding",
    )


def unknown_url(method: str, path: str) -> ApiError:
    """Nothing is served there."""
    return ApiError(
        404,
        f"Unknown request URL: {_shown(method)} {_shown(path)}. Please check the URL for typos.",
        code="unknown_url",
    )


def not_served(method: str, path: str, why: str) -> ApiError:
    """OpenAI has it and this platform does not; `why` is a sentence."""
    return ApiError(404, f"{_shown(method)} {_shown(path)} is not served by this platform. {why}", code="not_served")


def served_elsewhere(method: str, path: str) -> ApiError:
    """The administration is not on the public port."""
    return ApiError(
        404,
        f"Unknown request URL: {_shown(method)} {_shown(path)}. Organizations are administered at the address of the "
        "admin API, with an admin key.",
        code="unknown_url",
    )


def method_not_allowed(method: str, path: str, allowed: Sequence[str]) -> ApiError:
    """Something is served there, by other methods."""
    return ApiError(
        405,
        f"Not allowed to {_shown(method)} on {_shown(path)}. (HINT: Perhaps you meant to use a different HTTP method?)",
        code="method_not_supported",
        headers=((b"allow", ", ".join(sorted(allowed)).encode()),),
    )


def idempotency_key_malformed(longest: int) -> ApiError:
    """The header is no key."""
    return ApiError(
        400,
        f"Invalid 'Idempotency-Key' header: expected 1 to {longest} visible ASCII characters.",
        code="invalid_idempotency_key",
    )


def idempotency_key_reused() -> ApiError:
    """The key stands for another request."""
    return ApiError(
        400,
        "This Idempotency-Key was used before with another request. Use a new key for a new request.",
        code="idempotency_key_reused",
    )


def idempotency_key_used() -> ApiError:
    """The request was made, and its answer is not there to be told again. The SDKs would repeat a 409 by themselves."""
    return ApiError(
        409,
        "A request with this Idempotency-Key was made before and its answer is not kept: streams are not, and neither "
        "are very large answers. Use a new key to make it again.",
        code="idempotency_key_used",
        headers=(DO_NOT_RETRY,),
    )


def idempotency_key_in_use() -> ApiError:
    """Another gateway does this very request. The SDKs repeat a 409 by themselves, and that is right."""
    return ApiError(
        409,
        "A request with this Idempotency-Key is being worked on. Ask again for its answer.",
        code="idempotency_key_in_use",
        headers=retry_headers(1000.0),
    )


def base_model(name: str) -> ApiError:
    """Only what was made by fine-tuning can be deleted."""
    return ApiError(
        403, f"The model '{_shown(name)}' is a base model and cannot be deleted. Only fine-tuned models can be."
    )


def not_json(hint: str) -> ApiError:
    """The body is no JSON object, or one that no correct client sends; `hint` says what is wrong."""
    return ApiError(400, f"We could not parse the JSON body of your request. (HINT: {hint})")


# Parameters: there or not there.


def missing_model() -> ApiError:
    """The one missing parameter that has its own words."""
    return ApiError(400, "you must provide a model parameter")


def missing_parameter(path: str) -> ApiError:
    """A required parameter is absent."""
    return ApiError(400, f"Missing required parameter: '{path}'.", code="missing_required_parameter", param=path)


def unknown_parameter(path: str) -> ApiError:
    """There is no such parameter."""
    path = _shown(path)
    return ApiError(400, f"Unknown parameter: '{path}'.", code="unknown_parameter", param=path)


def unsupported_parameter(path: str, hint: str = "") -> ApiError:
    """OpenAI has the parameter; what is served here cannot do it."""
    message = f"Unsupported parameter: '{path}' is not supported with this model."
    return ApiError(400, f"{message} {hint}".rstrip(), code="unsupported_parameter", param=path)


def unsupported_value(path: str, value: str) -> ApiError:
    """OpenAI has the value; what is served here cannot do it."""
    return ApiError(
        400,
        f"Unsupported value: '{path}' does not support '{_shown(value)}' with this model.",
        code="unsupported_value",
        param=path,
    )


def only_allowed_when(path: str, condition: str) -> ApiError:
    """The parameter means nothing without another; `condition` completes "is only allowed when"."""
    name = path.rpartition(".")[2]
    return ApiError(400, f"Invalid value for '{path}': '{name}' is only allowed when {condition}.", param=path)


# Parameters: their values.


def invalid_type(path: str, expected: str, got: str) -> ApiError:
    """Another JSON type; both words come with their article: "a string", "null"."""
    return ApiError(
        400,
        f"Invalid type for '{path}': expected {expected}, but got {got} instead.",
        code="invalid_type",
        param=path,
    )


def invalid_value(path: str, value: str, supported: Sequence[str]) -> ApiError:
    """A word outside of an enumeration."""
    return ApiError(
        400,
        f"Invalid value: '{_shown(value)}'. Supported values are: {_listed(supported)}.",
        code="invalid_value",
        param=path,
    )


def _listed(words: Sequence[str]) -> str:
    quoted = [f"'{word}'" for word in words]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def invalid(path: str, why: str) -> ApiError:
    """A value that is wrong in a way without a code of its own; `why` is a sentence."""
    return ApiError(400, f"Invalid '{path}': {why}", code="invalid_value", param=path)


def below_minimum(path: str, minimum: float, got: float, *, integer: bool) -> ApiError:
    """A number that is too small."""
    word = "integer" if integer else "decimal"
    return ApiError(
        400,
        f"Invalid '{path}': {word} below minimum value. Expected a value >= {_number(minimum)}, but got "
        f"{_number(got)} instead.",
        code=f"{word}_below_min_value",
        param=path,
    )


def above_maximum(path: str, maximum: float, got: float, *, integer: bool) -> ApiError:
    """A number that is too large."""
    word = "integer" if integer else "decimal"
    return ApiError(
        400,
        f"Invalid '{path}': {word} above maximum value. Expected a value <= {_number(maximum)}, but got "
        f"{_number(got)} instead.",
        code=f"{word}_above_max_value",
        param=path,
    )


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def empty_array(path: str) -> ApiError:
    """An array that needs an element."""
    return ApiError(
        400,
        f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        code="empty_array",
        param=path,
    )


def empty_string(path: str) -> ApiError:
    """A string that needs a character."""
    return ApiError(
        400,
        f"Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        code="empty_string",
        param=path,
    )


def array_above_max_length(path: str, maximum: int, got: int) -> ApiError:
    """An array with too many elements."""
    return ApiError(
        400,
        f"Invalid '{path}': array too long. Expected an array with maximum length {maximum}, but got an array with "
        f"length {got} instead.",
        code="array_above_max_length",
        param=path,
    )


def string_above_max_length(path: str, maximum: int, got: int) -> ApiError:
    """A string with too many characters."""
    return ApiError(
        400,
        f"Invalid '{path}': string too long. Expected a string with maximum length {maximum}, but got a string with "
        f"length {got} instead.",
        code="string_above_max_length",
        param=path,
    )


def object_above_max_properties(path: str, maximum: int, got: int) -> ApiError:
    """An object with too many properties."""
    return ApiError(
        400,
        f"Invalid '{path}': too many properties. Expected an object with at most {maximum} properties, but got an "
        f"object with {got} properties instead.",
        code="object_above_max_properties",
        param=path,
    )


def pattern_mismatch(path: str, pattern: str) -> ApiError:
    """A string of another form than it must have."""
    return ApiError(
        400,
        f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{pattern}'.",
        code="invalid_value",
        param=path,
    )


def stream_options_without_stream() -> ApiError:
    """Options for a stream that was not asked for."""
    return ApiError(
        400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
    )


def bias_key(key: str) -> ApiError:
    """A bias for something that is no token."""
    return ApiError(
        400,
        f"Invalid key in 'logit_bias': {_shown(key)}. You should only be submitting non-negative integers.",
        param="logit_bias",
    )


def too_many_faults(count: int) -> ApiError:
    """So much is wrong that naming one place would not help."""
    return ApiError(400, f"The body does not fit this endpoint: {count} of its values are wrong or unknown.")
