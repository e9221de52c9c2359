"""What fields of requests may hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from services.auth import fields
from services.auth.limits import Numbers


def refused(check: Callable[..., Any], *arguments: Any) -> bool:
    with pytest.raises(CapstanError) as caught:
        check("field", *arguments)
    return caught.value.reason is Reason.INVALID_ARGUMENT and caught.value.metadata == {"param": "field"}


@pytest.mark.parametrize("text", ["", " ", "n" * 101, "a\0b", "a\nb"])
def test_a_name_is_short_and_printable(text: str) -> None:
    assert refused(fields.name, text)


@pytest.mark.parametrize("text", ["", "a", "a@", "@b", "a b@c", "a@b\0", f"{'a' * 250}@b.cd"])
def test_an_address_can_be_one(text: str) -> None:
    assert refused(fields.email, text)
    assert fields.email("field", "a@b") == "a@b"


def test_scopes_are_words_or_everything_and_none_is_everything() -> None:
    assert fields.scopes("field", []) == ("*",)
    assert fields.scopes("field", ["model.request", "model.request"]) == ("model.request",)
    for wrong in (["Model"], ["a b"], ["**"], [""], ["a"] * 65):
        assert refused(fields.scopes, wrong)


def test_a_role_names_what_it_permits_and_never_everything() -> None:
    assert fields.permissions("field", ["api.groups.read"]) == ("api.groups.read",)
    for wrong in ([], ["*"], ["role-project-owner"], ["a"] * 101):
        assert refused(fields.permissions, wrong)


def test_networks_have_one_spelling() -> None:
    given = ["10.1.2.3/8", "10.0.0.0/8", "192.0.2.1", "2001:DB8::1", "2001:db8::/32"]
    assert fields.networks("field", given) == ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::1/128", "2001:db8::/32")
    for wrong in ("10.0.0.0/33", "host", "", "10.0.0", "::1%eth0/129"):
        assert refused(fields.networks, [wrong])
    assert refused(fields.networks, [f"10.0.0.{number}" for number in range(101)])


def test_an_end_is_in_the_future_and_within_the_calendar() -> None:
    clock = ManualClock()
    now = int(clock.now())
    assert fields.expiry("field", None, clock) is None
    assert fields.expiry("field", Timestamp(seconds=now + 1), clock) == datetime.fromtimestamp(now + 1, UTC)
    for seconds in (now, 0, 253_402_300_800):
        assert refused(fields.expiry, Timestamp(seconds=seconds), clock)


def test_amounts_are_counts_that_everyone_can_read() -> None:
    assert fields.amounts("field", Numbers(0, fields.LARGEST)) == Numbers(0, fields.LARGEST)
    for wrong in (Numbers(-1), Numbers(tokens_per_day=fields.LARGEST + 1), Numbers(burst_percent=0)):
        assert refused(fields.amounts, wrong)
    assert refused(fields.models, ["m"] * 3, 2)
    assert refused(fields.one_of, "x", ("a", "b"))
    assert refused(fields.description, "\0")
