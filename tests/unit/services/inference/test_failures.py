"""Every error of an engine has a reason on the wire."""

from __future__ import annotations

import pytest

from chassis.errors import CapstanError, Reason
from services.inference import errors
from services.inference.failures import capstan_error
from services.inference.tokenizer import NoChatTemplateError, TemplateRefusedError


def every(kind: type[errors.EngineError]) -> list[type[errors.EngineError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in every(below))]


def example(kind: type[errors.EngineError]) -> errors.EngineError:
    if kind is errors.PromptTooLongError:
        return errors.PromptTooLongError(10, 5)
    if issubclass(kind, errors.InvalidRequestError):
        return kind("no", param="n")
    if issubclass(kind, errors.AdapterError):
        return kind("no", name="mine")
    return kind("no")


ABSTRACT = {errors.EngineError, errors.AdapterError}


@pytest.mark.parametrize("kind", [kind for kind in every(errors.EngineError) if kind not in ABSTRACT])
def test_every_error_has_a_reason_of_its_own(kind: type[errors.EngineError]) -> None:
    assert capstan_error(example(kind)).reason is not Reason.INTERNAL


def test_another_kind_of_model_is_told_apart() -> None:
    assert capstan_error(errors.InvalidRequestError("no", param="model")).reason is Reason.MODEL_KIND_MISMATCH
    assert capstan_error(NoChatTemplateError()).reason is Reason.MODEL_KIND_MISMATCH


def test_a_templates_refusal_names_the_messages() -> None:
    told = capstan_error(TemplateRefusedError("roles must alternate"))
    assert told.metadata == {"param": "messages", "message": "roles must alternate"}


def test_lengths_are_told() -> None:
    told = capstan_error(errors.PromptTooLongError(10, 5))
    assert told.metadata == {"limit_tokens": "5", "prompt_tokens": "10", "completion_tokens": "0"}


def test_the_unknown_is_a_fault_of_ours() -> None:
    assert capstan_error(RuntimeError("x")).reason is Reason.INTERNAL


def test_what_has_a_reason_keeps_it() -> None:
    error = CapstanError(Reason.OVERLOADED)
    assert capstan_error(error) is error
