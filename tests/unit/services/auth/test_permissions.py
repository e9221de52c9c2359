"""Sets of permissions: what is in them, and that nothing made from them is more than they are."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import services.auth
from services.auth.permissions import ADMINISTRATIVE, ALL, PREDEFINED, Grants, expanded

SCOPES = ("model.request", "api.files.read", "api.files.write")
PERMISSIONS = sorted(ADMINISTRATIVE) + list(SCOPES) + ["api.unheard.of"]

permissions = st.sampled_from(PERMISSIONS)
grants = st.builds(Grants, st.booleans(), st.booleans(), st.booleans(), st.frozensets(permissions, max_size=8))
scopes = st.lists(permissions | st.just(ALL), min_size=1, max_size=6).map(tuple)


def covered(some: Grants) -> set[str]:
    return {permission for permission in PERMISSIONS if some.cover(permission)}


@given(grants, grants)
def test_grants_include_others_only_when_they_cover_all_of_them(one: Grants, other: Grants) -> None:
    if one.include(other):
        assert covered(other) <= covered(one)


@given(grants)
def test_grants_include_themselves_and_nothing(some: Grants) -> None:
    assert some.include(some)
    assert some.include(Grants())


@given(grants, grants)
def test_grants_added_up_are_both_and_no_more(one: Grants, other: Grants) -> None:
    assert covered(one | other) == covered(one) | covered(other)
    assert (one | other).include(one)


@given(grants, scopes)
def test_a_key_never_has_more_than_its_owner_and_than_its_scopes(owner: Grants, wanted: tuple[str, ...]) -> None:
    narrowed = owner.narrowed(wanted)
    assert owner.include(narrowed)
    assert covered(narrowed) <= covered(owner)
    if ALL not in wanted:
        assert covered(narrowed) <= set(wanted)


@given(grants, scopes)
def test_the_scopes_of_a_project_key_are_those_its_owner_has(owner: Grants, wanted: tuple[str, ...]) -> None:
    left = owner.scopes_of(wanted)
    if ALL in left:
        assert ALL in wanted
        assert owner.uses or owner.everything
    else:
        usable = {scope for scope in left if scope not in ADMINISTRATIVE}
        assert usable <= covered(owner)
        assert ALL in wanted or set(left) <= set(wanted)


@given(st.lists(permissions | st.sampled_from(sorted(PREDEFINED)), max_size=6).map(tuple))
def test_words_add_up_whatever_their_order(words: tuple[str, ...]) -> None:
    assert expanded(words) == expanded(words[::-1])
    for word in words:
        assert expanded(words).include(PREDEFINED.get(word, Grants(names=frozenset([word]))))


def test_a_role_that_only_a_newer_release_knows_grants_nothing() -> None:
    assert expanded(("role-galaxy-owner",)) == Grants()


def test_readers_see_and_change_nothing_and_use_nothing() -> None:
    reader = PREDEFINED["role-organization-reader"]
    assert covered(reader) == {name for name in ADMINISTRATIVE if name.endswith(".read")}
    assert not reader.usable


def test_the_database_has_a_row_for_every_predefined_role() -> None:
    sql = (Path(services.auth.__file__).parent / "migrations" / "0002_administration.sql").read_text()
    assert set(re.findall(r"\(organization, '(role-[a-z-]+)'", sql)) == set(PREDEFINED)
