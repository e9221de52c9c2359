"""A replica is ready when it says so and the router has heard it."""

import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.local.replica_probe import ReplicaProbe
from tools.local.unit import HttpProbe


@contextmanager
def page(path: Path, status: int, body: object) -> Iterator[None]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"HTTP/1.1 %d x\r\n\r\n%s" % (status, json.dumps(body).encode()))

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cap-") as made:
        yield Path(made)


def probe(folder: Path) -> ReplicaProbe:
    return ReplicaProbe("chat", HttpProbe(folder / "own"), folder / "router")


def test_it_is_ready_when_both_say_so(folder: Path) -> None:
    with page(folder / "own", 200, {"version": "1"}), page(folder / "router", 200, {"chat": True}):
        answer = probe(folder)()
    assert (answer.ready, answer.version) == (True, "1")


@pytest.mark.parametrize("said", [{"chat": False}, {}, ["chat"], "yes"])
def test_it_waits_for_the_router_to_find_it(folder: Path, said: object) -> None:
    with page(folder / "own", 200, {}), page(folder / "router", 200, said):
        answer = probe(folder)()
    assert (answer.ready, answer.waiting_for) == (False, "the router to find it")


def test_without_a_router_it_is_not_ready(folder: Path) -> None:
    with page(folder / "own", 200, {}):
        assert not probe(folder)().ready


def test_what_it_waits_for_itself_comes_first(folder: Path) -> None:
    with page(folder / "own", 503, {"waiting_for": {"model": "loading"}}), page(folder / "router", 200, {"chat": True}):
        answer = probe(folder)()
    assert (answer.ready, answer.waiting_for) == (False, "model: loading")
