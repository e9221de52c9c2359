"""Every import statement is executed, wherever it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.image.imports import failures, main, statements

SOURCE = """\
import json
from os import path, environ

def late():
    import absent_by_design
    from json import nothing_of_this_name
"""


def test_those_inside_of_functions_too() -> None:
    assert set(statements(SOURCE)) == {
        ("json", None), ("os", "path"), ("os", "environ"), ("absent_by_design", None), ("json", "nothing_of_this_name"),
    }  # fmt: skip


def test_modules_and_names_that_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    assert len(failures([tmp_path], [])) == 2
    assert [said.partition(":")[0] for said in failures([tmp_path], ["absent_by_design"])] == ["json"]


def test_the_exit_status_stops_a_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("import json.decoder\n")
    assert main([str(tmp_path)]) == 0
    (tmp_path / "b.py").write_text("import absent_by_design\n")
    assert main([str(tmp_path)]) == 1
    assert "absent_by_design" in capsys.readouterr().err
