"""Log lines: only allowed fields, and no secret survives."""

import io
import json
import logging

import pytest

from chassis import keys, logs

KEY = keys.mint("proj", lambda n: b"\x2a" * n)


@pytest.fixture
def root() -> object:
    """Keep pytest's own handlers."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def written(style: str, write) -> str:
    stream = io.StringIO()
    write(logs.configure("auth", "INFO", style, stream))
    return stream.getvalue()


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize(
    "secret", [KEY, "Bearer abcdefghijklmnop", "postgresql://capstan:hunter22@db/capstan", "valkey://:hunter22@host:1"]
)
def test_a_secret_in_the_message_is_cut_out(root, style: str, secret: str) -> None:
    line = written(style, lambda log: log.info("got %s!", secret))
    assert "[redacted]" in line
    assert "hunter22" not in line
    assert "abcdefghijklmnop" not in line
    assert KEY[12:] not in line


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_secret_in_an_exception_is_cut_out(root, style: str) -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError(f"bad key {KEY}")
        except ValueError:
            log.exception("failed")

    line = written(style, fail)
    assert KEY[12:] not in line
    assert "ValueError" in line


def test_only_allowed_extras_are_written(root) -> None:
    line = json.loads(written("json", lambda log: log.info("x", extra={"request_id": "req_1", "prompt": "my secret"})))
    assert line["request_id"] == "req_1"
    assert "prompt" not in line
    assert "my secret" not in json.dumps(line)


def test_a_secret_in_an_allowed_extra_is_cut_out(root) -> None:
    assert KEY[12:] not in written("json", lambda log: log.info("x", extra={"path": KEY}))


def test_a_json_line_has_time_level_service_and_message(root) -> None:
    line = json.loads(written("json", lambda log: log.warning("careful")))
    assert (line["level"], line["service"], line["message"]) == ("WARNING", "auth", "careful")
    assert line["time"].endswith("Z")
