"""One supervisor per data folder, told by a lock that the kernel drops with the process."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import TextIO

from tools.local.problem import Problem

POLL_S = 0.05


def take(path: Path, owner: str, patience_s: float = 1.0) -> TextIO | None:
    """Take the lock at `path` and write `owner` into it; None if somebody holds it. Held until closed.

    A moment's patience, because whoever asks for the holder takes the lock for an instant.
    """
    stream = path.open("a+")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                stream.close()
                return None
            time.sleep(POLL_S)
    stream.seek(0)
    stream.truncate()
    stream.write(owner)
    stream.flush()
    return stream


def holder(path: Path) -> str | None:
    """What the holder of the lock at `path` wrote; None if nobody holds it."""
    try:
        stream = path.open("r+")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Problem(f"{path.parent} cannot be used by this user ({error.strerror}).") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return stream.read()
    return None


def wait_until_free(path: Path, patience_s: float) -> None:
    """Return when nobody holds the lock at `path`.

    Raises:
        Problem: somebody still does after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while holder(path) is not None:
        if time.monotonic() > deadline:
            raise Problem(f"Processes of an earlier run are still ending ({path} is held): try again in a moment.")
        time.sleep(POLL_S)
