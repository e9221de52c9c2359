"""The edge on a real connection: raw bytes in, raw bytes out, bounds in fractions of a second."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import uvicorn

from chassis.clock import ManualClock, SystemClock
from chassis.errors import CapstanError, Reason
from chassis.ids import SequentialIds
from chassis.ops import QuietServer, Receive, Scope, Send
from chassis.sockets import bound_address, listen
from services.gateway import request_errors
from services.gateway.edge import BodyLimits, ClientGone, Edge, read_body
from services.gateway.errors import ApiError
from services.gateway.http_protocol import ConnectionLimits, http_protocol

BODY = BodyLimits(max_bytes=200_000, time_s=0.6, grace_s=0.3, min_bytes_per_s=1000)
CONNECTION = ConnectionLimits(
    max_connections=50,
    header_time_s=0.2,
    header_bytes=4000,
    header_count=20,
    request_bytes=1_000_000,
    pipelined=4,
    write_stall_s=0.3,
    linger_s=0.3,
)
PATIENCE_S = 5.0
"""Only a test that fails waits so long."""

GET = b"GET /echo HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json"
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


@dataclass
class Client:
    """A connection that says exactly what it is told to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), PATIENCE_S)

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), PATIENCE_S)

    async def answer(self) -> Answer:
        status = int((await self.line()).split()[1])
        headers: dict[str, str] = {}
        while (line := await self.line()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if status == 100:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while (size := int(await self.line(), 16)) > 0:
                body += await asyncio.wait_for(self.reader.readexactly(size), PATIENCE_S)
                await self.line()
            await self.line()
        else:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), PATIENCE_S)
        return Answer(status, headers, body)

    async def closed(self) -> bool:
        """Wait for the server's end of the connection; whatever still comes is dropped."""
        with suppress(ConnectionError):
            await asyncio.wait_for(self.reader.read(), PATIENCE_S)
        return True


@dataclass
class Api:
    """The application behind the edge, and what it saw."""

    limits: BodyLimits
    scopes: list[Scope] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    paths: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.begun.set()
        await self.paths.get(scope["path"], self.echo)(scope, receive, send)

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, self.limits, SystemClock())
        except ClientGone:
            self.gone.set()
            raise
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})


@dataclass
class Running:
    api: Api
    port: int
    server: uvicorn.Server
    clients: list[Client] = field(default_factory=list)

    async def connect(self, data: bytes = b"") -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        if data:
            await client.send(data)
        return client


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Serve an `Api` behind the edge; answers `Running`."""
    stack: list[Any] = []

    async def begin(body: BodyLimits = BODY, connection: ConnectionLimits = CONNECTION, **more: Any) -> Running:
        manager = _serving(body, connection, **more)
        stack.append(manager)
        running: Running = await manager.__aenter__()
        return running

    yield begin
    for manager in reversed(stack):
        await manager.__aexit__(None, None, None)


@asynccontextmanager
async def _serving(body: BodyLimits, connection: ConnectionLimits, **more: Any) -> AsyncIterator[Running]:
    api = Api(body)
    ids = SequentialIds()
    edge = Edge(api, limits=body, clock=SystemClock(), ids=ids, log=logging.getLogger("test.edge"), **more)
    listener = listen("127.0.0.1:0")
    config = uvicorn.Config(
        edge,
        http=http_protocol(connection, ids, lambda: 0.5),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=1,
    )
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve([listener]))
    running = Running(api, int(bound_address(listener).rpartition(":")[2]), server)
    try:
        yield running
    finally:
        for client in running.clients:
            client.writer.close()
        server.should_exit = True
        await asyncio.wait_for(serving, PATIENCE_S)
        listener.close()


def post(body: bytes = b"", *headers: bytes, path: bytes = b"/echo") -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


# Every answer


async def test_every_answer_has_a_request_id_and_openais_headers(start: Start) -> None:
    running = await start()
    client = await running.connect(post(b"hello"))
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"hello")
    assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.headers["x-request-id"] == running.api.scopes[0]["state"]["request_id"]
    assert answer.headers["openai-version"] == "2020-10-01"
    assert answer.headers["openai-processing-ms"].isdecimal()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["access-control-expose-headers"] == "X-Request-ID"
    await client.send(GET)
    assert (await client.answer()).headers["x-request-id"] != answer.headers["x-request-id"]


async def test_a_failure_nobody_caught_is_a_500_that_says_nothing(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start()

    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError("secret")

    running.api.paths["/broken"] = broken
    client = await running.connect(post(path=b"/broken"))
    with caplog.at_level(logging.ERROR, "test.edge"):
        answer = await client.answer()
    assert answer.status == 500
    assert (answer.error["type"], answer.error["code"]) == ("server_error", "internal_error")
    assert answer.headers["x-request-id"] in answer.error["message"]
    assert b"secret" not in answer.body
    assert "ZeroDivisionError" in caplog.text


async def test_typed_errors_that_reach_the_edge_are_answered_in_their_words(start: Start) -> None:
    running = await start()

    async def away(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise CapstanError(Reason.UNAVAILABLE, service="auth")

    async def refused(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise request_errors.unknown_parameter("x")

    running.api.paths.update({"/away": away, "/refused": refused})
    client = await running.connect(post(path=b"/away"))
    answer = await client.answer()
    assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "auth_unavailable", "2")
    await client.send(post(path=b"/refused"))
    answer = await client.answer()
    assert (answer.status, answer.error["param"]) == (400, "x")


async def test_a_failure_after_the_head_breaks_the_connection_instead_of_ending_it_well(start: Start) -> None:
    running = await start()

    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    running.api.paths["/broken"] = broken
    client = await running.connect(post(path=b"/broken"))
    rest = await asyncio.wait_for(client.reader.read(), PATIENCE_S)
    assert b"half" in rest
    assert not rest.endswith(b"0\r\n\r\n")


# Bodies


async def test_a_body_that_is_announced_too_large_is_refused_unsent(start: Start) -> None:
    running = await start()
    client = await running.connect(
        b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 200001\r\n\r\n"
    )
    answer = await client.answer()
    assert (answer.status, answer.error["code"], answer.headers["connection"]) == (413, "request_too_large", "close")
    assert running.api.scopes == []
    assert await client.closed()


async def test_a_client_that_goes_on_sending_still_reads_why_it_was_refused(start: Start) -> None:
    running = await start()
    body = b"x" * 900_000
    client = await running.connect(post(body))
    assert (await client.answer()).status == 413
    assert await client.closed()


async def test_a_refused_client_that_never_stops_sending_is_cut(start: Start) -> None:
    running = await start()
    client = await running.connect(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 900000000\r\n\r\n")
    with pytest.raises(ConnectionError):  # noqa: PT012 - the write that meets the cut is one of many
        while True:
            await client.send(b"x" * 100_000)


@pytest.mark.parametrize("chunk", [1000, 100_000])
async def test_a_chunked_body_is_counted_as_it_comes(start: Start, chunk: int) -> None:
    running = await start()
    client = await running.connect(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = b"%x\r\n%b\r\n" % (chunk, b"x" * chunk)
    await client.send(piece * (300_000 // chunk))
    answer = await client.answer()
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")
    assert await client.closed()


async def test_a_chunked_body_within_its_bounds_is_read(start: Start) -> None:
    running = await start()
    client = await running.connect(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    for piece in (b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n", b"authorization: Bearer trailer\r\n\r\n"):
        await client.send(piece)
    assert (await client.answer()).body == b"abcde"
    assert all(name != b"authorization" for name, _ in running.api.scopes[0]["headers"])
    await client.send(GET)
    assert (await client.answer()).status == 200


async def test_the_framing_of_a_body_is_bounded_too(start: Start) -> None:
    running = await start()
    client = await running.connect(
        b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-trailer: "
    )
    with pytest.raises(ConnectionError):  # noqa: PT012 - the write that meets the cut is one of many
        while True:
            await client.send(b"x" * 50_000)


async def test_a_body_that_stops_coming_is_a_408(start: Start) -> None:
    running = await start()
    client = await running.connect(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
    answer = await client.answer()
    assert (answer.status, answer.error["code"], answer.headers["connection"]) == (408, "timeout", "close")
    assert await client.closed()


async def test_a_body_that_drips_is_a_408(start: Start) -> None:
    running = await start()
    client = await running.connect(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
    answering = asyncio.create_task(client.answer())
    while not answering.done():
        await client.send(b"x")
        await asyncio.sleep(0.02)
    assert (await answering).status == 408


async def test_a_client_that_expects_100_is_told_to_continue_only_when_its_body_is_wanted(start: Start) -> None:
    running = await start()
    client = await running.connect(
        b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    )
    assert (await client.answer()).status == 100
    await client.send(b"hello")
    assert (await client.answer()).body == b"hello"


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"gzip, identity"])
async def test_a_compressed_body_is_refused(start: Start, encoding: bytes) -> None:
    running = await start()
    client = await running.connect(post(b"\x1f\x8b", b"content-encoding: " + encoding))
    answer = await client.answer()
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_encoding")
    assert running.api.scopes == []


async def test_an_identity_encoding_is_none(start: Start) -> None:
    running = await start()
    client = await running.connect(post(b"x", b"content-encoding: Identity"))
    assert (await client.answer()).body == b"x"


async def test_a_path_may_have_body_limits_of_its_own(start: Start) -> None:
    running = await start(uploads={"/upload": replace(BODY, max_bytes=300_000)})
    running.api.limits = replace(BODY, max_bytes=300_000)
    client = await running.connect(post(b"x" * 250_000, path=b"/upload"))
    assert len((await client.answer()).body) == 250_000
    await client.send(post(b"x" * 250_000))
    assert (await client.answer()).status == 413


async def test_a_client_that_leaves_within_its_body_needs_no_answer(start: Start) -> None:
    running = await start()
    client = await running.connect(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
    await asyncio.wait_for(running.api.begun.wait(), PATIENCE_S)
    client.writer.transport.abort()
    await asyncio.wait_for(running.api.gone.wait(), PATIENCE_S)


async def test_the_rest_of_a_body_is_not_taken_for_a_request(start: Start) -> None:
    running = await start()

    async def early(_scope: Scope, _receive: Receive, send: Send) -> None:
        raise request_errors.unknown_url("POST", "/early")

    running.api.paths["/early"] = early
    client = await running.connect(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
    assert (await client.answer()).headers["connection"] == "close"
    await client.send(GET)
    assert await client.closed()
    assert len(running.api.scopes) == 1


# Headers


async def test_headers_that_drip_are_a_408(start: Start) -> None:
    running = await start()
    client = await running.connect(b"POST /echo HTTP/1.1\r\n")
    answering = asyncio.create_task(client.answer())
    while not answering.done():
        await client.send(b"x: y\r\n")
        await asyncio.sleep(0.03)
    answer = await answering
    assert (answer.status, answer.error["code"], answer.headers["connection"]) == (408, "timeout", "close")
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["openai-version"] == "2020-10-01"


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n"])
async def test_a_connection_that_says_nothing_is_closed_without_words(start: Start, data: bytes) -> None:
    running = await start()
    client = await running.connect(data)
    assert await asyncio.wait_for(client.reader.read(), PATIENCE_S) == b""


async def test_empty_lines_do_not_keep_an_idle_connection_alive(start: Start) -> None:
    running = await start()
    client = await running.connect(GET)
    assert (await client.answer()).status == 200
    await client.send(b"\r\n")
    assert await asyncio.wait_for(client.reader.read(), PATIENCE_S) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET /echo HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 5000 + b"\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 500_000,
        b"GET /" + b"y" * 5000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /" + b"y" * 500_000,
        b"GET /echo HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 30 + b"\r\n",
        b"GET /echo HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 30,
    ],
)
async def test_huge_headers_are_a_431(start: Start, data: bytes) -> None:
    running = await start()
    client = await running.connect(data)
    answer = await client.answer()
    assert (answer.status, answer.error["type"]) == (431, "invalid_request_error")
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"].startswith("req_")
    assert running.api.scopes == []
    assert await client.closed()


async def test_headers_within_their_bounds_pass_though_a_large_body_follows_at_once(start: Start) -> None:
    running = await start()
    client = await running.connect(post(b"x" * 50_000, b"x-long: " + b"y" * 3000))
    assert len((await client.answer()).body) == 50_000
    await client.send(post(b"x" * 50_000) + GET)
    assert len((await client.answer()).body) == 50_000
    assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 100,
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    ],
)
async def test_garbage_is_a_400_in_the_envelope_and_the_end(start: Start, data: bytes) -> None:
    running = await start()
    client = await running.connect(data)
    answer = await client.answer()
    assert (answer.status, answer.error["message"]) == (400, "The request is not valid HTTP.")
    assert answer.headers["x-request-id"].startswith("req_")
    assert running.api.scopes == []
    assert await client.closed()


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"anything"])
@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_a_wish_to_upgrade_is_ignored(start: Start, upgrade: bytes, body: bytes) -> None:
    running = await start()
    client = await running.connect(post(body, b"connection: Upgrade, HTTP2-Settings", b"Upgrade: " + upgrade))
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, body)
    await client.send(GET)
    assert (await client.answer()).status == 200


async def test_a_body_that_speaks_of_upgrades_is_left_alone(start: Start) -> None:
    running = await start()
    body = b"a\r\nUpgrade: none\r\n\r\nUpgrade: none"
    client = await running.connect(post(body))
    assert (await client.answer()).body == body


# Connections


async def test_requests_on_one_connection_are_answered_in_order(start: Start) -> None:
    running = await start()
    client = await running.connect(b"".join(post(b"%d" % i) for i in range(4)))
    assert [(await client.answer()).body for _ in range(4)] == [b"0", b"1", b"2", b"3"]


async def test_too_many_requests_ahead_of_their_answers_are_cut(start: Start) -> None:
    running = await start()
    client = await running.connect(GET * 500)
    assert await client.closed()
    assert len(running.api.scopes) <= 2


async def test_a_slow_answer_is_not_disturbed_by_the_next_requests_slow_headers(start: Start) -> None:
    running = await start()
    release = asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await release.wait()
        await self_echo(send)

    async def self_echo(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"slow"})

    running.api.paths["/slow"] = slow
    client = await running.connect(post(path=b"/slow") + b"GET /ec")
    await asyncio.sleep(CONNECTION.header_time_s * 1.5)
    release.set()
    assert (await client.answer()).body == b"slow"
    await client.send(b"ho HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await client.answer()).status == 200


async def test_one_connection_too_many_is_told_so_and_far_too_many_are_cut(start: Start) -> None:
    running = await start(connection=replace(CONNECTION, max_connections=2))
    served = [await running.connect(GET) for _ in range(2)]
    for client in served:
        assert (await client.answer()).status == 200
    extra = await running.connect()
    cut = await running.connect()
    assert await asyncio.wait_for(cut.reader.read(), PATIENCE_S) == b""
    await extra.send(post(b"hello"))
    answer = await extra.answer()
    assert (answer.status, answer.error["code"], answer.headers["connection"]) == (
        503,
        "server_is_overloaded",
        "close",
    )
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("6", "6000")
    assert await extra.closed()
    await served[0].send(post(b"", b"connection: close"))
    assert (await served[0].answer()).status == 200
    assert await served[0].closed()
    again = await running.connect(GET)
    assert (await again.answer()).status == 200


async def test_an_idle_connection_is_closed(start: Start) -> None:
    running = await start()
    client = await running.connect(GET)
    await client.answer()
    assert await asyncio.wait_for(client.reader.read(), PATIENCE_S) == b""


async def test_a_client_that_does_not_read_its_answer_is_cut(start: Start) -> None:
    running = await start()
    left = asyncio.Event()

    async def endless(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
                # uvicorn drops what is sent to a client that left, so the application has to look.
                if running.server.server_state.connections == set():
                    return
                await asyncio.sleep(0)
        finally:
            left.set()

    running.api.paths["/endless"] = endless
    await running.connect(post(path=b"/endless"))
    await asyncio.wait_for(left.wait(), PATIENCE_S)


async def test_draining_tells_clients_to_leave_after_their_answer(start: Start) -> None:
    running = await start()
    release = asyncio.Event()

    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await running.api.echo(_scope, receive, send)

    running.api.paths["/slow"] = slow
    client = await running.connect(post(b"hello", path=b"/slow"))
    await asyncio.wait_for(running.api.begun.wait(), PATIENCE_S)
    for connection in list(running.server.server_state.connections):
        connection.shutdown()
    release.set()
    answer = await client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")


# `read_body` alone, on a clock turned by hand


def script(*messages: dict[str, Any], clock: ManualClock, pause_s: float = 0.0) -> Receive:
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        await clock.advance(pause_s)
        return waiting.pop(0)

    return receive


def piece(size: int, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


async def test_a_body_in_pieces_is_put_together() -> None:
    clock = ManualClock()
    receive = script(piece(2), piece(0), piece(3, more=False), clock=clock)
    assert await read_body(receive, BODY, clock) == b"xxxxx"


async def test_a_body_at_its_largest_passes_and_one_byte_more_does_not() -> None:
    clock = ManualClock()
    limits = BodyLimits(max_bytes=10)
    assert len(await read_body(script(piece(10, more=False), clock=clock), limits, clock)) == 10
    with pytest.raises(ApiError) as caught:
        await read_body(script(piece(10), piece(1, more=False), clock=clock), limits, clock)
    assert caught.value.status == 413


@pytest.mark.parametrize(("size", "passes"), [(2000, True), (500, False)])
async def test_the_least_rate_counts_after_the_grace(size: int, passes: bool) -> None:
    clock = ManualClock()
    limits = BodyLimits(time_s=100, grace_s=3, min_bytes_per_s=1024)
    receive = script(*[piece(size)] * 9, piece(1, more=False), clock=clock, pause_s=1)
    if passes:
        assert len(await read_body(receive, limits, clock)) == 9 * size + 1
    else:
        with pytest.raises(ApiError) as caught:
            await read_body(receive, limits, clock)
        assert caught.value.status == 408


async def test_no_rate_excuses_more_than_the_whole_time() -> None:
    clock = ManualClock()
    receive = script(*[piece(100_000)] * 20, clock=clock, pause_s=1)
    with pytest.raises(ApiError) as caught:
        await read_body(receive, BodyLimits(time_s=10), clock)
    assert caught.value.status == 408


async def test_a_client_that_is_gone_is_no_error_of_ours() -> None:
    clock = ManualClock()
    with pytest.raises(ClientGone):
        await read_body(script(piece(1), {"type": "http.disconnect"}, clock=clock), BODY, clock)
