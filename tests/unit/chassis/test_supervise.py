"""Background tasks: one that ends is noticed, one that was a single errand is not."""

import asyncio
import logging

import pytest

from chassis.supervise import Tasks

LOG = logging.getLogger("test")


async def forever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    return


async def broken() -> None:
    raise ValueError("boom")


@pytest.mark.parametrize("work", [at_once, broken])
async def test_a_background_task_that_ends_is_a_failure_that_names_it(work, caplog) -> None:
    tasks = Tasks(LOG)
    tasks.spawn("the shipper", work())
    assert await asyncio.wait_for(tasks.failed, 1) == "background task 'the shipper' ended"
    await tasks.close()


async def test_closing_cancels_what_runs_and_is_no_failure() -> None:
    tasks = Tasks(LOG)
    task = tasks.spawn("watch", forever())
    await tasks.close()
    assert task.cancelled()
    assert not tasks.failed.done()


async def test_an_errand_may_end_and_its_failure_is_logged_only(caplog) -> None:
    tasks = Tasks(LOG)
    await asyncio.wait([tasks.once("errand", at_once()), tasks.once("bad errand", broken())])
    await asyncio.sleep(0)
    assert not tasks.failed.done()
    assert "bad errand" in caplog.text
    await tasks.close()
