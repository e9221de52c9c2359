"""The real servers start, answer, keep what they were given and go with their parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tools.local.footing import Footing, choose
from tools.local.postgres import PostgresStore
from tools.local.problem import Problem
from tools.local.stores import running
from tools.local.valkey import ValkeyStore

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to leave root")


async def test_postgres_answers_on_its_socket(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        assert (await connection.fetchval("SHOW server_version")).startswith("18.")
        assert await connection.fetchval("SHOW listen_addresses") == ""
    finally:
        await connection.close()


async def test_each_module_has_a_database_of_its_own(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        assert "test_stores" in await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()


def test_valkey_answers_and_never_evicts(valkey_server: ValkeyStore, valkey_url: str) -> None:
    assert valkey_url.startswith("unix:///")
    assert valkey_server.ask("PING") == "+PONG"
    assert valkey_server.ask("SET a 1") == "+OK"
    assert valkey_server.ask("INCR a") == ":2"


def test_what_was_committed_is_there_after_a_restart(store_folder: Path) -> None:
    store = PostgresStore(store_folder / "again", store_folder / "againsock", durable=False)
    with running(store, store_folder / "again.log"):
        store.create_database("kept")
        store.execute("CREATE TABLE t AS SELECT 42 AS answer", "kept")
    with running(store, store_folder / "again.log"):
        assert store.execute("SELECT answer FROM t", "kept") == "42"


def test_a_path_with_spaces_and_quotes_is_no_trouble(store_folder: Path) -> None:
    folder = store_folder / 'it"s a path'
    with running(ValkeyStore(folder / "v", folder / "v.sock"), store_folder / "spaces.log"):
        assert (folder / "v.sock").is_socket()


@AS_ROOT
def test_root_runs_postgres_without_being_root(postgres_server: PostgresStore) -> None:
    pid = int((postgres_server.data / "postmaster.pid").read_text().splitlines()[0])
    command = choose(postgres_server.programs / "postgres", postgres_server.data)
    outside = Path("/proc/self/ns/user").readlink()
    left_namespace = Path(f"/proc/{pid}/ns/user").readlink() != outside
    assert left_namespace == bool(command.arguments and command.account is None)


@AS_ROOT
def test_without_namespaces_root_falls_back_to_another_account(
    store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forbidden namespaces are played by a `choose` that is not offered any."""
    store = PostgresStore(store_folder / "other", store_folder / "othersock", durable=False)
    nobody = Footing(("--account", "nobody"), "nobody")
    monkeypatch.setattr(PostgresStore, "_footing", lambda self: nobody)
    with running(store, store_folder / "other.log"):
        pid = int((store.data / "postmaster.pid").read_text().splitlines()[0])
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        assert store.execute("SELECT 1") == "1"


def test_a_cluster_of_another_major_version_is_refused(store_folder: Path) -> None:
    store = PostgresStore(store_folder / "old", store_folder / "oldsock")
    store.data.mkdir()
    (store.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(Problem, match="PostgreSQL 17 and this is 18"):
        store.prepare()


PARENT = """
import subprocess, sys, os, pathlib
from tools.local.postgres import PostgresStore
from tools.local.valkey import ValkeyStore
folder = pathlib.Path(sys.argv[1])
children = []
for store in (PostgresStore(folder / "orphan", folder / "orphansock", durable=False),
              ValkeyStore(folder / "orphanv", folder / "orphan.sock", durable=False)):
    store.prepare()
    children.append(subprocess.Popen(store.command(os.getpid()), stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, start_new_session=True))
    while not store.is_ready():
        pass
print(*[child.pid for child in children], flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's death signal is Linux's")
def test_the_stores_end_when_their_parent_is_killed(store_folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(store_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        watches = [os.pidfd_open(pid) for pid in pids]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert len(pids) == 2
    for watch in watches:
        ended = subprocess.run([sys.executable, "-c", WAIT, str(watch)], pass_fds=[watch], check=False, timeout=60)
        os.close(watch)
        assert ended.returncode == 0


WAIT = """
import select, sys
poll = select.poll()
poll.register(int(sys.argv[1]), select.POLLIN)
sys.exit(0 if poll.poll(30_000) else 1)
"""
