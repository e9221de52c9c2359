"""Whose connection a request came by."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.client_address import client_address, within


def scope(peer: str | None, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": (peer, 1) if peer else None, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "expected"),
    [
        ("192.0.2.9", ["10.0.0.1"], 0, "192.0.2.9"),
        ("192.0.2.9", ["10.0.0.1"], 1, "10.0.0.1"),
        ("192.0.2.9", ["10.6.6.6, 10.0.0.1"], 1, "10.0.0.1"),
        ("192.0.2.9", ["10.6.6.6, 10.0.0.1", "10.0.0.2"], 2, "10.0.0.1"),
        ("192.0.2.9", [], 1, "192.0.2.9"),
        (None, ["10.6.6.6, 10.0.0.1"], 1, "10.0.0.1"),
        (None, ["10.6.6.6"], 0, ""),
        ("::ffff:192.0.2.9", [], 0, "192.0.2.9"),
        ("192.0.2.9", ["[2001:db8::1]:443"], 1, "2001:db8::1"),
        ("192.0.2.9", ["10.0.0.1:443"], 1, "10.0.0.1"),
        ("192.0.2.9", ["unknown"], 1, ""),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(
    peer: str | None, forwarded: list[str], hops: int, expected: str
) -> None:
    assert client_address(scope(peer, *forwarded), hops) == expected


@given(st.text(st.characters(max_codepoint=255)), st.integers(0, 4))
def test_whatever_is_written_there_the_answer_is_an_address_or_none(text: str, hops: int) -> None:
    found = client_address(scope("192.0.2.9", text), hops)
    assert found == "" or str(ipaddress.ip_address(found)) == found


def test_an_address_that_nobody_knows_is_in_no_network() -> None:
    everywhere = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    assert not within("", everywhere)
    assert within("192.0.2.1", everywhere)
    assert within("2001:db8::1", everywhere)
    assert not within("192.0.2.1", [ipaddress.ip_network("10.0.0.0/8")])
