"""A service is started anew when its code changes, and ends when it is told to."""

import sys
import threading
import time
from pathlib import Path

from chassis.reload import run, stamp

PROGRAM = """\
import pathlib, signal, sys, threading
log = pathlib.Path(sys.argv[1])
stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())
with log.open("a") as out:
    print("started", file=out)
stopped.wait(60)
"""
PATIENCE_S = 30.0


def starts(log: Path) -> int:
    return log.read_text().count("started") if log.exists() else 0


def until(count: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while starts(log) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_change_starts_it_anew_and_stopping_ends_it(tmp_path: Path) -> None:
    code, log, stop = tmp_path / "code", tmp_path / "log", threading.Event()
    code.mkdir()
    (code / "module.py").write_text("one = 1\n")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    statuses: list[int] = []
    watching = threading.Thread(
        target=lambda: statuses.append(run([sys.executable, str(program), str(log)], [code], stop)), daemon=True
    )
    watching.start()
    until(1, log)
    (code / "another.py").write_text("two = 2\n")
    until(2, log)
    stop.set()
    watching.join(PATIENCE_S)
    assert statuses == [0]
    assert starts(log) == 2


def test_only_code_counts(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    before = stamp([tmp_path])
    (tmp_path / "notes.txt").write_text("")
    assert stamp([tmp_path]) == before
    (tmp_path / "a.py").unlink()
    assert stamp([tmp_path]) != before
