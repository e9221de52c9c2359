"""An image installs a part of a lock file, every entry with its hashes."""

from pathlib import Path

import pytest

from tools.lock.pick import main, pick

LOCK = """\
# made by a tool
aaa==1.0 \\
    --hash=sha256:11
bbb==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:22
bbb==2.1 ; python_full_version >= '3.12' \\
    --hash=sha256:33
ccc-d==3 \\
    --hash=sha256:44
"""


def test_what_is_named_is_picked_with_its_hashes() -> None:
    assert pick(LOCK, ["aaa"]) == "aaa==1.0 \\\n    --hash=sha256:11\n"


def test_a_package_that_differs_by_python_comes_in_all_its_versions() -> None:
    assert pick(LOCK, ["bbb"]).count("--hash") == 2


def test_all_but_what_is_named() -> None:
    picked = pick(LOCK, ["bbb"], excluding=True)
    assert [line.split("==")[0] for line in picked.splitlines() if "==" in line] == ["aaa", "ccc-d"]


def test_a_name_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(LOCK)
    assert main([str(lock), "ddd"]) == 1
    assert "has no ddd" in capsys.readouterr().err


def test_the_option_may_stand_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(LOCK)
    assert main([str(lock), "--except", "aaa", "bbb"]) == 0
    assert capsys.readouterr().out.startswith("ccc-d==3")
