"""Secrets are made once and are nobody else's."""

import stat
from pathlib import Path

from tools.local.secret_files import keep, write_private


def test_a_secret_stays_the_same_and_is_private(tmp_path: Path) -> None:
    made = keep(tmp_path / "pepper")
    assert len(made) >= 43
    assert keep(tmp_path / "pepper") == made
    assert stat.S_IMODE((tmp_path / "pepper").stat().st_mode) == 0o600


def test_two_secrets_differ(tmp_path: Path) -> None:
    assert keep(tmp_path / "a") != keep(tmp_path / "b")


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_text("\n")
    assert keep(tmp_path / "pepper", lambda: "made") == "made"


def test_writing_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write_private(tmp_path / "key", "one")
    write_private(tmp_path / "key", "two")
    assert (tmp_path / "key").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
