"""The supervisor with small real programs: order, restarts, failures, and that nothing is ever left behind."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.local import lock, state
from tools.local.folder import DataFolder
from tools.local.state import Phase, State

PATIENCE_MS = 30_000

SERVER = """
import signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if 'stubborn' in sys.argv else lambda *_: sys.exit(0))
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print('listening', flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n{"ready": true, "version": "1.2"}')
    connection.close()
"""

PROGRAM = """
import asyncio, json, os, sys, time
from pathlib import Path
from tools.local.folder import DataFolder
from tools.local.problem import Problem
from tools.local.state import State
from tools.local.stores import death_arguments
from tools.local.footing import command
from tools.local.__main__ import supervise
from tools.local.unit import HttpProbe, Unit
import signal

folder = DataFolder(Path(sys.argv[1]))
options = json.loads(sys.argv[2])

def server(name, *words, **more):
    socket = folder.run / f"{name}.sock"
    program = (sys.executable, "-c", options["server"], str(socket), *words)
    def line(parent):
        socket.unlink(missing_ok=True)
        return command(death_arguments(signal.SIGTERM, parent), program)
    return Unit(name, line, dict(os.environ), folder.logs / f"{name}.log", probe=HttpProbe(socket), grace_s=1, **more)

def task(name, code, **more):
    return Unit(name, lambda parent: (sys.executable, "-c", code), dict(os.environ), folder.logs / f"{name}.log",
                once=True, **more)

def make(lifeline):
    return eval(options["units"])

try:
    asyncio.run(supervise(folder, State(os.getpid(), time.time()), make, tether=options.get("tether")))
except Problem as problem:
    print(problem)
    sys.exit(1)
"""


class Run:
    """A supervisor of test units in a process of its own."""

    def __init__(self, root: Path, units: str, tether: int | None = None) -> None:
        self.folder = DataFolder(root)
        self.folder.make()
        options = json.dumps({"units": units, "server": SERVER, "tether": tether})
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(root), options],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=[] if tether is None else [tether],
        )

    def until(self, true: Callable[[State], bool]) -> State:
        """The first state that satisfies `true`; the supervisor must not end before."""
        while True:
            ended = self.process.poll() is not None
            told = state.read(self.folder.state)
            if told is not None and told.pid == self.process.pid and true(told):
                return told
            assert not ended, self.process.communicate()

    def until_ready(self) -> State:
        return self.until(lambda told: told.phase is Phase.READY)


@pytest.fixture
def run(store_folder: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Run]]:
    """Start a supervisor with the given units; whatever a test does, nothing runs after it."""
    runs: list[Run] = []

    def begin(units: str, tether: int | None = None) -> Run:
        name = f"sup-{request.node.name[-20:]}-{len(runs)}"
        runs.append(Run(store_folder / name, units, tether))
        return runs[-1]

    yield begin
    for each in runs:
        if each.process.poll() is None:
            each.process.terminate()
        each.process.communicate(timeout=30)


def watched(*pids: int) -> list[int]:
    """Descriptors that become readable when the processes end."""
    return [os.pidfd_open(pid) for pid in pids]


def all_end(watches: list[int]) -> bool:
    """True if all the watched processes end within the patience."""
    poll = select.poll()
    for watch in watches:
        poll.register(watch, select.POLLIN)
    left = set(watches)
    while left:
        ended = poll.poll(PATIENCE_MS)
        if not ended:
            return False
        for descriptor, _ in ended:
            poll.unregister(descriptor)
            os.close(descriptor)
            left.discard(descriptor)
    return True


def test_units_start_after_what_they_need(run: Callable[..., Run]) -> None:
    told = run("[server('b', after=('t',)), task('t', 'print(1)', after=('a',)), server('a')]").until_ready()
    assert told.unit("t").phase is Phase.DONE
    assert told.unit("b").phase is Phase.READY
    assert told.unit("b").version == "1.2"


def test_a_service_that_is_killed_runs_again(run: Callable[..., Run]) -> None:
    supervisor = run("[server('a')]")
    first = supervisor.until_ready().unit("a")
    os.kill(first.pid, signal.SIGKILL)
    again = supervisor.until(lambda told: told.unit("a").phase is Phase.READY and told.unit("a").pid != first.pid)
    assert again.unit("a").restarts == 1


def test_stopping_ends_everything_and_a_stubborn_one_by_force(run: Callable[..., Run]) -> None:
    supervisor = run("[server('a'), server('b', 'stubborn', tier=1)]")
    told = supervisor.until_ready()
    watches = watched(told.unit("a").pid, told.unit("b").pid)
    supervisor.process.terminate()
    assert supervisor.process.wait(30) == 0
    assert all_end(watches)
    final = state.read(supervisor.folder.state)
    assert final is not None
    assert final.phase is Phase.STOPPED
    assert [unit.pid for unit in final.units] == [0, 0]


def test_a_killed_supervisor_takes_everything_with_it(run: Callable[..., Run]) -> None:
    """Also grandchildren, which the kernel's death signal does not reach, and a child that ignores its signal."""
    grandchild = "import subprocess,sys,time; subprocess.Popen([sys.executable,'-c','import time;time.sleep(600)']);"
    supervisor = run(
        f'[server("a", "stubborn"), Unit("g", lambda parent: (sys.executable, "-c", """{grandchild}'
        "print('up', flush=True); time.sleep(600)\"\"\"), dict(os.environ), folder.logs / 'g.log')]"
    )
    told = supervisor.until_ready()
    parent = told.unit("g").pid
    log = supervisor.folder.logs / "g.log"
    while "up" not in log.read_text():
        pass
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    assert len(children) == 1
    watches = watched(told.unit("a").pid, parent, int(children[0]))
    supervisor.process.kill()
    assert all_end(watches)
    lock.wait_until_free(supervisor.folder.sentinel_lock, 30)


def test_the_next_supervisor_waits_until_the_field_is_clear(run: Callable[..., Run], store_folder: Path) -> None:
    first = run("[server('a', 'stubborn')]")
    told = first.until_ready()
    watches = watched(told.unit("a").pid)
    first.process.kill()
    second = Run(first.folder.root, "[server('a')]")
    try:
        assert second.until_ready().unit("a").pid != told.unit("a").pid
        assert all_end(watches)
    finally:
        second.process.terminate()
        second.process.communicate(timeout=30)


def test_what_never_gets_ready_is_told_in_its_own_last_words(run: Callable[..., Run]) -> None:
    supervisor = run("[server('a'), task('t', 'import sys; sys.exit(\"the cupboard is bare\")')]")
    output, _ = supervisor.process.communicate(timeout=30)
    assert supervisor.process.returncode == 1
    assert "t did not start (exit status 1): the cupboard is bare" in output
    final = state.read(supervisor.folder.state)
    assert final is not None
    assert final.phase is Phase.FAILED
    assert final.unit("a").pid == 0


def test_wrong_settings_are_not_tried_again(run: Callable[..., Run]) -> None:
    supervisor = run(
        "[Unit('a', lambda parent: (sys.executable, '-c', 'import sys; print(1); sys.exit(2)'), dict(os.environ),"
        " folder.logs / 'a.log', probe=HttpProbe(folder.run / 'never'))]"
    )
    output, _ = supervisor.process.communicate(timeout=30)
    assert "exit status 2" in output
    assert (supervisor.folder.logs / "a.log").read_text() == "1\n"


def test_a_starter_that_dies_before_all_is_ready_stops_it(run: Callable[..., Run]) -> None:
    theirs, ours = os.pipe()
    os.set_inheritable(theirs, True)
    supervisor = run("[server('a'), task('t', 'import time; time.sleep(600)')]", theirs)
    os.close(theirs)
    told = supervisor.until(lambda told: told.unit("a").phase is Phase.READY and told.unit("t").pid > 0)
    watches = watched(told.unit("a").pid, told.unit("t").pid)
    os.close(ours)
    assert supervisor.process.wait(30) == 0
    assert all_end(watches)
