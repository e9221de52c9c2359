"""One typed error for everything one service says to another.

`CapstanError` carries a `Reason` (the values of `capstan.errors.v1.ErrorReason`), a message for logs, and metadata.
`rpc_server` and `rpc_client` carry it over the wire as `google.rpc.ErrorInfo`; only the gateway turns it into HTTP.
"""

from __future__ import annotations

import enum

import grpc

from capstan.errors.v1 import errors_pb2

DOMAIN = "capstan"
_PREFIX = "ERROR_REASON_"


class Reason(enum.Enum):
    """The values of `ErrorReason` without their prefix. What each means stands in errors.proto."""

    INTERNAL = errors_pb2.ERROR_REASON_INTERNAL
    INVALID_ARGUMENT = errors_pb2.ERROR_REASON_INVALID_ARGUMENT
    UNAVAILABLE = errors_pb2.ERROR_REASON_UNAVAILABLE
    DEADLINE_EXCEEDED = errors_pb2.ERROR_REASON_DEADLINE_EXCEEDED
    OVERLOADED = errors_pb2.ERROR_REASON_OVERLOADED
    KEY_MISSING = errors_pb2.ERROR_REASON_KEY_MISSING
    KEY_INVALID = errors_pb2.ERROR_REASON_KEY_INVALID
    PROJECT_ARCHIVED = errors_pb2.ERROR_REASON_PROJECT_ARCHIVED
    ORGANIZATION_MISMATCH = errors_pb2.ERROR_REASON_ORGANIZATION_MISMATCH
    PROJECT_MISMATCH = errors_pb2.ERROR_REASON_PROJECT_MISMATCH
    PERMISSION_DENIED = errors_pb2.ERROR_REASON_PERMISSION_DENIED
    RATE_LIMITED = errors_pb2.ERROR_REASON_RATE_LIMITED
    REQUEST_TOO_LARGE_FOR_LIMIT = errors_pb2.ERROR_REASON_REQUEST_TOO_LARGE_FOR_LIMIT
    QUOTA_EXHAUSTED = errors_pb2.ERROR_REASON_QUOTA_EXHAUSTED
    BUDGET_UNKNOWN = errors_pb2.ERROR_REASON_BUDGET_UNKNOWN
    MODEL_NOT_FOUND = errors_pb2.ERROR_REASON_MODEL_NOT_FOUND
    MODEL_KIND_MISMATCH = errors_pb2.ERROR_REASON_MODEL_KIND_MISMATCH
    NO_CAPACITY = errors_pb2.ERROR_REASON_NO_CAPACITY
    CONTEXT_LENGTH_EXCEEDED = errors_pb2.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED
    PARAMETER_REFUSED = errors_pb2.ERROR_REASON_PARAMETER_REFUSED
    ENGINE_FAILED = errors_pb2.ERROR_REASON_ENGINE_FAILED
    CONTENT_REFUSED = errors_pb2.ERROR_REASON_CONTENT_REFUSED
    OBJECT_NOT_FOUND = errors_pb2.ERROR_REASON_OBJECT_NOT_FOUND
    OBJECT_CONFLICT = errors_pb2.ERROR_REASON_OBJECT_CONFLICT
    METERING_UNAVAILABLE = errors_pb2.ERROR_REASON_METERING_UNAVAILABLE


class CapstanError(Exception):
    """A failure with a reason. `metadata` holds what the reason's comment in errors.proto names."""

    def __init__(self, reason: Reason, message: str = "", /, **metadata: str) -> None:
        super().__init__(f"{reason.name}: {message}" if message else reason.name)
        self.reason = reason
        self.message = message
        self.metadata = metadata


# What generic gRPC tooling (retries, dashboards) should think of each reason. Our own code reads only the reason.
STATUS: dict[Reason, grpc.StatusCode] = {
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.OVERLOADED: grpc.StatusCode.UNAVAILABLE,
    Reason.KEY_MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Reason.KEY_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    Reason.PROJECT_ARCHIVED: grpc.StatusCode.UNAUTHENTICATED,
    Reason.ORGANIZATION_MISMATCH: grpc.StatusCode.UNAUTHENTICATED,
    Reason.PROJECT_MISMATCH: grpc.StatusCode.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.REQUEST_TOO_LARGE_FOR_LIMIT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.QUOTA_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.BUDGET_UNKNOWN: grpc.StatusCode.UNAVAILABLE,
    Reason.MODEL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.MODEL_KIND_MISMATCH: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NO_CAPACITY: grpc.StatusCode.UNAVAILABLE,
    Reason.CONTEXT_LENGTH_EXCEEDED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PARAMETER_REFUSED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.ENGINE_FAILED: grpc.StatusCode.INTERNAL,
    Reason.CONTENT_REFUSED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.OBJECT_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.OBJECT_CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    Reason.METERING_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


def failure(error: CapstanError) -> errors_pb2.Failure:
    """Turn an error into the message that stands for it inside a batched answer."""
    return errors_pb2.Failure(reason=error.reason.value, message=error.message, metadata=error.metadata)


def from_failure(message: errors_pb2.Failure) -> CapstanError:
    """Turn a `Failure` back; an unknown reason (a newer peer's) becomes INTERNAL."""
    try:
        reason = Reason(message.reason)
    except ValueError:
        reason = Reason.INTERNAL
    return CapstanError(reason, message.message, **dict(message.metadata))


def reason_named(name: str) -> Reason:
    """Find a reason by its wire name, with or without prefix; unknown names (a newer peer's) become INTERNAL."""
    return Reason.__members__.get(name.removeprefix(_PREFIX), Reason.INTERNAL)


def unavailable(service: str, message: str = "", retry_after_ms: int = 1000) -> CapstanError:
    """Build the error of a dependency that is away; `retry_after_ms` is the hint for the caller."""
    return CapstanError(Reason.UNAVAILABLE, message, service=service, retry_after_ms=str(retry_after_ms))
