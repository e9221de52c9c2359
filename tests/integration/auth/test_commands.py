"""`python -m services.auth migrate` and `bootstrap`, as an operator runs them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from chassis import keys
from services.auth.settings import Settings

from .conftest import Service, Sql

ROOT = Path(__file__).parents[3]


async def run(command: str, settings: Settings, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.auth",
        command,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}",
            "CAPSTAN_AUTH_DSN": settings.dsn.get_secret_value(),
            "CAPSTAN_AUTH_PEPPER_FILE": str(settings.pepper_file),
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_an_installation_is_made_once_and_its_key_is_shown_once(
    settings: Settings, sql: Sql, service: Service
) -> None:
    await sql("DROP SCHEMA IF EXISTS auth CASCADE")
    assert await run("migrate", settings) == (0, "0001_identity\n0002_administration\n", "")
    assert await run("migrate", settings) == (0, "", "")
    status, out, err = await run("bootstrap", settings, CAPSTAN_AUTH_BOOTSTRAP_TIER="2")
    assert status == 0
    first = json.loads(out)
    assert set(first) == {"organization_id", "project_id", "user_id", "api_key", "admin_key"}
    for key in (first["api_key"], first["admin_key"]):
        assert keys.well_formed(key)
        assert key not in err
    status, out, _ = await run("bootstrap", settings)
    assert (status, json.loads(out)) == (0, {"exists": True})
    async with service(settings) as client:
        principal = await client.authenticate(first["api_key"])
    assert principal.organization_id == first["organization_id"]
    assert principal.rate_limits[0].requests_per_minute == 5000


async def test_two_operators_at_once_make_one_installation(first: dict[str, str], settings: Settings, sql: Sql) -> None:
    await sql("DROP SCHEMA auth CASCADE")
    await run("migrate", settings)
    done = await asyncio.gather(*(run("bootstrap", settings) for _ in range(3)))
    assert sum("api_key" in json.loads(out) for _, out, _ in done) == 1
    assert [row[0] for row in await sql("SELECT count(*) FROM auth.keys")] == [2]


async def test_settings_that_are_missing_or_wrong_are_named(settings: Settings, tmp_path: Path) -> None:
    status, _, err = await run("check", settings, CAPSTAN_AUTH_POOL_SIZE="0", CAPSTAN_AUTH_PEPER="x")
    assert status == 2
    assert "CAPSTAN_AUTH_POOL_SIZE" in err
    assert "CAPSTAN_AUTH_PEPER" in err


async def test_an_operator_who_lost_the_admin_key_gets_another(
    first: dict[str, str], settings: Settings, service: Service, sql: Sql
) -> None:
    status, out, err = await run("admin-key", settings)
    assert status == 0
    key = json.loads(out)["admin_key"]
    assert key not in err
    async with service(settings) as client:
        for each in (key, first["admin_key"]):
            principal = await client.authenticate(each)
            assert (principal.owner_id, principal.operator) == (first["user_id"], True)
    await sql("UPDATE auth.users SET disabled_at = now()")
    status, out, err = await run("admin-key", settings)
    assert (status, out) == (1, "")
    assert "bootstrap" in err
