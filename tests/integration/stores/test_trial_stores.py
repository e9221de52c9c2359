"""The small stores of a trial: made once, with a password, on TCP, and found again with what was in them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from chassis import await_postgres
from chassis.valkey import connect
from tools.stores import valkey
from tools.stores.postgres import DATABASE, USER

PATIENCE_S = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def running(store: str, folder: Path, port: int) -> Iterator[None]:
    password = folder / "password"
    password.write_text("a-password\n")
    environment = os.environ | {
        "CAPSTAN_STORE_DATA": str(folder),
        "CAPSTAN_STORE_PASSWORD_FILE": str(password),
        "CAPSTAN_STORE_PORT": str(port),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tools.stores", store], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="PostgreSQL does not run as root, and a container's user is not root")
def test_postgres_keeps_its_data_and_asks_for_the_password(tmp_path: Path) -> None:
    port = free_port()
    dsn = tmp_path / "dsn"
    dsn.write_text(f"postgresql://{USER}:a-password@127.0.0.1:{port}/{DATABASE}")
    for statement in ("CREATE TABLE kept ()", "SELECT FROM kept"):
        with running("postgres", tmp_path, port):
            assert await_postgres.main([str(dsn), "--within", str(PATIENCE_S)]) == 0
            asyncio.run(execute(dsn.read_text(), statement))
            with pytest.raises(asyncpg.InvalidPasswordError):
                asyncio.run(execute(dsn.read_text().replace("a-password", "another"), statement))


async def test_valkey_asks_for_the_password_and_never_evicts(tmp_path: Path) -> None:
    port = free_port()
    with running("valkey", tmp_path, port):
        async with connect(f"valkey://127.0.0.1:{port}/0", password="a-password", timeout_s=5) as client:
            while client.is_away:
                await asyncio.sleep(0.02)
            assert await client.command("CONFIG", "GET", "maxmemory-policy") == [b"maxmemory-policy", b"noeviction"]
        async with connect(f"valkey://127.0.0.1:{port}/0", timeout_s=5) as stranger:
            assert stranger.is_away


def test_a_password_that_would_break_the_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quotes"):
        valkey.prepare(tmp_path, 'a"b', 1)


def test_an_unknown_store_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.stores", "mysql"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (1, "one of postgres, valkey")
