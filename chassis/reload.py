"""Run a service and start it anew when its code changes: `python -m chassis.reload services.auth`.

For development in a cluster, where files are copied into a running container. The service ends as it always ends
(SIGTERM, drain, grace), so what is being worked on is also what is being stopped.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

LOOK_INTERVAL_S = 0.5
LONGEST_STOP_S = 30.0

Stamp = frozenset[tuple[str, int]]


def stamp(folders: Sequence[Path]) -> Stamp:
    """Answer what changes when a Python file in `folders` does."""
    found = set()
    for folder in folders:
        for path in folder.rglob("*.py"):
            try:
                found.add((str(path), path.stat().st_mtime_ns))
            except FileNotFoundError:
                continue  # gone since it was listed
    return frozenset(found)


def run(command: Sequence[str], folders: Sequence[Path], stop: threading.Event) -> int:
    """Keep `command` running until `stop` is set; answer its last exit status.

    A service that ended by itself, as with an error in what was just saved, starts again at the next change.
    """
    while True:
        seen = stamp(folders)
        with subprocess.Popen(command) as process:  # noqa: S603  # our own module, named by the chart
            while not stop.wait(LOOK_INTERVAL_S) and stamp(folders) == seen:
                pass
            process.terminate()
            try:
                status = process.wait(LONGEST_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
        if stop.is_set():
            return status


def main(arguments: Sequence[str]) -> int:
    """Run the module that is named, with what follows it as its arguments."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    home = Path(__file__).resolve().parents[1]
    folders = [home / name for name in ("chassis", "services", "capstan")]
    return run([sys.executable, "-m", *arguments], folders, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
