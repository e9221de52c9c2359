"""What every test may ask for: the real stores, started once per session by the code that `make up` uses."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, running_stack
from tools.local.postgres import PostgresStore
from tools.local.stores import running
from tools.local.valkey import ValkeyStore

# Read when numpy is first imported, after this. Threads that wait for each other on a busy machine make the
# moderation tests eight times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

LONGEST_DATABASE_NAME = 63
"""PostgreSQL cuts longer names silently (NAMEDATALEN)."""


@pytest.fixture(scope="session")
def store_folder() -> Iterator[Path]:
    """A folder with a short path, because a socket's path may have 103 bytes and pytest's own are long."""
    folder = Path(tempfile.mkdtemp(prefix="capstan-test-", dir="/tmp"))
    folder.chmod(0o711)  # as root the servers may run as another account, which must get through here
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(store_folder: Path) -> Iterator[PostgresStore]:
    """One PostgreSQL for the session; `create_database` and `dsn` give more than `postgres_dsn` does."""
    store = PostgresStore(store_folder / "pg", store_folder / "pgsock", durable=False)
    with running(store, store_folder / "postgres.log"):
        yield store


@pytest.fixture(scope="session")
def valkey_server(store_folder: Path) -> Iterator[ValkeyStore]:
    """One Valkey for the session."""
    store = ValkeyStore(store_folder / "valkey", store_folder / "valkey.sock", durable=False)
    with running(store, store_folder / "valkey.log"):
        yield store


@pytest.fixture(scope="module")
def postgres_dsn(postgres_server: PostgresStore, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database of this test module's own."""
    name = "test_" + re.sub(r"\W+", "_", request.node.nodeid.removesuffix(".py"))[-(LONGEST_DATABASE_NAME - 5) :]
    postgres_server.create_database(name)
    yield postgres_server.dsn(name)
    postgres_server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def valkey_url(valkey_server: ValkeyStore) -> str:
    """The URL of a Valkey that was emptied for this test module."""
    assert valkey_server.ask("FLUSHALL") == "+OK"
    return valkey_server.url


@pytest.fixture(scope="session")
def stack(store_folder: Path) -> Iterator[Stack]:
    """The whole suite with the real engine and the demonstration model, once per session; leave it as it was found."""
    with running_stack(store_folder / "stack") as running_one:
        yield running_one
