"""Secrets of an installation: random once, then kept in files that only this user can read."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

SECRET_BYTES = 32


def random_secret() -> str:
    """256 random bits in URL-safe characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


def keep(path: Path, make: Callable[[], str] = random_secret) -> str:
    """The secret in the file at `path`, made and written there first if there is none."""
    with contextlib.suppress(FileNotFoundError):
        found = path.read_text().strip()
        if found:
            return found
    made = make()
    write_private(path, made + "\n")
    return made


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
