"""Makes the first organisation, project, user and keys, and keeps the keys for the command line.

    python -m tools.local.first_key KEY_FILE ADMIN_KEY_FILE

auth does it and prints what it made. A database that has them already keeps them; only where the admin key is not in
its file (an installation older than admin keys, a file that was lost) another one is made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools.local.secret_files import write_private

TIMEOUT_S = 60


def main(key_file: Path, admin_key_file: Path) -> int:
    """Ask auth, write the keys; returns the exit status."""
    status, made = _auth("bootstrap")
    if not status and "exists" in made and not admin_key_file.exists():
        status, made = _auth("admin-key")
    for name, path in (("api_key", key_file), ("admin_key", admin_key_file)):
        if key := made.get(name):
            write_private(path, f"{key}\n")
    return status


def _auth(command: str) -> tuple[int, dict[str, str]]:
    """Run one of auth's commands; answer its exit status and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "services.auth", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    return done.returncode, {} if done.returncode else json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
