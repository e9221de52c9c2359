"""As whom PostgreSQL runs: it refuses root, and containers and CI machines often are root.

An ordinary user runs it as himself. Root runs it in a fresh user namespace, where it is nobody and still owns its
files; where namespaces are forbidden (some container runtimes), as an unprivileged account that then gets the folders.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.local.problem import Problem

CHILD = Path(__file__).with_name("child.py")
ACCOUNTS = ("postgres", "nobody")
"""Unprivileged accounts to fall back to, in order of preference."""
TRIAL_TIMEOUT_S = 10


@dataclass(frozen=True)
class Footing:
    """How to start a program that refuses to be root."""

    arguments: tuple[str, ...] = ()
    """For `child.py`; empty means: as the user who asks."""
    account: str | None = None
    """The account that must own the program's folders, where it is not the user who asks."""

    def hand_over(self, *folders: Path) -> None:
        """Give `folders` and what is in them to the account, where there is one."""
        if self.account is None:
            return
        entry = pwd.getpwnam(self.account)
        for folder in folders:
            for root, _, files in os.walk(folder):
                os.chown(root, entry.pw_uid, entry.pw_gid)
                for name in files:
                    os.chown(Path(root, name), entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def command(arguments: tuple[str, ...], program: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that runs `program` through `child.py` with `arguments`."""
    return (sys.executable, "-I", "-S", str(CHILD), *arguments, "--", *program)


def works(arguments: tuple[str, ...], program: tuple[str, ...]) -> bool:
    """True if `program` can be run through `child.py` with `arguments` and succeeds."""
    trial = subprocess.run(command(arguments, program), capture_output=True, check=False, timeout=TRIAL_TIMEOUT_S)
    return trial.returncode == 0


def choose(postgres: Path, folder: Path) -> Footing:
    """How to run `postgres` with its data under `folder`, tried before it is promised.

    Raises:
        Problem: no way is left; the sentence says what the user can do.
    """
    if os.geteuid() != 0:
        return Footing()
    namespace = ("--unshare-user",)
    if works(namespace, (str(postgres), "--version")):
        return Footing(arguments=namespace)
    shell = shutil.which("sh") or "/bin/sh"
    for account in ACCOUNTS:
        arguments = ("--account", account)
        if works(arguments, (shell, "-c", 'cd "$0" && exec "$1" --version', str(folder.parent), str(postgres))):
            return Footing(arguments, account)
    raise Problem(
        "PostgreSQL does not run as root, and here neither a user namespace nor another account can reach "
        f"{folder.parent} and {postgres.parent}: run as an ordinary user, or put the checkout and the data folder "
        "where every user may read."
    )
