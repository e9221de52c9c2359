"""Typed errors: complete tables, and the same error on both ends of a wire."""

import pytest

from capstan.errors.v1 import errors_pb2
from chassis.errors import STATUS, CapstanError, Reason, failure, from_failure, reason_named


def test_every_reason_of_the_proto_is_a_reason_here() -> None:
    wire = {name.removeprefix("ERROR_REASON_") for name, _ in errors_pb2.ErrorReason.items()}
    assert wire - {"UNSPECIFIED"} == set(Reason.__members__)


def test_every_reason_has_a_status() -> None:
    assert set(STATUS) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_failure_message_comes_back_as_the_same_error(reason: Reason) -> None:
    error = from_failure(failure(CapstanError(reason, "why", param="x")))
    assert (error.reason, error.message, error.metadata) == (reason, "why", {"param": "x"})


def test_a_reason_of_a_newer_peer_is_an_internal_error() -> None:
    assert from_failure(errors_pb2.Failure(reason=9999)).reason is Reason.INTERNAL  # type: ignore[arg-type]
    assert reason_named("ERROR_REASON_BRAND_NEW") is Reason.INTERNAL


def test_a_reason_is_found_with_and_without_prefix() -> None:
    assert reason_named("ERROR_REASON_OVERLOADED") is reason_named("OVERLOADED") is Reason.OVERLOADED
