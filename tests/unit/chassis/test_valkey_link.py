"""The order of commands and replies on one connection, without a server: bytes in, futures out."""

import asyncio

import pytest

from chassis.breaker import Breaker
from chassis.errors import CapstanError, Reason
from chassis.valkey import parse
from chassis.valkey_link import Link, ReplyError


class Wire(asyncio.Transport):
    """Keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def link_and_wire(timeout_s: float = 0.01, max_in_flight: int = 4) -> tuple[Link, Wire, Breaker]:
    breaker = Breaker(asyncio.get_running_loop().time)
    link, wire = Link(breaker, timeout_s=timeout_s, max_in_flight=max_in_flight), Wire()
    link.connection_made(wire)
    return link, wire, breaker


async def given_up(*futures: asyncio.Future[object]) -> None:
    for future in futures:
        with pytest.raises(CapstanError) as caught:
            await future
        assert caught.value.reason is Reason.UNAVAILABLE
        assert caught.value.metadata["service"] == "valkey"


async def test_all_commands_of_one_turn_leave_in_one_write() -> None:
    link, wire, _ = link_and_wire(timeout_s=60)
    first, second = link.send(("GET", "a")), link.send(("GET", b"\x00\xff"))
    await asyncio.sleep(0)
    assert wire.writes == [b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$2\r\n\x00\xff\r\n"]
    link.data_received(b"$1\r\nx\r\n$1")
    link.data_received(b"\r\ny\r\n")
    assert (await first, await second) == (b"x", b"y")
    link.connection_lost(None)


async def test_a_late_reply_answers_nobody() -> None:
    link, _, _ = link_and_wire()
    await given_up(link.send(("GET", "a")))
    second = link.send(("GET", "b"))
    link.data_received(b"$1\r\na\r\n$1\r\nb\r\n")
    assert await second == b"b"
    link.connection_lost(None)


async def test_a_late_reply_is_no_sign_of_health() -> None:
    link, _, breaker = link_and_wire()
    for _ in range(3):
        await given_up(link.send(("GET", "a")))
    assert breaker.is_open
    link.data_received(b"$1\r\na\r\n" * 3)
    assert breaker.is_open
    link.connection_lost(None)


async def test_all_that_one_stall_took_counts_as_one_failure() -> None:
    link, _, breaker = link_and_wire()
    await given_up(*[link.send(("GET", "a")) for _ in range(4)])
    assert not breaker.is_open
    link.connection_lost(None)


async def test_a_reply_to_a_caller_who_left_answers_nobody_else() -> None:
    link, _, _ = link_and_wire(timeout_s=60)
    left, stayed = link.send(("GET", "a")), link.send(("GET", "b"))
    left.cancel()
    link.data_received(b"$1\r\na\r\n$1\r\nb\r\n")
    assert await stayed == b"b"
    link.connection_lost(None)


async def test_a_reply_that_already_lies_in_the_socket_when_our_own_loop_stalls_counts() -> None:
    link, _, _ = link_and_wire()
    loop = asyncio.get_running_loop()
    future = link.send(("GET", "a"))
    loop.call_at(loop.time() + 0.0105, link.data_received, b"$1\r\na\r\n")
    assert await future == b"a"
    link.connection_lost(None)


async def test_one_too_many_in_flight_is_refused_and_late_ones_count() -> None:
    link, _, _ = link_and_wire()
    futures = [link.send(("GET", "a")) for _ in range(4)]
    with pytest.raises(CapstanError) as caught:
        link.send(("GET", "a"))
    assert caught.value.reason is Reason.OVERLOADED
    await given_up(*futures)
    with pytest.raises(CapstanError):
        link.send(("GET", "a"))
    link.connection_lost(None)


async def test_a_lost_connection_fails_everything_at_once() -> None:
    link, _, _ = link_and_wire(timeout_s=60)
    futures = [link.send(("GET", "a")) for _ in range(3)]
    link.connection_lost(None)
    await given_up(*futures)
    assert link.ended.done()
    with pytest.raises(CapstanError):
        link.send(("GET", "a"))


async def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    link, wire, _ = link_and_wire()
    link.data_received(b"+OK\r\n")
    assert wire.aborted


async def test_bytes_that_are_no_protocol_end_the_connection() -> None:
    link, wire, _ = link_and_wire()
    future = link.send(("GET", "a"))
    link.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert wire.aborted
    link.connection_lost(None)
    await given_up(future)


@pytest.mark.parametrize("word", ["OOM command not allowed", "LOADING", "BUSY a script runs", "READONLY replica"])
async def test_a_server_that_cannot_now_is_away(word: str) -> None:
    link, _, breaker = link_and_wire(timeout_s=60)
    futures = [link.send(("SET", "a", 1)) for _ in range(3)]
    link.data_received(f"-{word}\r\n".encode() * 3)
    await given_up(*futures)
    assert breaker.is_open
    link.connection_lost(None)


async def test_a_refusal_of_the_command_itself_is_a_fault_of_ours() -> None:
    link, _, breaker = link_and_wire(timeout_s=60)
    future = link.send(("NONSENSE",))
    link.data_received(b"-ERR unknown command\r\n")
    with pytest.raises(ReplyError, match="unknown command"):
        await future
    assert not breaker.is_open
    link.connection_lost(None)


def test_urls_say_where_the_server_is() -> None:
    assert parse("unix:///run/my%20valkey.sock").path == "/run/my valkey.sock"
    address = parse("valkey://me:p%40ss@stores.example:7000/3")
    assert (address.host, address.port, address.database) == ("stores.example", 7000, 3)
    assert (address.username, address.password, address.tls) == ("me", "p@ss", False)
    assert parse("valkeys://stores.example").tls
    assert parse("redis://stores.example").port == 6379


@pytest.mark.parametrize("url", ["", "http://host", "valkey://", "unix://", "valkey://host/zero"])
def test_a_url_that_says_nothing_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Valkey URL"):
        parse(url)


def test_no_password_shows_in_an_address_or_a_refusal() -> None:
    assert "secret" not in repr(parse("valkey://me:secret@host"))
    with pytest.raises(ValueError, match="Valkey URL") as caught:
        parse("valkey://me:secret@host/secret")
    assert "secret" not in str(caught.value)
