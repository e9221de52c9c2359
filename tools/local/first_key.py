"""Makes the first organisation, project, user and API key, and keeps the key for the command line.

    python -m tools.local.first_key KEY_FILE

auth does it and prints what it made; on a database that has them already it says so and nothing is written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools.local.secret_files import write_private

TIMEOUT_S = 60


def main(key_file: Path) -> int:
    """Ask auth, write the key; returns the exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "services.auth", "bootstrap"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if done.returncode:
        return done.returncode
    made = json.loads(done.stdout)
    if key := made.get("api_key"):
        write_private(key_file, f"{key}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
