"""Write the lock files: `python -m tools.lock [--upgrade]`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST_PYTHON = "3.11"
EXTRAS = {
    "requirements-dev.lock": ("local", "cpu", "services", "dev"),
    "requirements-cpu.lock": ("local", "cpu", "services"),
    "requirements.lock": ("services",),
}
"""File name to the extras in it, the largest first."""


def command(uv: str, name: str, *, upgrade: bool) -> list[str]:
    """The uv command line that writes the lock file `name`."""
    largest = next(iter(EXTRAS))
    line = [uv, "pip", "compile", "pyproject.toml", "--quiet", "--config-file", "tools/lock/uv.toml"]
    line += ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-annotate"]
    line += ["--custom-compile-command", "python -m tools.lock", "--output-file", name]
    line += [part for extra in EXTRAS[name] for part in ("--extra", extra)]
    if name != largest:
        line += ["--constraint", largest]
    return [*line, "--upgrade"] if upgrade else line


def main() -> int:
    """Resolve every lock file in turn."""
    parser = argparse.ArgumentParser(prog="python -m tools.lock", description="Write the lock files.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases that are a week old")
    options = parser.parse_args()
    uv = shutil.which("uv")
    if uv is None:
        print("uv is needed to resolve, and only for that: pip install uv", file=sys.stderr)
        return 1
    for name in EXTRAS:
        done = subprocess.run(
            command(uv, name, upgrade=options.upgrade), cwd=ROOT, check=False, stdout=subprocess.DEVNULL
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
