"""What clients say about how they want to be served; nonsense is passed over."""

import pytest

from services.gateway.terms import Terms


@pytest.mark.parametrize(
    ("tier", "service_class"),
    [(None, "default"), ("auto", "default"), ("default", "default"), ("flex", "flex"), ("priority", "priority")],
)
def test_a_tier_is_a_class(tier: str | None, service_class: str) -> None:
    assert Terms.of([], tier, None).service_class == service_class


@pytest.mark.parametrize(
    ("value", "patience_s"),
    [(b"600", 600.0), (b"0.5", 0.5), (b"0", None), (b"-3", None), (b"nan", None), (b"inf", None), (b"soon", None)],
)
@pytest.mark.parametrize("name", [b"x-stainless-read-timeout", b"x-stainless-timeout"])
def test_the_sdks_say_how_long_they_wait(name: bytes, value: bytes, patience_s: float | None) -> None:
    assert Terms.of([(name, value)], None, None).patience_s == patience_s


def test_a_session_is_named_by_header_or_else_by_cache_key() -> None:
    assert Terms.of([(b"x-session-id", b"tab")], None, "key").session == b"tab"
    assert Terms.of([], None, "key").session == b"key"
    assert Terms.of([(b"x-session-id", b"x" * 257)], None, None).session == b""
