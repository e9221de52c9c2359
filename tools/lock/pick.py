"""Print some packages of a lock file, with their hashes: `python tools/lock/pick.py LOCK [--except] NAME…`.

An image installs what it needs out of a larger lock file, so that there is one resolution and not one per image.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection
from pathlib import Path

START = re.compile(r"^(?=[a-z0-9.-]+==)", re.MULTILINE)


def pick(lock: str, names: Collection[str], *, excluding: bool = False) -> str:
    """Answer the entries of `names`, or all but them.

    Raises:
        KeyError: the lock file has no such entry.
    """
    # A name may come twice, for different Pythons.
    entries = [(entry.split("==", 1)[0], entry) for entry in START.split(lock) if "==" in entry]
    known = {name for name, _ in entries}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return "".join(entry for name, entry in entries if (name in names) is not excluding)


def main(arguments: list[str]) -> int:
    """Print; answer the exit status."""
    parser = argparse.ArgumentParser(description="Print some packages of a lock file.")
    parser.add_argument("lock", type=Path)
    parser.add_argument("--except", dest="excluding", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args(arguments)
    try:
        print(pick(options.lock.read_text(), options.names, excluding=options.excluding), end="")
    except KeyError as error:
        print(f"{options.lock} has no {error.args[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
