"""API keys: what is minted is well formed, what is not is refused, what is shown cannot be used."""

import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import keys


@given(st.sampled_from(["proj", "svcacct", "admin"]), st.binary(min_size=20, max_size=20))
def test_every_minted_key_is_well_formed_and_fits_the_published_pattern(kind: keys.Kind, entropy: bytes) -> None:
    key = keys.mint(kind, lambda _: entropy)
    assert keys.well_formed(key)
    assert re.fullmatch(r"sk-(proj|svcacct|admin)-cap[0-9A-Za-z]{33}", key)


@given(st.data())
def test_a_key_with_one_changed_character_is_refused(data: st.DataObject) -> None:
    key = keys.mint("proj", secrets.token_bytes)
    place = data.draw(st.integers(len("sk-proj-"), len(key) - 1))
    other = data.draw(st.characters(codec="ascii", categories=["Lu", "Ll", "Nd"]).filter(lambda c: c != key[place]))
    assert not keys.well_formed(key[:place] + other + key[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", "sk-proj-", "hello", "sk-proj-cap" + "0" * 32, "sk-proj-capé" + "0" * 32, "\x00" * 44, "x" * 100_000]
)
def test_texts_that_are_no_keys_are_refused(text: str) -> None:
    assert not keys.well_formed(text)


@given(st.text())
def test_any_text_has_a_digest_of_32_bytes(text: str) -> None:
    assert len(keys.digest(text)) == 32


def test_a_lone_surrogate_in_a_key_does_not_raise() -> None:
    assert not keys.well_formed("sk-proj-\ud800")
    assert len(keys.digest("\ud800")) == 32


def test_a_redacted_key_shows_its_kind_and_its_end_only() -> None:
    key = keys.mint("proj", lambda n: b"\x07" * n)
    shown = keys.redact(key)
    assert shown.startswith("sk-proj-*")
    assert shown.endswith(key[-4:])
    assert len(shown) == len(key)
    assert not keys.well_formed(shown)
    assert keys.redact("ai") == "ai"


def test_two_keys_differ_and_carry_160_random_bits() -> None:
    drawn: list[int] = []

    def entropy(count: int) -> bytes:
        drawn.append(count)
        return secrets.token_bytes(count)

    assert keys.mint("proj", entropy) != keys.mint("proj", entropy)
    assert drawn == [20, 20]
