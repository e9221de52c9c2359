"""What a key's row means at a given time."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import services.auth
from chassis.errors import CapstanError, Reason
from services.auth.principals import KeyRow, Limit, ProjectLimit, judge
from services.auth.tiers import TIERS

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROW = KeyRow(
    id="key_1",
    organization_id="org-1",
    project_id="proj_1",
    owner_id="user-1",
    scopes=("*",),
    expires_at=None,
    revoked_at=None,
    archived_at=None,
    moderation_policy="off",
    allowed_models=(),
    tier="1",
    limits=(),
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
    row = replace(ROW, limits=(ProjectLimit("", 10, None), ProjectLimit("m", None, 0)))
    assert judge(row, NOW).limits == (
        Limit("organization", "", TIERS["1"].requests_per_minute, TIERS["1"].tokens_per_minute),
        Limit("project", "", 10, None),
        Limit("project", "m", None, 0),
    )


def test_a_tier_that_only_a_newer_release_knows_counts_as_the_lowest() -> None:
    assert judge(replace(ROW, tier="6"), NOW).limits[0].requests_per_minute == TIERS["free"].requests_per_minute


def test_higher_tiers_may_do_at_least_as_much() -> None:
    ladder = [TIERS[name] for name in ("free", "1", "2", "3", "4", "5", "local")]
    for lower, higher in itertools.pairwise(ladder):
        assert lower.requests_per_minute <= higher.requests_per_minute
        assert lower.tokens_per_minute < higher.tokens_per_minute


def test_the_database_knows_the_same_tiers() -> None:
    sql = (Path(services.auth.__file__).parent / "migrations" / "0001_identity.sql").read_text()
    found = re.search(r"tier IN \(([^)]*)\)", sql)
    assert found is not None
    assert set(re.findall(r"'(\w+)'", found[1])) == set(TIERS)
