"""`capstan billing` says what to do when it can do nothing, and what it will check."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools.cli.__main__ import app


@pytest.mark.parametrize(
    "command",
    [
        ["verify"],
        ["credit", "show"],
        ["credit", "grant", "5", "org-1"],
        ["terms", "set", "--prepaid"],
        ["parked", "list"],
        ["parked", "retry"],
        ["parked", "dismiss", "3f9a0c11", "a test of ours"],
    ],
    ids=" ".join,
)
def test_where_nothing_runs_it_says_so(tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CAPSTAN_ADMIN_URL", "CAPSTAN_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(app, ["billing", *command, "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "Nothing runs in" in done.stderr


def test_an_installation_elsewhere_is_operated_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSTAN_ADMIN_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("CAPSTAN_ADMIN_KEY", "sk-admin-x")
    for command in (["verify"], ["credit", "show"]):
        done = CliRunner().invoke(app, ["billing", *command, "--data-dir", str(tmp_path)])
        assert done.exit_code == 1
        assert "docs/operations.md" in done.stderr


def test_terms_that_change_nothing_are_asked_for(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["billing", "terms", "set", "org-1", "--data-dir", str(tmp_path)])
    assert "Say what to change" in done.stderr


def test_the_help_names_all_twelve_invariants() -> None:
    said = CliRunner().invoke(app, ["billing", "verify", "--help"]).stdout
    assert all(f" I{number} " in said for number in range(1, 13))
