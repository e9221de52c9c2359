"""One request under way: what is known of it so far, and its failure in OpenAI's words."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from chassis import keys
from chassis.errors import CapstanError, Reason
from chassis.ops import Scope
from services.gateway.caller import Caller
from services.gateway.errors import ApiError, EndpointKind, ErrorContext, to_api_error
from services.gateway.terms import Terms


@dataclass(slots=True)
class Exchange:
    """One request under way."""

    request_id: str
    kind: EndpointKind
    caller: Caller | None = None
    key: str = ""
    model: str = ""
    address: str = ""
    """Of the client; empty when nobody can tell."""
    terms: Terms = field(default_factory=Terms)

    @property
    def tenant_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Who pays, once that is known; an admin key belongs to no project."""
        if self.caller is None:
            return ()
        organization = (b"openai-organization", self.caller.organization_id.encode())
        if not self.caller.project_id:
            return (organization,)
        return (organization, (b"openai-project", self.caller.project_id.encode()))

    def error(self, error: CapstanError) -> ApiError:
        """Put a typed error in this request's words."""
        return to_api_error(
            error,
            context=ErrorContext(
                endpoint=self.kind,
                model=self.model or None,
                organization_id=self.caller.organization_id if self.caller else None,
                request_id=self.request_id,
                redacted_key=keys.redact(self.key) if self.key else None,
            ),
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )


def header(scope: Scope, name: bytes) -> bytes | None:
    """Answer the first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def bearer(value: bytes | None) -> str:
    """Take the key out of an Authorization header (RFC 6750; the scheme's case does not matter)."""
    scheme, _, key = (value or b"").partition(b" ")
    text = key.strip().decode("latin-1")
    if scheme.lower() != b"bearer" or not text:
        raise CapstanError(Reason.KEY_MISSING, "no bearer token")
    return text
