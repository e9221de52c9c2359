"""What counts as never having been asked: refusals of a request for its own content, or for want of room."""

from __future__ import annotations

from chassis.errors import Reason

REFUSALS = frozenset(
    {
        Reason.INVALID_ARGUMENT,
        Reason.MODEL_NOT_FOUND,
        Reason.MODEL_KIND_MISMATCH,
        Reason.NO_CAPACITY,
        Reason.OVERLOADED,
        Reason.CONTEXT_LENGTH_EXCEEDED,
        Reason.PARAMETER_REFUSED,
        Reason.CONTENT_REFUSED,
        Reason.OBJECT_NOT_FOUND,
    }
)
