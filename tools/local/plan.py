"""What the user asked for, as one value that travels to the supervisor and into the state file."""

from __future__ import annotations

import errno
import json
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.local.problem import Problem

ADMIN_OFFSET = 900
"""From the API's port to the admin API's, so that two installations on neighbouring ports do not meet."""
ADMIN_HOST = "127.0.0.1"
"""The admin API of one machine is for that machine, whatever the API's own address."""
LAST_PORT = 65535
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Plan:
    """One installation to run."""

    data_dir: Path
    model: str
    """A folder with a model, or a hub id."""
    host: str = "127.0.0.1"
    port: int = 8000
    admin_port: int = 0
    """0: beside the API's, see `ADMIN_OFFSET`."""
    engine: str = "vllm"
    """`vllm`, or `simulator` for tests of everything around the engine."""
    durable: bool = True
    """False only for tests: the stores do not wait for the disk."""
    environment: dict[str, str] = field(default_factory=dict)
    """Settings of services that take precedence over the launcher's."""

    @property
    def base_url(self) -> str:
        """What an SDK takes as its `base_url`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    @property
    def admin_listen_port(self) -> int:
        """The port of the admin API."""
        beside = self.port + ADMIN_OFFSET
        return self.admin_port or (beside if beside <= LAST_PORT else self.port - ADMIN_OFFSET)

    @property
    def admin_url(self) -> str:
        """What an SDK takes as its `base_url` for the admin API."""
        return f"http://{ADMIN_HOST}:{self.admin_listen_port}/v1"

    def public(self) -> dict[str, str | int]:
        """What the state file shows of it."""
        return {
            "model": self.model,
            "host": self.host,
            "port": self.port,
            "admin_port": self.admin_listen_port,
            "engine": self.engine,
        }

    def to_json(self) -> str:
        """Write it as the supervisor's argument."""
        return json.dumps(asdict(self) | {"data_dir": str(self.data_dir)})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read it from the supervisor's argument."""
        raw = json.loads(text)
        return cls(**raw | {"data_dir": Path(raw["data_dir"])})


def refuse_open_address(host: str, *, exposed: bool) -> None:
    """Raise `Problem` if `host` can be reached from other machines and the user did not say that he means it."""
    if host not in LOOPBACK and not exposed:
        raise Problem(
            f"{host} can be reached from other machines, without TLS: add --expose if that is meant, "
            "or leave the address at 127.0.0.1."
        )


def refuse_busy_port(host: str, port: int, option: str = "--port (make up PORT=8001)") -> None:
    """Raise `Problem` if nothing can listen on `port` now; `option` is how another one is chosen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise Problem(_why_not(host, port, option, error)) from error


def _why_not(host: str, port: int, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by another program: choose another with {option}."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has: choose one above 1023 with {option}."
    return f"Nothing can listen on {host}:{port}: {error.strerror}."
