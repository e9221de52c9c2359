"""What an engine's error is called on the wire: one table, complete by test."""

from __future__ import annotations

from chassis.errors import CapstanError, Reason
from services.inference import errors
from services.inference.tokenizer import NoChatTemplateError, TemplateRefusedError

RETRY_AFTER_MS = "1000"

REFUSALS = frozenset(
    {
        Reason.INVALID_ARGUMENT,
        Reason.MODEL_KIND_MISMATCH,
        Reason.OVERLOADED,
        Reason.CONTEXT_LENGTH_EXCEEDED,
        Reason.PARAMETER_REFUSED,
        Reason.OBJECT_NOT_FOUND,
    }
)
"""Of those, what says that the request was not taken in: gateways record nothing of it."""


def capstan_error(error: Exception) -> CapstanError:
    """The typed error that another service is told. Anything unknown is a fault of ours."""
    text = str(error)
    match error:
        case errors.PromptTooLongError():
            return CapstanError(
                Reason.CONTEXT_LENGTH_EXCEEDED,
                text,
                limit_tokens=str(error.max_model_tokens),
                prompt_tokens=str(error.prompt_tokens),
                completion_tokens="0",
            )
        case errors.InvalidRequestError(param="model") | NoChatTemplateError():
            return CapstanError(Reason.MODEL_KIND_MISMATCH, text)
        case errors.InvalidRequestError():
            return CapstanError(Reason.PARAMETER_REFUSED, text, param=error.param, message=text)
        case TemplateRefusedError():
            return CapstanError(Reason.PARAMETER_REFUSED, text, param="messages", message=text)
        case errors.AdapterMissingError():
            return CapstanError(Reason.OBJECT_NOT_FOUND, text, object="path", id=error.name)
        case errors.UnknownAdapterError():
            return CapstanError(Reason.OBJECT_NOT_FOUND, text, object="adapter", id=error.name)
        case errors.AdapterRejectedError():
            return CapstanError(Reason.INVALID_ARGUMENT, text, param="path")
        case errors.AdapterConflictError():
            return CapstanError(Reason.OBJECT_CONFLICT, text, object="adapter", id=error.name)
        case errors.AdaptersFullError() | errors.EngineOverloadedError():
            return CapstanError(Reason.OVERLOADED, text, retry_after_ms=RETRY_AFTER_MS)
        case errors.GenerationFailedError() | errors.EngineDeadError():
            return CapstanError(Reason.ENGINE_FAILED, text)
        case CapstanError():
            return error
    return CapstanError(Reason.INTERNAL, f"{type(error).__name__}: {text}")
