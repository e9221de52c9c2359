"""Where an installation on one machine keeps its first keys."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from chassis import keys
from services.auth import commands
from services.auth.settings import Settings
from tools.local import first_key

from .conftest import Sql

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def files(settings: Settings, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    await sql("DROP SCHEMA IF EXISTS auth CASCADE")
    await commands.migrate(settings)
    monkeypatch.setenv("CAPSTAN_AUTH_DSN", settings.dsn.get_secret_value())
    monkeypatch.setenv("CAPSTAN_AUTH_PEPPER_FILE", str(settings.pepper_file))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}")
    return tmp_path / "api", tmp_path / "admin"


async def test_the_first_keys_are_kept_for_this_user_alone(files: tuple[Path, Path]) -> None:
    api, admin = files
    assert first_key.main(api, admin) == 0
    assert api.read_text().startswith("sk-proj-")
    assert admin.read_text().startswith("sk-admin-")
    for path in files:
        assert keys.well_formed(path.read_text().strip())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_later_start_changes_neither(files: tuple[Path, Path]) -> None:
    first_key.main(*files)
    before = [path.read_text() for path in files]
    assert first_key.main(*files) == 0
    assert [path.read_text() for path in files] == before


async def test_an_installation_without_an_admin_key_gets_one_and_keeps_its_api_key(files: tuple[Path, Path]) -> None:
    api, admin = files
    first_key.main(api, admin)
    before = api.read_text()
    admin.unlink()
    assert first_key.main(api, admin) == 0
    assert api.read_text() == before
    assert admin.read_text().startswith("sk-admin-")
