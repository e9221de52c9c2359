"""Listening sockets from the addresses that settings hold."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

# sockaddr_un has room for 108 bytes with the closing NUL (unix(7)).
UNIX_PATH_LIMIT = 107


class AddressError(Exception):
    """The address cannot be listened on; the text says why and what to do."""


def unix_path(address: str) -> Path:
    """Take the path out of `unix:/path`, refusing one that is too long for the kernel."""
    path = address.removeprefix("unix:")
    if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
        raise AddressError(f"socket path is longer than {UNIX_PATH_LIMIT} bytes: {path}")
    return Path(path)


def listen(address: str, backlog: int = 1024) -> socket.socket:
    """Open a listening socket at `unix:/path` (mode 0600, a stale file is replaced) or `host:port` (0: any free port).

    Raises `AddressError` when somebody else listens there or the address is not ours.
    """
    try:
        if address.startswith("unix:"):
            return _listen_unix(unix_path(address), backlog)
        host, _, port = address.rpartition(":")
        return socket.create_server((host.strip("[]"), int(port)), backlog=backlog, family=_family(host))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressError(f"{address} is in use by another process") from None
        raise AddressError(f"cannot listen on {address}: {error.strerror}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listen_unix(path: Path, backlog: int) -> socket.socket:
    if path.exists():
        probe = socket.socket(socket.AF_UNIX)
        with probe, contextlib.suppress(ConnectionRefusedError):
            probe.connect(str(path))
            raise OSError(errno.EADDRINUSE, "in use")
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def is_on_this_machine(address: str) -> bool:
    """Say whether `address` cannot be reached from, or reach, another machine."""
    if address.startswith("unix:"):
        return True
    hosts = {each.rpartition(":")[0].strip("[]") for each in address.removeprefix("ipv4:").split(",")}
    return hosts <= {"127.0.0.1", "::1", "localhost"}


def bind_mode_0600(address: str, bind: Callable[[str], int]) -> int:
    """Let `bind` make the socket `unix:/path` for this user alone, replacing a stale file; answer what it answers.

    Raises `AddressError` when somebody listens there.
    """
    listen(address).close()
    unix_path(address).unlink()
    before = os.umask(0o177)
    try:
        return bind(address)
    finally:
        os.umask(before)


def bound_address(listener: socket.socket) -> str:
    """Say where a socket listens, in the form of the settings."""
    name = listener.getsockname()
    return f"unix:{name}" if listener.family == socket.AF_UNIX else f"{name[0]}:{name[1]}"
