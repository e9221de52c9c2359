"""The logs of all processes, or of one."""

from pathlib import Path

import pytest

from tools.cli.logs import chosen, follow, last_lines
from tools.local.problem import Problem


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for name in ("auth", "auth-migrate", "gateway"):
        (tmp_path / f"{name}.log").write_text(f"{name} 1\n{name} 2\n")
    (tmp_path / "gateway.log.1").write_text("old\n")
    return tmp_path


def test_without_a_name_all_are_shown(logs: Path) -> None:
    assert [path.stem for path in chosen(logs, None)] == ["auth", "auth-migrate", "gateway"]


def test_a_services_migration_belongs_to_it(logs: Path) -> None:
    assert [path.stem for path in chosen(logs, "auth")] == ["auth", "auth-migrate"]


def test_an_unknown_name_tells_the_known_ones(logs: Path) -> None:
    with pytest.raises(Problem, match="no log of nobody: auth, auth-migrate, gateway"):
        chosen(logs, "nobody")


def test_the_last_lines_are_the_last(logs: Path) -> None:
    assert last_lines(logs / "auth.log", 1) == ["auth 2"]
    assert last_lines(logs / "auth.log", 9) == ["auth 1", "auth 2"]
    assert last_lines(logs / "auth.log", 0) == []


def test_following_yields_whole_new_lines_and_survives_a_cut(logs: Path) -> None:
    path = logs / "auth.log"
    contents = [path.read_text() + "half", path.read_text() + "half and half\n", "cut\n"]

    def pause(_: float) -> None:
        path.write_text(contents.pop(0))

    lines = follow([path], pause)
    assert next(lines) == ("auth", "half and half")
    assert next(lines) == ("auth", "cut")
    lines.close()  # type: ignore[attr-defined]  # a generator, typed as what its callers need
