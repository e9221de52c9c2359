"""Where the parts of one installation find each other: addresses, sockets, files."""

from __future__ import annotations

from pathlib import Path

from tools.local.folder import DataFolder
from tools.local.plan import Plan
from tools.local.postgres import PostgresStore
from tools.local.valkey import ValkeyStore

DATABASE = "capstan"


class Layout:
    """Addresses and paths of `plan` in `folder`."""

    def __init__(self, plan: Plan, folder: DataFolder) -> None:
        self.plan = plan
        self.folder = folder
        self.postgres = PostgresStore(folder.postgres, folder.run / "postgres", database=DATABASE, durable=plan.durable)
        self.valkey = ValkeyStore(folder.valkey, folder.run / "valkey.sock", durable=plan.durable)

    def socket(self, name: str) -> Path:
        """Where the process `name` takes calls."""
        return self.folder.run / f"{name}.sock"

    def ops_socket(self, name: str) -> Path:
        """Where the process `name` tells how it is."""
        return self.folder.run / f"{name}.ops.sock"

    def address(self, name: str) -> str:
        """What a client of the process `name` is told."""
        return f"unix:{self.socket(name)}"

    def shown(self, path: Path) -> str:
        """`path` for people: what is in the data folder is named from there."""
        return str(path.relative_to(self.folder.root) if path.is_relative_to(self.folder.root) else path)

    def secret(self, name: str) -> str:
        """Path of a secret's file; made before anything starts."""
        return str(self.folder.secrets / name)

    def kept(self, name: str) -> Path:
        """Folder of what the process `name` keeps."""
        return self.folder.root / name
