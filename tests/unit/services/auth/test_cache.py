"""How far what was found can be believed."""

from dataclasses import replace

import pytest

from services.auth.cache import FRESH_S, STALE_S, STRANGER_S, Cache
from services.auth.principals import KeyRow

from .test_principals import ROW

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


class Hands:
    """A clock that stands where it was put."""

    at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def cache(hands: Hands) -> Cache:
    return Cache(hands, size=2)


def keep(cache: Cache, hands: Hands, digest: bytes, row: KeyRow | None = ROW) -> None:
    cache.keep(digest, row, hands(), cache.changes)


def test_a_row_is_fresh_for_a_minute_and_usable_for_five(cache: Cache, hands: Hands) -> None:
    keep(cache, hands, A)
    hands.at += FRESH_S - 0.001
    assert cache.fresh(A) is not None
    hands.at += 0.001
    assert cache.fresh(A) is None
    assert cache.stale(A) is not None
    hands.at += STALE_S - FRESH_S
    assert cache.stale(A) is None


def test_its_age_counts_from_the_question_not_from_the_answer(cache: Cache, hands: Hands) -> None:
    asked = hands()
    hands.at += 10
    cache.keep(A, ROW, asked, cache.changes)
    hands.at += FRESH_S - 10
    assert cache.fresh(A) is None


def test_a_stranger_is_remembered_for_five_seconds_and_never_used_stale(cache: Cache, hands: Hands) -> None:
    keep(cache, hands, A, None)
    entry = cache.fresh(A)
    assert entry is not None
    assert entry.row is None
    hands.at += STRANGER_S
    assert cache.fresh(A) is None
    assert cache.stale(A) is None


def test_a_flood_of_strangers_pushes_out_strangers_only(cache: Cache, hands: Hands) -> None:
    keep(cache, hands, A)
    for number in range(100):
        keep(cache, hands, b"%032d" % number, None)
    assert cache.fresh(A) is not None
    assert len(cache) == 3


def test_the_row_that_was_asked_for_longest_ago_leaves_first(cache: Cache, hands: Hands) -> None:
    keep(cache, hands, A)
    keep(cache, hands, B)
    cache.fresh(A)
    keep(cache, hands, C)
    assert cache.fresh(A) is not None
    assert cache.fresh(B) is None


def test_what_changed_is_forgotten_by_key_and_by_project(cache: Cache, hands: Hands) -> None:
    keep(cache, hands, A, replace(ROW, id="key_a"))
    keep(cache, hands, B, replace(ROW, id="key_b", project_id="proj_b"))
    cache.forget({"key_a"}, ())
    assert cache.stale(A) is None
    assert cache.fresh(B) is not None
    cache.forget((), {"proj_b"})
    assert cache.stale(B) is None


def test_an_answer_that_a_change_overtook_is_not_kept(cache: Cache, hands: Hands) -> None:
    changes = cache.changes
    cache.forget({"key_of_another"}, ())
    cache.keep(A, ROW, hands(), changes)
    assert cache.fresh(A) is None


def test_when_changes_may_have_been_missed_rows_are_stale_and_strangers_gone(cache: Cache, hands: Hands) -> None:
    keep(cache, hands, A)
    keep(cache, hands, B, None)
    hands.at += 1
    cache.distrust()
    assert cache.fresh(A) is None
    assert cache.fresh(B) is None
    assert cache.stale(A) is not None
    keep(cache, hands, A)
    assert cache.fresh(A) is not None


def test_what_is_being_asked_for_when_trust_is_lost_is_kept_for_an_outage_only(cache: Cache, hands: Hands) -> None:
    asked, changes = hands(), cache.changes
    hands.at += 1
    cache.distrust()
    cache.keep(A, ROW, asked, changes)
    assert cache.fresh(A) is None
    assert cache.stale(A) is not None


def test_a_key_that_came_to_be_is_no_stranger_any_more(cache: Cache, hands: Hands) -> None:
    keep(cache, hands, A, None)
    hands.at += STRANGER_S
    keep(cache, hands, A)
    entry = cache.fresh(A)
    assert entry is not None
    assert entry.row is ROW
