"""The source tree: style, types, layers, contracts and generated files are what their tools say they should be.

Warnings of the tools are errors here as anywhere. Each check is a process, as `make check` runs it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent

CHECKS = {
    "ruff finds nothing": [str(BIN / "ruff"), "check", "."],
    "the code is formatted": [str(BIN / "ruff"), "format", "--check", "."],
    "mypy --strict finds nothing": [str(BIN / "mypy")],
    "imports keep their layers": [str(BIN / "lint-imports")],
    "the protos pass buf lint": [str(BIN / "buf"), "lint", "protos"],
    "the stubs are fresh": [sys.executable, "-m", "tools.genproto", "--check"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_tree_passes(name: str) -> None:
    command = CHECKS[name]
    assert shutil.which(command[0]), f"{command[0]} is not installed: `make test` installs it"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_source_file_has_grown_into_two() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for folder in ("chassis", "services", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_every_service_has_the_same_inside() -> None:
    missing = [
        f"{folder.name}/{name}"
        for folder in sorted((ROOT / "services").iterdir())
        if folder.is_dir() and (folder / "__init__.py").exists()
        for name in ("__init__.py", "__main__.py", "settings.py", "app.py", "metrics.py")
        if not (folder / name).exists()
    ]
    assert missing == []
