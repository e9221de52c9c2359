"""Runs a service's own command beside what runs here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.cli import place
from tools.cli.office import URL
from tools.local import launch
from tools.local.problem import Problem

TIMEOUT_S = 900.0
ELSEWHERE = f"{URL} is set, and this is done beside the services: in their pods, as docs/operations.md says."


def run(data_dir: Path | None, service: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a service's own command beside what runs here. Raises `Problem` when nothing does."""
    from tools.local.assembly import environment
    from tools.local.layout import Layout
    from tools.local.plan import Plan
    from tools.local.roster import services

    if os.environ.get(URL):
        raise Problem(ELSEWHERE)
    folder = place.data_folder(data_dir)
    if launch.running(folder) is None:
        raise Problem(f"Nothing runs in {folder.root}: start it with `{place.typed_command()} up`.")
    layout = Layout(Plan(folder.root, model=""), folder)
    (one,) = [each for each in services(layout) if each.name == service]
    return subprocess.run(
        [sys.executable, "-m", one.module, *arguments],
        cwd=launch.ROOT,
        env=environment(layout, one, {"OPS_LISTEN": f"unix:{layout.ops_socket(service)}"}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Answer what a command printed. Raises `Problem` with its last complaint when it failed."""
    if done.returncode:
        raise Problem(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "Billing cannot tell.")
    if done.stderr.strip():
        print(done.stderr.strip(), file=sys.stderr)
    return done.stdout
