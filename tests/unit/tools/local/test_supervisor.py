"""Decisions of the supervisor that need no process."""

from pathlib import Path

from tools.local.process import how_it_ended
from tools.local.supervisor import LONGEST_DELAY_S, delay_s, shorten
from tools.local.unit import HttpProbe, in_words


def test_the_wait_before_another_try_doubles_to_a_limit() -> None:
    assert [delay_s(falls) for falls in range(1, 5)] == [0.5, 1.0, 2.0, 4.0]
    assert delay_s(1000) == LONGEST_DELAY_S


def test_a_log_that_grew_too_long_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 200)
        shorten(log, longest_bytes=100)
        writer.write(b"after")
    assert log.read_bytes() == b"after"
    assert (tmp_path / "auth.log.1").read_bytes() == b"x" * 200


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_bytes(b"x" * 100)
    shorten(log, longest_bytes=100)
    shorten(tmp_path / "none.log", longest_bytes=100)
    assert [path.name for path in tmp_path.iterdir()] == ["auth.log"]


def test_how_a_process_ended_is_in_words() -> None:
    assert how_it_ended(1) == "exit status 1"
    assert how_it_ended(-9) == "killed by SIGKILL"
    assert how_it_ended(-200) == "killed by signal 200"


def test_what_a_service_waits_for_is_in_words() -> None:
    assert in_words({"engine": "loading", "started": "not yet"}) == "engine: loading"
    assert in_words(["a", "b"]) == "a, b"
    assert in_words("") == ""


def test_a_socket_nobody_listens_on_is_not_ready(tmp_path: Path) -> None:
    answer = HttpProbe(tmp_path / "none.sock")()
    assert not answer.ready
    assert answer.waiting_for == "its process to answer"
