"""The Valkey client against the real server: what it answers, and what happens when the server does not."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chassis.errors import CapstanError, Reason
from chassis.valkey import ReplyError, Valkey, connect
from tests.store_process import StoreProcess, valkey_process

ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
UNHURRIED_S = 5.0
"""Where nothing is meant to time out, on a machine that does other things too."""


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    async with connect(valkey_url, timeout_s=UNHURRIED_S) as client:
        await client.command("FLUSHALL")
        yield client


@pytest.fixture(scope="module")
def server() -> Iterator[StoreProcess]:
    folder = Path(tempfile.mkdtemp(prefix="cap-vk-", dir="/tmp"))
    try:
        with valkey_process(folder) as process:
            yield process
    finally:
        shutil.rmtree(folder)


async def answered(valkey: Valkey, *command: str) -> object:
    """Ask again until there is an answer: the server was just given back."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await valkey.command(*command)
            except CapstanError:
                await asyncio.sleep(0.02)


async def refused(valkey: Valkey, *command: str) -> CapstanError:
    with pytest.raises(CapstanError) as caught:
        await valkey.command(*command)
    assert caught.value.reason is Reason.UNAVAILABLE
    assert caught.value.metadata["service"] == "valkey"
    return caught.value


async def test_values_come_back_as_they_went(valkey: Valkey) -> None:
    assert await valkey.command("SET", b"bytes", bytes(range(256))) == b"OK"
    assert await valkey.command("GET", "bytes") == bytes(range(256))
    assert await valkey.command("GET", "nothing") is None
    assert await valkey.command("INCRBY", "n", 41) == 41
    assert await valkey.command("HSET", "h", "a", 1, "b", 2.5) == 2
    assert await valkey.command("HMGET", "h", "a", "b", "c") == [b"1", b"2.5", None]


async def test_a_thousand_callers_at_once_get_their_own_answers(valkey: Valkey) -> None:
    await asyncio.gather(*(valkey.command("SET", f"k{n}", n) for n in range(1000)))
    answers = await asyncio.gather(*(valkey.command("GET", f"k{n}") for n in range(1000)))
    assert answers == [str(n).encode() for n in range(1000)]


async def test_what_the_server_refuses_is_raised_and_the_next_command_works(valkey: Valkey) -> None:
    await valkey.command("SET", "text", "x")
    with pytest.raises(ReplyError, match="not an integer"):
        await valkey.command("INCR", "text")
    assert await valkey.command("GET", "text") == b"x"


async def test_a_script_is_loaded_when_the_server_does_not_know_it(valkey: Valkey) -> None:
    script = valkey.script(ADD)
    assert await script(keys=["n"], args=[2]) == 2
    await valkey.command("SCRIPT", "FLUSH")
    assert await script(keys=["n"], args=[3]) == 5


async def test_a_batch_answers_in_order_also_when_the_script_was_forgotten(valkey: Valkey) -> None:
    script = valkey.script(ADD)
    await valkey.command("SCRIPT", "FLUSH")
    assert await script.many([(["n"], [1])] * 5) == [1, 2, 3, 4, 5]
    mixed = await script.many([(["n"], [1]), (["n"], ["x"]), (["n"], [1])])
    assert mixed[0] == 6
    assert isinstance(mixed[1], ReplyError)
    assert mixed[2] == 7


async def test_a_password_and_a_database_in_the_url_are_used(valkey_url: str) -> None:
    async with connect(valkey_url, timeout_s=UNHURRIED_S) as admin:
        await admin.command("ACL", "SETUSER", "guest", "on", ">p@ss", "~*", "+@all")
        path = valkey_url.removeprefix("unix://")
        async with connect(f"unix://guest:p%40ss@{path}", timeout_s=UNHURRIED_S) as guest:
            assert await guest.command("ACL", "WHOAMI") == b"guest"
        async with connect(f"unix://guest:wrong@{path}", timeout_s=UNHURRIED_S) as stranger:
            await refused(stranger, "PING")


async def test_it_starts_while_the_server_is_away_and_finds_it_later(server: StoreProcess) -> None:
    server.kill()
    async with connect(server.store.url) as valkey:
        assert "not connected" in str(await refused(valkey, "PING"))
        assert valkey.is_away
        server.start()
        assert await answered(valkey, "PING") == b"PONG"
        assert not valkey.is_away


async def test_calls_to_a_frozen_server_end_and_after_three_they_are_not_even_tried(server: StoreProcess) -> None:
    async with connect(server.store.url) as valkey:
        assert await answered(valkey, "SET", "a", "1") == b"OK"
        server.freeze()
        try:
            async with asyncio.timeout(10):
                for _ in range(3):
                    assert "no reply in 50 ms" in str(await refused(valkey, "GET", "a"))
                assert valkey.is_away
                assert "not tried" in str(await refused(valkey, "GET", "a"))
        finally:
            server.thaw()
        assert await answered(valkey, "GET", "a") == b"1"
        assert not valkey.is_away


async def test_late_replies_after_a_freeze_answer_nobody(server: StoreProcess) -> None:
    async with connect(server.store.url) as valkey:
        for name in "abc":
            await answered(valkey, "SET", name, name)
        server.freeze()
        try:
            await asyncio.gather(*(refused(valkey, "GET", "a") for _ in range(50)))
        finally:
            server.thaw()
        assert await answered(valkey, "GET", "b") == b"b"
        assert [await answered(valkey, "GET", name) for name in "abcabc"] == [b"a", b"b", b"c"] * 2


async def test_a_server_that_comes_back_empty_is_used_at_once(server: StoreProcess) -> None:
    async with connect(server.store.url) as valkey:
        script = valkey.script(ADD)
        await answered(valkey, "SET", "n", "1")
        assert await script(keys=["n"], args=[1]) == 2
        server.kill()
        await refused(valkey, "PING")
        server.start()
        await answered(valkey, "PING")
        assert await script(keys=["n"], args=[1]) == 1


async def test_a_server_that_is_full_is_away_for_writes(server: StoreProcess) -> None:
    async with connect(server.store.url) as valkey:
        await answered(valkey, "CONFIG", "SET", "maxmemory", "1mb")
        try:
            assert "OOM" in str(await refused(valkey, "SET", "a", "1"))
            assert await valkey.command("GET", "nothing") is None
        finally:
            await answered(valkey, "CONFIG", "SET", "maxmemory", "64mb")
        assert await answered(valkey, "SET", "a", "1") == b"OK"
