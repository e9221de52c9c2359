"""Wait until PostgreSQL takes connections: `python -m chassis.await_postgres DSN_FILE [--within SECONDS]`.

For what must not begin before the database is there, such as the job that brings a schema up to date. It says each
reason once, and ends with status 1 and the last reason when time is up.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from chassis.clock import Clock, SystemClock
from chassis.logs import redact

PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 5.0


async def wait(
    try_once: Callable[[], Awaitable[None]], clock: Clock, within_s: float, say: Callable[[str], None]
) -> bool:
    """Try until it works; answer False when it has not within `within_s`."""
    end = clock.monotonic() + within_s
    said = ""
    while True:
        try:
            await try_once()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = redact(f"waiting for PostgreSQL: {type(error).__name__}: {error}")
        else:
            return True
        if reason != said:
            say(reason)
            said = reason
        if clock.monotonic() >= end:
            say(f"PostgreSQL was not there within {within_s:g} s")
            return False
        await clock.sleep(PAUSE_S)


async def connect_once(dsn: str) -> None:
    """Open a connection and run a statement. Raises what asyncpg raises."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    try:
        await connection.execute("SELECT 1", timeout=CONNECT_TIMEOUT_S)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


def main(arguments: list[str]) -> int:
    """Wait; answer the exit status."""
    parser = argparse.ArgumentParser(description="Wait until PostgreSQL takes connections.")
    parser.add_argument("dsn_file", type=Path, help="file that holds the URL of the database")
    parser.add_argument("--within", type=float, default=120.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    dsn = options.dsn_file.read_text(encoding="utf-8").strip()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # a command's words to its operator

    there = asyncio.run(wait(lambda: connect_once(dsn), SystemClock(), options.within, say))
    return 0 if there else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
