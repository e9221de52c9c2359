"""One failure as a client sees it: status, OpenAI's envelope, retry headers."""

from __future__ import annotations

import math

import orjson

Headers = tuple[tuple[bytes, bytes], ...]

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
SERVICE_UNAVAILABLE = "service_unavailable_error"

DO_NOT_RETRY: tuple[bytes, bytes] = (b"x-should-retry", b"false")
"""Both official SDKs obey it before they look at the status."""


class ApiError(Exception):
    """One refusal or failure as the client sees it. Immutable by convention; `with_headers` makes another."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(f"{status} {code or kind}: {message}")
        self.status = status
        self.type = kind
        self.code = code
        self.param = param
        self.message = message
        self.headers = headers

    def with_headers(self, *headers: tuple[bytes, bytes]) -> ApiError:
        """The same error with more headers, e.g. those of the rate limits."""
        return ApiError(
            self.status,
            self.message,
            kind=self.type,
            code=self.code,
            param=self.param,
            headers=(*self.headers, *headers),
        )


def envelope(error: ApiError) -> bytes:
    """Write the JSON body: all four keys always, `code` never a number (`Error` of the official document)."""
    fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return orjson.dumps({"error": fields})


def retry_headers(wait_ms: float) -> Headers:
    """Tell when to come back: whole seconds, at least 1, and the precise wait, which the SDKs read first."""
    wait = max(1, math.ceil(wait_ms))
    return ((b"retry-after", b"%d" % -(-wait // 1000)), (b"retry-after-ms", b"%d" % wait))
