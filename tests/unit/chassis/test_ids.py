"""Identifiers: unique, ordered by time, of the shape clients see."""

import re

from chassis.ids import RandomIds, SequentialIds


def test_an_id_is_its_prefix_and_32_hexadecimal_digits() -> None:
    assert re.fullmatch(r"req_[0-9a-f]{32}", RandomIds().new("req_"))


def test_ten_thousand_ids_are_all_different() -> None:
    ids = RandomIds()
    assert len({ids.new("req_") for _ in range(10_000)}) == 10_000


def test_a_later_id_sorts_behind_an_earlier_one() -> None:
    now = 1_700_000_000.0
    ids = RandomIds(now=lambda: now)
    first = ids.new("x")
    now += 0.001
    assert ids.new("x") > first


def test_an_id_has_the_version_and_variant_bits_of_uuid_7() -> None:
    digits = RandomIds().new("")
    assert digits[12] == "7"
    assert digits[16] in "89ab"


def test_sequential_ids_count() -> None:
    ids = SequentialIds()
    assert [ids.new("a"), ids.new("b")] == ["a" + "0" * 31 + "1", "b" + "0" * 31 + "2"]
