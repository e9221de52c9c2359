"""What is stored of a key, and how a pepper is changed."""

import hashlib
import hmac

import pytest

from services.auth.peppers import matching, parse

OLD, NEW = "o" * 32, "n" * 48
DIGEST = hashlib.sha256(b"sk-proj-example").digest()


def test_what_is_stored_is_the_hmac_of_the_digest_under_the_pepper() -> None:
    [pepper] = parse(OLD + "\n")
    assert pepper.stored(DIGEST) == hmac.new(OLD.encode(), DIGEST, "sha256").digest()


def test_the_first_pepper_is_current_and_the_others_still_match() -> None:
    new, old = parse(f"{NEW}\n\n {OLD} \n")
    assert new.secret == NEW.encode()
    assert matching((new, old), old.id, old.stored(DIGEST), DIGEST)
    assert matching((new, old), new.id, new.stored(DIGEST), DIGEST)
    assert not matching((new, old), new.id, old.stored(DIGEST), DIGEST)
    assert not matching((new,), old.id, old.stored(DIGEST), DIGEST)


def test_the_id_of_a_pepper_is_always_the_same_and_gives_nothing_away() -> None:
    [first], [again] = parse(OLD), parse(OLD)
    assert first.id == again.id
    assert len(first.id) == 8
    assert OLD not in repr(first)


@pytest.mark.parametrize(
    "text", ["", "\n", "short", f"{OLD}\n{OLD}", f"{OLD}\nshort", "\n".join(c * 32 for c in "abcde")]
)
def test_a_pepper_file_that_is_no_good_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match="pepper") as caught:
        parse(text)
    assert OLD not in str(caught.value)
    assert "short" not in str(caught.value)
