"""How many wrong keys an address may try."""

from __future__ import annotations

import pytest

from services.gateway.wrong_keys import MOST_ADDRESSES, WrongKeys


def test_after_a_minutes_worth_an_address_waits_until_one_more_is_due() -> None:
    guard = WrongKeys(per_minute=60)
    for _ in range(60):
        assert guard.wait_s("192.0.2.1", 100.0) == 0
        guard.note("192.0.2.1", 100.0)
    assert guard.wait_s("192.0.2.1", 100.0) == pytest.approx(1.0)
    assert guard.wait_s("192.0.2.2", 100.0) == 0
    assert guard.wait_s("192.0.2.1", 101.0) == 0


def test_memory_is_bounded_and_the_latest_offenders_are_remembered() -> None:
    guard = WrongKeys(per_minute=1)
    for number in range(MOST_ADDRESSES + 5):
        guard.note(str(number), 0.0)
    assert guard.wait_s("0", 0.0) == 0
    assert guard.wait_s(str(MOST_ADDRESSES + 4), 0.0) > 0
    assert len(guard._levels) == MOST_ADDRESSES


@pytest.mark.parametrize(("per_minute", "address"), [(0, "192.0.2.1"), (1, "")])
def test_without_a_limit_or_an_address_nobody_waits(per_minute: int, address: str) -> None:
    guard = WrongKeys(per_minute)
    for _ in range(10):
        guard.note(address, 0.0)
    assert guard.wait_s(address, 0.0) == 0


def test_a_host_that_chooses_among_its_ipv6_addresses_is_one() -> None:
    guard = WrongKeys(per_minute=1)
    guard.note("2001:db8::1", 0.0)
    assert guard.wait_s("2001:db8::ffff:2", 0.0) > 0
    assert guard.wait_s("2001:db8:0:1::1", 0.0) == 0
