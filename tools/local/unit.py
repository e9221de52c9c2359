"""One thing the supervisor runs: a server that stays, or a task that ends."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PROBE_TIMEOUT_S = 1.0
LARGEST_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What a probe found."""

    ready: bool
    waiting_for: str = ""
    """In the service's own words, for people."""
    version: str = ""


class Probe(Protocol):
    """Asks a server whether it is ready; bounded by `PROBE_TIMEOUT_S`, never raises."""

    def __call__(self) -> Answer:
        """Ask once."""


@dataclass(frozen=True)
class Unit:
    """What to run and how to treat it."""

    name: str
    command: Callable[[int], tuple[str, ...]]
    """From the supervisor's process id to the command line."""
    environment: Mapping[str, str]
    log: Path
    after: tuple[str, ...] = ()
    """Names of units that must be ready, or done, before this one starts."""
    tier: int = 0
    """Stopping goes from the highest tier to the lowest."""
    once: bool = False
    """A task: it is done when it has ended with status 0."""
    prepare: Callable[[], None] | None = None
    """Called in a thread before each start."""
    probe: Probe | None = None
    """Asked until ready; a task has none."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 15.0
    """From the stop signal to SIGKILL."""
    hurried_grace_s: float = 0.5
    """The same when the user is in a hurry."""
    patience_s: float = 120.0
    """Longest start that is not given up."""
    endpoint: str = ""
    """Where it listens, for people."""
    hint: str = field(default="")
    """What a person should know when it does not start."""


def always_ready() -> Answer:
    """Answer for what has no probe."""
    return Answer(ready=True)


@dataclass(frozen=True)
class HttpProbe:
    """Asks `/readyz` on the unix socket at `path`, as every service answers it."""

    path: Path

    def __call__(self) -> Answer:
        """Ask once."""
        try:
            status, body = fetch(self.path, "/readyz")
        except (OSError, ValueError):
            return Answer(ready=False, waiting_for="its process to answer")
        try:
            said = json.loads(body)
        except ValueError:
            said = {}
        if not isinstance(said, dict):
            said = {}
        waiting_for = said.get("waiting_for") or ""
        return Answer(status == 200, in_words(waiting_for), str(said.get("version", "")))


def in_words(waiting_for: object) -> str:
    """The conditions a service waits for, as a short text; one that says no more than "not yet" is left out."""
    if isinstance(waiting_for, Mapping):
        return ", ".join(f"{name}: {reason}" for name, reason in waiting_for.items() if reason != "not yet")
    if isinstance(waiting_for, list):
        return ", ".join(str(item) for item in waiting_for)
    return str(waiting_for)


def fetch(path: Path, target: str) -> tuple[int, bytes]:
    """GET `target` from the HTTP server on the unix socket `path`: status and body.

    Raises:
        OSError: nobody answers within `PROBE_TIMEOUT_S`.
        ValueError: the answer is not HTTP.
    """
    deadline = time.monotonic() + PROBE_TIMEOUT_S
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PROBE_TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < LARGEST_ANSWER_BYTES:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            part = connection.recv(LARGEST_ANSWER_BYTES)
            if not part:
                break
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("not an HTTP answer")
    return int(words[1]), body
