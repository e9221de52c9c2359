"""A service's certificate, key and CA, read from a folder that somebody else renews.

The folder is laid out as Kubernetes and cert-manager lay out a TLS secret: `tls.crt`, `tls.key`, `ca.crt`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("tls.crt", "tls.key", "ca.crt")
LOOK_INTERVAL_S = 5.0
"""How old the knowledge of the files may be. A renewal is announced weeks before it is needed."""

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Certificates:
    """What the three files hold, PEM."""

    chain: bytes
    key: bytes = field(repr=False)
    authority: bytes


class CertificateFolder:
    """The files, and whether they changed. Asked from the event loop and from gRPC's own threads."""

    def __init__(self, folder: Path, monotonic: Callable[[], float]) -> None:
        """Read the files. Raises `OSError` when one is missing."""
        self._folder = folder
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked_at = monotonic()
        self._stamp = self._stamped()
        self._held = self._read()
        self._generation = 0

    def current(self) -> tuple[int, Certificates]:
        """Answer the newest whole set and its number, which grows by one with each renewal."""
        with self._lock:
            now = self._monotonic()
            if now - self._looked_at >= LOOK_INTERVAL_S:
                self._looked_at = now
                self._look()
            return self._generation, self._held

    def _look(self) -> None:
        try:
            stamp = self._stamped()
            if stamp == self._stamp:
                return
            found = self._read()
            if self._stamped() != stamp:
                return  # in the middle of being replaced: the next look sees it whole
        except OSError:
            return  # likewise
        self._stamp, self._held = stamp, found
        self._generation += 1

    def _read(self) -> Certificates:
        return Certificates(*((self._folder / name).read_bytes() for name in NAMES))

    def _stamped(self) -> Stamp:
        """What changes with the files: Kubernetes replaces a link above them, others the files themselves."""
        found = []
        for name in NAMES:
            path = (self._folder / name).resolve(strict=True)
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(found)
