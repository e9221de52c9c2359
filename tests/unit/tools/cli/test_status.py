"""What `capstan status` makes of the supervisor's notes and the services' answers."""

import os

from rich.console import Console

from tools.cli.status import Row, memory_bytes, row, rows, table
from tools.local.state import Phase, State, UnitState
from tools.local.unit import Answer


def test_a_service_that_answers_ready_is_ready() -> None:
    unit = UnitState("auth", Phase.READY, pid=os.getpid(), endpoint="unix:/a")
    found = row(unit, lambda: Answer(True, version="0.1.0"))
    assert (found.state, found.version, found.endpoint) == ("ready", "0.1.0", "unix:/a")
    assert found.memory_bytes > 1 << 20


def test_a_service_that_was_ready_and_no_longer_is_is_unready_with_its_reason() -> None:
    unit = UnitState("inference", Phase.READY, pid=os.getpid())
    found = row(unit, lambda: Answer(False, "engine: dead"))
    assert (found.state, found.note) == ("unready", "engine: dead")


def test_a_service_without_a_process_is_not_asked() -> None:
    def never() -> Answer:
        raise AssertionError("asked")

    found = row(UnitState("auth", Phase.RESTARTING, note="exit status 1; again in 2 s"), never)
    assert (found.state, found.note) == ("restarting", "exit status 1; again in 2 s")
    assert found.memory_bytes == 0


def test_tasks_are_no_services() -> None:
    told = State(1, 0.0, units=[UnitState("auth-migrate", Phase.DONE, once=True), UnitState("auth", Phase.READY)])
    assert [found.service for found in rows(told, {})] == ["auth"]


def test_a_process_that_is_gone_has_no_memory() -> None:
    assert memory_bytes(2**22 - 1) == 0


def test_the_table_has_every_service_and_the_total() -> None:
    found = [
        Row("auth", "ready", "unix:/a", 1, 64 << 20, "0.1.0", 0, ""),
        Row("x", "unready", "", 2, 32 << 20, "", 3, "y"),
    ]
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123  # closed below
    console.print(table(found))
    text = console.export_text()
    console.file.close()
    assert "auth" in text
    assert "unready (y)" in text
    assert "96 MB" in text
