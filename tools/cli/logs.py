"""`capstan logs`: what the processes wrote, the last lines of each or as it comes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tools.local.problem import Problem

WINDOW_BYTES = 256 * 1024
"""How far back the last lines are looked for."""
POLL_S = 0.25


def chosen(folder: Path, service: str | None) -> list[Path]:
    """The log files of one service, or all.

    Raises:
        Problem: that service has written none.
    """
    found = sorted(folder.glob("*.log"), key=lambda path: path.stem)
    if service is None:
        return found
    named = [path for path in found if path.stem == service or path.stem.startswith(f"{service}-")]
    if not named:
        known = ", ".join(path.stem for path in found) or "none yet"
        raise Problem(f"There is no log of {service}: {known}.")
    return named


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of the file."""
    with path.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - WINDOW_BYTES))
        return stream.read().decode(errors="replace").splitlines()[-count:] if count else []


def follow(paths: list[Path], pause: Callable[[float], None] = time.sleep) -> Iterator[tuple[str, str]]:
    """Yield (service, line) for every line written from now on; a file that was cut is read from its beginning."""
    streams = [(path.stem, path.open("rb")) for path in paths]
    try:
        for _, stream in streams:
            stream.seek(0, os.SEEK_END)
        while True:
            for name, stream in streams:
                for line in _new_lines(stream):
                    yield name, line
            pause(POLL_S)
    finally:
        for _, stream in streams:
            stream.close()


def _new_lines(stream: BinaryIO) -> Iterator[str]:
    if os.fstat(stream.fileno()).st_size < stream.tell():
        stream.seek(0)
    while True:
        start = stream.tell()
        line = stream.readline()
        if not line.endswith(b"\n"):  # half a line: the rest is still to come
            stream.seek(start)
            return
        yield line.decode(errors="replace").rstrip("\n")
