"""Why the task of a request is cancelled: for what the message of its `CancelledError` says, or the gateway stops."""

from __future__ import annotations

import asyncio

from services.gateway.usage_record import Outcome

CLIENT_GONE = "the client is gone"
"""Its client left."""

UNHEARD = "the gateway stops before anybody heard of it"
"""Nobody was told anything of it, and its key is given back, so that it can be done elsewhere: it is free."""


def outcome(error: asyncio.CancelledError, *, served: bool) -> Outcome:
    """Answer how a request ended that was cancelled; `served`: after its first token."""
    if error.args == (CLIENT_GONE,):
        return Outcome.CLIENT_CLOSED
    return Outcome.TRUNCATED if served and error.args != (UNHEARD,) else Outcome.SERVER_ERROR
