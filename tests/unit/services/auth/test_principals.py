"""What a key's row means at a given time."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import services.auth
from chassis.errors import CapstanError, Reason
from services.auth.limits import AMOUNTS, Limit, Numbers
from services.auth.permissions import PREDEFINED, Grants
from services.auth.principals import KeyRow, judge
from services.auth.tiers import TIERS

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROW = KeyRow(
    id="key_1",
    organization_id="org-1",
    project_id="proj_1",
    owner_id="user-1",
    scopes=("*",),
    owner_grants=PREDEFINED["role-project-member"],
    tier="1",
)


def reason(row: KeyRow | None) -> tuple[Reason, str]:
    with pytest.raises(CapstanError) as caught:
        judge(row, NOW)
    return caught.value.reason, caught.value.message


def test_a_key_that_is_active_is_its_owners() -> None:
    assert judge(ROW, NOW).row is ROW


def test_unknown_revoked_and_expired_keys_are_told_the_same() -> None:
    unknown = reason(None)
    assert unknown[0] is Reason.KEY_INVALID
    assert reason(replace(ROW, revoked_at=NOW - timedelta(days=1))) == unknown
    assert reason(replace(ROW, expires_at=NOW)) == unknown


def test_a_key_works_until_the_instant_it_expires() -> None:
    assert judge(replace(ROW, expires_at=NOW + timedelta(microseconds=1)), NOW)


def test_a_good_key_of_an_archived_project_is_told_so_and_a_revoked_one_is_not() -> None:
    archived = replace(ROW, archived_at=NOW)
    assert reason(archived)[0] is Reason.PROJECT_ARCHIVED
    assert reason(replace(archived, revoked_at=NOW))[0] is Reason.KEY_INVALID


def test_the_tiers_allowance_and_the_projects_own_limits_bind_together() -> None:
    each, named, own = Numbers(10), Numbers(tokens_per_minute=0), Numbers(concurrent_requests=1)
    row = replace(ROW, project_limits={"m": named, "": each}, key_limits={"": own})
    assert judge(row, NOW).limits == (
        Limit("organization", "", TIERS["1"]),
        Limit("project", "", each),
        Limit("project", "m", named),
        Limit("key", "", own),
    )


def test_what_an_organisation_was_given_stands_in_place_of_its_tiers_numbers() -> None:
    own, named = Numbers(requests_per_day=7), Numbers(shadow=True)
    limits = judge(replace(ROW, organization_limits={"": own, "m": named}), NOW).limits
    assert limits == (Limit("organization", "", own), Limit("organization", "m", named))


def test_a_tier_that_only_a_newer_release_knows_counts_as_the_lowest() -> None:
    assert judge(replace(ROW, tier="6"), NOW).limits[0].numbers == TIERS["free"]


def test_higher_tiers_may_do_at_least_as_much() -> None:
    ladder = [TIERS[name] for name in ("free", "1", "2", "3", "4", "5", "local")]
    for lower, higher in itertools.pairwise(ladder):
        for name in AMOUNTS:
            low, high = getattr(lower, name), getattr(higher, name)
            assert high is None or (low is not None and low <= high), name


def test_the_database_knows_the_same_tiers() -> None:
    sql = (Path(services.auth.__file__).parent / "migrations" / "0001_identity.sql").read_text()
    found = re.search(r"tier IN \(([^)]*)\)", sql)
    assert found is not None
    assert set(re.findall(r"'(\w+)'", found[1])) == set(TIERS)


def test_a_key_ends_with_its_owner_and_with_its_owners_access() -> None:
    unknown = reason(None)
    assert reason(replace(ROW, owner_active=False)) == unknown
    assert reason(replace(ROW, owner_grants=Grants())) == unknown
    assert reason(replace(ROW, owner_grants=PREDEFINED["role-organization-reader"])) == unknown


def test_an_admin_key_needs_no_project_and_is_bound_by_no_limit() -> None:
    row = replace(ROW, kind="admin", project_id="", owner_grants=Grants(), scopes=("api.users.read",))
    assert judge(row, NOW).limits == ()
    assert judge(row, NOW).scopes == ("api.users.read",)
    assert reason(replace(row, owner_active=False))[0] is Reason.KEY_INVALID


@pytest.mark.parametrize(
    ("key", "project", "denied", "expected"),
    [
        ((), (), (), {"a", "b", "c"}),
        (("a",), (), (), {"a"}),
        ((), ("a", "b"), (), {"a", "b"}),
        (("a", "c"), ("a", "b"), (), {"a"}),
        (("a",), ("b",), (), set()),
        (("a", "b"), (), ("b",), {"a"}),
        ((), (), ("b",), {"a", "c"}),
    ],
)
def test_a_key_uses_what_both_it_and_its_project_may(
    key: tuple[str, ...], project: tuple[str, ...], denied: tuple[str, ...], expected: set[str]
) -> None:
    principal = judge(replace(ROW, allowed_models=key, project_models=project, denied_models=denied), NOW)
    named, refused = principal.allowed_models, principal.denied_models
    assert {model for model in "abc" if (not named or model in named) and model not in refused} == expected
