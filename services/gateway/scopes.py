"""What a key must be allowed for which endpoint: the one table of it.

A restricted key holds scopes by the names that OpenAI gives them, `*` is everything and `api.all.read` whatever only
reads. What is asked for by POST and changes nothing (a model's work) is `model.request`.
"""

from __future__ import annotations

from services.gateway.caller import Caller

ALL, ALL_READ = "*", "api.all.read"
MANAGEMENT = "api.management.read"
"""What OpenAI says that a project's key lacks for the administration. No key can be given it: admin keys are another
kind, with scopes of their own that the service judges which has the object."""
MODEL_REQUEST = "model.request"

_READS = frozenset({"GET", "HEAD", "OPTIONS"})

# The first prefix that fits decides; the pair is what reading and writing there need.
_GROUPS: tuple[tuple[str, tuple[str, str]], ...] = (
    ("/v1/models", ("api.model.read", "api.model.write")),
    ("/v1/chat/completions/", ("api.chat.completions.read", "api.chat.completions.write")),
    ("/v1/chat/completions", ("api.chat.completions.read", MODEL_REQUEST)),
    ("/v1/responses/input_tokens", (MODEL_REQUEST, MODEL_REQUEST)),
    ("/v1/responses", ("api.responses.read", "api.responses.write")),
    ("/v1/files", ("api.files.read", "api.files.write")),
    ("/v1/uploads", ("api.files.read", "api.files.write")),
    ("/v1/batches", ("api.batches.read", "api.batches.write")),
    ("/v1/fine_tuning/", ("api.fine_tuning.jobs.read", "api.fine_tuning.jobs.write")),
    ("/v1/fine-tuning/", ("api.fine_tuning.jobs.read", "api.fine_tuning.jobs.write")),
)
SCOPES = frozenset({ALL, ALL_READ, MODEL_REQUEST}) | {scope for _, pair in _GROUPS for scope in pair}
"""Every scope that a project's key can hold."""


def needed(method: str, path: str) -> str:
    """Name the scope that an endpoint of the public API needs."""
    for prefix, (read, write) in _GROUPS:
        if path.startswith(prefix):
            return read if method in _READS else write
    return MODEL_REQUEST


def missing(caller: Caller, method: str, path: str) -> str:
    """Name the scope that `caller` lacks for an endpoint of the public API; empty when it may go on."""
    held = caller.scopes
    if ALL in held:
        return ""
    scope = needed(method, path)
    if scope in held or f"api.{scope}" in held or (ALL_READ in held and scope.endswith(".read")):
        return ""
    return scope
