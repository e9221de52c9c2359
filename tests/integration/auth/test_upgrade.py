"""A database that an older release filled, after the newer release's migrations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from capstan.auth.v1 import auth_pb2
from chassis import keys, postgres
from services.auth import commands
from services.auth.peppers import parse
from services.auth.settings import Settings

from .administrator import administrator
from .conftest import PEPPER, Service, Sql


@pytest.fixture
async def old_key(settings: Settings, sql: Sql, tmp_path: Path) -> str:
    """What 0001 alone had after its bootstrap, with a service account and a log of two entries."""
    await sql("DROP SCHEMA IF EXISTS auth CASCADE")
    folder = tmp_path / "old"
    folder.mkdir()
    shutil.copy(commands.MIGRATIONS / "0001_identity.sql", folder)
    assert await postgres.migrate(settings.database(), "auth", folder) == ["0001_identity"]
    key = keys.mint("proj", lambda size: b"k" * size)
    [pepper] = parse(PEPPER)
    await sql("INSERT INTO auth.organizations (organization_id, name, tier) VALUES ('org-old', 'Old', '1')")
    await sql("INSERT INTO auth.projects (project_id, organization_id, name) VALUES ('proj_old', 'org-old', 'Old')")
    await sql(
        "INSERT INTO auth.users (user_id, organization_id, project_id, name, role) VALUES"
        " ('user-old', 'org-old', NULL, 'Owner', 'owner'), ('user-svc', 'org-old', 'proj_old', 'CI', 'service_account')"
    )
    await sql(
        "INSERT INTO auth.keys (key_id, organization_id, project_id, owner_id, name, hmac, pepper_id, redacted, scopes)"
        " VALUES ('key_old', 'org-old', 'proj_old', 'user-old', 'Old', $1, $2, 'sk-…', '{*}')",
        pepper.stored(keys.digest(key)),
        pepper.id,
    )
    await sql("INSERT INTO auth.project_rate_limits VALUES ('org-old', 'proj_old', 'm', 5, NULL)")
    await sql(
        "INSERT INTO auth.audit_log (organization_id, project_id, key_id, action) VALUES"
        " ('org-old', 'proj_old', 'key_old', 'key.created'), ('org-old', 'proj_old', 'key_gone', 'key.revoked')"
    )
    return key


async def test_keys_limits_and_the_log_live_on(
    old_key: str, settings: Settings, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await commands.migrate(settings) == 0
    capsys.readouterr()
    assert await commands.bootstrap(settings) == 0
    assert json.loads(capsys.readouterr().out) == {"exists": True}
    assert await commands.admin_key(settings) == 0
    admin_key = json.loads(capsys.readouterr().out)["admin_key"]
    async with service(settings) as client:
        principal = await client.authenticate(old_key)
        assert (principal.key_id, principal.kind) == ("key_old", auth_pb2.KEY_KIND_PROJECT_USER)
        assert list(principal.scopes) == ["*"]
        assert (principal.rate_limits[-1].model, principal.rate_limits[-1].requests_per_minute) == ("m", 5)
        owner = await administrator(client, admin_key)
        entries = (await owner("ListAuditLogs", object_ids=["key_old", "key_gone"])).entries
        assert {(entry.type, *entry.object_ids) for entry in entries} == {
            ("api_key.created", "key_old"),
            ("api_key.deleted", "key_gone"),
        }
        [account] = (await owner("ListServiceAccounts", project_id="proj_old")).service_accounts
        assert (account.id, account.role) == ("user-svc", "member")
        roles = {role.id for role in (await owner("ListRoles")).roles}
        assert roles == {"role-organization-owner", "role-organization-reader"}
        assert (await owner("RotateProjectKey", project_id="proj_old", key_id="key_old")).key
