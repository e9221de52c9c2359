"""The data folder: where everything of one local installation lives, and nothing else.

    <data>/postgres/  valkey/  jobs/  gateway/ …   what the services keep
    <data>/secrets/                               generated once, each file 0600
    <data>/logs/<name>.log                        one per process, size-capped
    <data>/state.json  supervisor.lock            who is running
    <data>/run  -> a folder of mode 0700          the sockets

A socket's path may have 107 bytes (`sun_path`), so where the data folder's own path is long, `run` is a private
folder elsewhere that depends only on the data folder's path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.local.problem import Problem

LONGEST_SOCKET_PATH_BYTES = 103
"""macOS allows 103 bytes and Linux 107; the smaller keeps one rule."""
LONGEST_SOCKET_NAME = len("/run/postgres/.s.PGSQL.5432.lock")
"""Bytes below the data folder of the longest socket path we make."""
NEEDED_BYTES = 1 << 30
"""Free space asked for before a first start: the stores, the journals and the logs of a small team."""


@dataclass(frozen=True)
class DataFolder:
    """Paths of one installation; making one touches nothing."""

    root: Path

    @property
    def postgres(self) -> Path:
        """PostgreSQL's cluster."""
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's files."""
        return self.root / "valkey"

    @property
    def secrets(self) -> Path:
        """Random values and keys, each file 0600."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """What runs; the supervisor writes it."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for its life."""
        return self.root / "supervisor.lock"

    @property
    def sentinel_lock(self) -> Path:
        """Held until the last process of a run has ended."""
        return self.root / "sentinel.lock"

    @property
    def api_key(self) -> Path:
        """The first API key, for the command line."""
        return self.secrets / "first_api_key"

    @property
    def admin_key(self) -> Path:
        """The first admin key, for whoever operates the installation."""
        return self.secrets / "first_admin_key"

    @property
    def run(self) -> Path:
        """Where the sockets are: inside the data folder if their paths are short enough."""
        inside = self.root / "run"
        if len(os.fsencode(self.root)) + LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH_BYTES:
            return inside
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(_short_base(), f"capstan-{os.geteuid()}-{name}")

    def make(self) -> None:
        """Make the folders, private to this user.

        Raises:
            Problem: not writable, no space, or somebody else's folder stands where the sockets belong.
        """
        try:
            for folder in (self.root, self.secrets, self.logs, self.run):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self.root / ".write-test"
            probe.write_bytes(b"capstan" * 1024)
            probe.unlink()
        except OSError as error:
            raise Problem(_why_not(self.root, error)) from error
        _insist_private(self.run)
        self.secrets.chmod(0o700)

    def erase_sockets(self) -> None:
        """Remove sockets that a killed process left; only for the holder of the lock."""
        for entry in self.run.iterdir():
            if entry.is_socket():
                entry.unlink(missing_ok=True)


def _short_base() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK) and len(os.fsencode(runtime)) <= 40:
        return runtime
    base = tempfile.gettempdir()
    return base if len(os.fsencode(base)) <= 40 else "/tmp"  # noqa: S108  # the folder in it is checked to be ours


def _insist_private(folder: Path) -> None:
    """In a shared place like /tmp somebody else may have made the folder first."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Problem(f"{folder} should hold the sockets but belongs to somebody else: remove it.")
    folder.chmod(0o700)


def _why_not(folder: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space left for the data folder {folder}: free some, or choose another with --data-dir."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The data folder {folder} cannot be written by this user: choose another with --data-dir."
    return f"The data folder {folder} cannot be made: {error.strerror or error}."


def refuse_without_space(folder: Path, needed_bytes: int = NEEDED_BYTES) -> None:
    """Raise `Problem` if the file system of `folder` has less than `needed_bytes` free."""
    place = os.statvfs(folder)
    free_bytes = place.f_bavail * place.f_frsize
    if free_bytes < needed_bytes:
        raise Problem(
            f"Only {free_bytes >> 20} MB are free where the data folder {folder} is and {needed_bytes >> 20} MB are "
            "needed: free some, or choose another folder with --data-dir."
        )
