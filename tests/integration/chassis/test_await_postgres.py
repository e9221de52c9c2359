"""What must not begin before the database is there waits for it, says why, and gives up in time."""

import asyncio
from pathlib import Path

import pytest

from chassis.await_postgres import connect_once, main, wait
from chassis.clock import ManualClock


async def test_it_waits_until_the_database_answers_and_says_each_reason_once() -> None:
    clock, said, answers = ManualClock(), [], [OSError("refused")] * 3 + [TimeoutError()]

    async def try_once() -> None:
        if answers:
            raise answers.pop(0)

    waiting = asyncio.create_task(wait(try_once, clock, 60, said.append))
    await clock.advance(10)
    assert await waiting is True
    assert [line.split(": ")[1] for line in said] == ["OSError", "TimeoutError"]


async def test_it_gives_up_when_time_is_over() -> None:
    clock, said = ManualClock(), []

    async def never() -> None:
        raise OSError("refused by postgresql://capstan:secret@db/x")

    waiting = asyncio.create_task(wait(never, clock, 5, said.append))
    await clock.advance(10)
    assert await waiting is False
    assert said[-1] == "PostgreSQL was not there within 5 s"
    assert "secret" not in "".join(said)


async def test_a_real_database_is_there(postgres_dsn: str) -> None:
    await connect_once(postgres_dsn)


def test_the_command_answers_with_its_status(
    postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, nowhere = tmp_path / "there", tmp_path / "nowhere"
    there.write_text(f"{postgres_dsn}\n")
    nowhere.write_text("postgresql://nobody@127.0.0.1:1/none\n")
    assert main([str(there)]) == 0
    assert main([str(nowhere), "--within", "0"]) == 1
    assert "waiting for PostgreSQL" in capsys.readouterr().err
