"""The supervisor's process: `python -m tools.local PLAN_AS_JSON [--tether DESCRIPTOR] [--tied]`.

It takes commands by signal (SIGTERM or SIGINT: stop; again: at once) and tells through the state file. The tether is
a pipe from whoever started it: if that end closes before everything is ready (with `--tied`: ever), it stops, so a
killed `capstan up` leaves nothing behind.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from tools.local import assembly, lock, state
from tools.local.folder import DataFolder
from tools.local.launch import SECOND
from tools.local.plan import Plan
from tools.local.problem import Problem
from tools.local.process import Roll
from tools.local.state import Phase, State
from tools.local.supervisor import Supervisor
from tools.local.unit import Unit

CLEAR_FIELD_PATIENCE_S = 20.0
"""For the last processes of an earlier run."""


async def supervise(
    folder: DataFolder,
    news: State,
    make_units: Callable[[int], Sequence[Unit]],
    *,
    tether: int | None = None,
    tied: bool = False,
) -> None:
    """Run what `make_units` gives until asked to stop; it is told the descriptor whose end means that we are gone.

    Raises:
        Problem: something did not start.
    """
    lock.wait_until_free(folder.sentinel_lock, CLEAR_FIELD_PATIENCE_S)
    folder.erase_sockets()
    lifeline, held = os.pipe()  # only this process has the writing end, so its death reaches every reader
    write = functools.partial(state.write, folder.state)
    supervisor = Supervisor(make_units(lifeline), news, write)
    write(news)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.ask_to_stop)
    if tether is not None:
        watch(loop, tether, functools.partial(let_go, supervisor, tied=tied))
    roll = await Roll.open(folder.sentinel_lock)
    try:
        await supervisor.run(roll, folder.root, (lifeline,))
        news.phase = Phase.STOPPED
    except Problem as problem:
        news.phase, news.problem = Phase.FAILED, str(problem)
        raise
    finally:
        await roll.close()
        os.close(held)
        write(news)


def let_go(supervisor: Supervisor, *, tied: bool) -> None:
    """What the end of the tether means: nothing once all is ready, unless tied to it; before that, no time to lose."""
    if not supervisor.all_ready:
        supervisor.ask_to_stop()
        supervisor.ask_to_stop()
    elif tied:
        supervisor.ask_to_stop()


def watch(loop: asyncio.AbstractEventLoop, descriptor: int, at_end: Callable[[], None]) -> None:
    """Call `at_end` when the other end of the pipe closes."""

    def readable() -> None:
        if os.read(descriptor, 1) == b"":
            loop.remove_reader(descriptor)
            at_end()

    loop.add_reader(descriptor, readable)


def main(arguments: Sequence[str]) -> int:
    """Run the supervisor; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.local")
    parser.add_argument("plan")
    parser.add_argument("--tether", type=int)
    parser.add_argument("--tied", action="store_true")
    options = parser.parse_args(arguments)
    plan = Plan.from_json(options.plan)
    folder = DataFolder(plan.data_dir)
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    held = lock.take(folder.lock, str(os.getpid()))
    if held is None:
        print("another supervisor runs in this data folder", file=sys.stderr)
        return SECOND
    with held:
        try:
            news = State(os.getpid(), time.time(), plan=plan.public(), base_url=plan.base_url)
            make_units = functools.partial(assembly.units, plan, folder)
            asyncio.run(supervise(folder, news, make_units, tether=options.tether, tied=options.tied))
        except Problem as problem:
            print(problem, file=sys.stderr)
            _tell_if_nobody_has(folder, problem)
            return 1
    return 0


def _tell_if_nobody_has(folder: DataFolder, problem: Problem) -> None:
    """A problem from before the first state was written must reach whoever waits for it."""
    told = state.read(folder.state)
    if told is None or told.pid != os.getpid():
        news = State(os.getpid(), time.time(), Phase.FAILED, str(problem))
        state.write(folder.state, news)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
