"""The journal keeps what was begun and finished, whatever happens to the process or the disk."""

import asyncio
import logging
import sqlite3
import sys
import tempfile
import threading
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import CapstanError, Reason
from services.gateway.journal import Journal
from services.gateway.journal_file import JournalError, JournalFile, Put
from services.gateway.usage_record import Endpoint, Outcome, UsageRecord

LOG = logging.getLogger("test")


def begun(number: int, prompt_tokens: int = 7) -> UsageRecord:
    return UsageRecord.begun(
        f"req_{number:032x}",
        organization_id="org-1",
        project_id="proj_1",
        key_id="key_1",
        owner_id="user-1",
        model="capstan-demo",
        endpoint=Endpoint.CHAT_COMPLETIONS,
        start_time=1_700_000_000.0,
        prompt_tokens=prompt_tokens,
    )


def finished(number: int, completion_tokens: int = 5) -> UsageRecord:
    return begun(number).ended(
        Outcome.OK, finish_time=1_700_000_002.0, prompt_tokens=6, completion_tokens=completion_tokens
    )


def reached(number: int, completion_tokens: int = 3) -> UsageRecord:
    return begun(number).reached(time=1_700_000_001.0, prompt_tokens=7, completion_tokens=completion_tokens)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "usage.sqlite"


async def test_a_finished_record_is_there_after_reopening(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await journal.begin(begun(1))
        await journal.finish(finished(1))
    async with Journal.opened(path, log=LOG) as journal:
        assert journal.recovered_count == 0
        await journal.wait_finished()
        assert await journal.finished(10) == [finished(1)]


async def test_what_is_open_is_not_shipped_until_it_is_finished(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await journal.begin(begun(1))
        assert await journal.finished(10) == []
        await journal.finish(finished(1))
        assert await journal.finished(10) == [finished(1)]


async def test_finished_records_come_in_the_order_of_their_ends(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        for number in (1, 2, 3):
            await journal.begin(begun(number))
        for number in (2, 3, 1):
            await journal.finish(finished(number))
        assert await journal.finished(2) == [finished(2), finished(3)]
        await journal.forget([finished(2).request_id, finished(3).request_id])
        assert await journal.finished(2) == [finished(1)]


async def test_the_first_finish_of_a_request_stands(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await journal.begin(begun(1))
        await journal.finish(finished(1, completion_tokens=5))
        await journal.finish(finished(1, completion_tokens=999))
        await journal.begin(begun(1))
        await journal.void(begun(1).request_id)
        assert await journal.finished(10) == [finished(1, completion_tokens=5)]


async def test_beginning_again_raises_what_a_death_would_cost(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await journal.begin(begun(1, prompt_tokens=7))
        await journal.begin(begun(1, prompt_tokens=9))
    async with Journal.opened(path, log=LOG) as journal:
        assert await journal.finished(10) == [begun(1, prompt_tokens=9)]


async def test_a_death_costs_what_was_delivered_at_the_last_checkpoint(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await asyncio.gather(journal.begin(begun(1)), journal.begin(begun(2)))
        journal.checkpoint([reached(1, 64), reached(2, 64)])
        journal.checkpoint([reached(1, 128)])
        await journal.finish(finished(2))
    async with Journal.opened(path, log=LOG) as journal:
        assert journal.recovered_count == 1
        by_id = {record.request_id: record for record in await journal.finished(10)}
        assert by_id == {begun(1).request_id: reached(1, 128), begun(2).request_id: finished(2)}
        assert by_id[begun(1).request_id].outcome is Outcome.RECOVERED


async def test_a_checkpoint_that_comes_late_brings_nothing_back(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await asyncio.gather(journal.begin(begun(1)), journal.begin(begun(2)), journal.finish(finished(3)))
        await asyncio.gather(journal.void(begun(1).request_id), journal.finish(finished(2)))
        await journal.forget([begun(3).request_id])
        journal.checkpoint([reached(1), reached(2), reached(3)])
        assert await journal.finished(10) == [finished(2)]
    async with Journal.opened(path, log=LOG) as journal:
        assert journal.recovered_count == 0


async def test_a_voided_request_leaves_no_trace(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await asyncio.gather(journal.begin(begun(1)), journal.begin(begun(2)))
        await asyncio.gather(journal.void(begun(1).request_id), journal.finish(finished(2)))
    async with Journal.opened(path, log=LOG) as journal:
        assert journal.recovered_count == 0
        assert await journal.finished(10) == [finished(2)]


async def test_a_thousand_ends_at_once_share_a_few_syncs(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        await asyncio.gather(*(journal.finish(finished(number)) for number in range(1000)))
        assert journal.commit_count <= 20
        assert len(await journal.finished(2000)) == 1000


async def test_whoever_waits_for_finished_records_is_woken_by_one(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        assert await journal.finished(10) == []
        waiting = asyncio.ensure_future(journal.wait_finished())
        await journal.begin(begun(1))
        assert not waiting.done()
        await journal.finish(finished(1))
        await waiting


async def test_a_waiter_that_is_cancelled_disturbs_nobody(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        gone = asyncio.ensure_future(journal.finish(finished(1)))
        stays = asyncio.ensure_future(journal.finish(finished(2)))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        assert finished(1) in await journal.finished(10)


async def test_a_beginning_whose_client_left_leaves_nothing(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        gone = asyncio.ensure_future(journal.begin(begun(1)))
        await asyncio.sleep(0)
        gone.cancel()
        await journal.begin(begun(2))
        await journal.void(begun(2).request_id)
    async with Journal.opened(path, log=LOG) as journal:
        assert journal.recovered_count == 0


async def test_only_one_process_has_the_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.journal_file.LOCK_PATIENCE_S", 0.0)
    async with Journal.opened(path, log=LOG):
        with pytest.raises(JournalError, match="another process"):
            async with Journal.opened(path, log=LOG):
                pass


def test_a_file_that_is_no_journal_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, and maybe somebody needs it" * 100)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not a database"):
        JournalFile(path, max_bytes=1 << 20)
    assert path.read_bytes() == before


async def test_a_journal_of_another_version_is_refused(path: Path) -> None:
    JournalFile(path, max_bytes=1 << 20).close()
    with sqlite3.connect(path) as other:
        other.execute("pragma user_version = 99")
    other.close()
    with pytest.raises(JournalError, match="schema 99"):
        async with Journal.opened(path, log=LOG):
            pass


async def test_a_full_journal_refuses_beginnings_and_takes_every_end(path: Path) -> None:
    async with Journal.opened(path, log=LOG, max_bytes=4 << 20) as journal:
        numbers = iter(range(1_000_000))
        still_open: list[int] = []
        full = False
        while not full:
            new = [next(numbers) for _ in range(64)]
            outcomes = await asyncio.gather(*(journal.begin(begun(n)) for n in new), return_exceptions=True)
            refusals = [outcome for outcome in outcomes if isinstance(outcome, CapstanError)]
            assert all(error.reason is Reason.METERING_UNAVAILABLE for error in refusals)
            full = bool(refusals)
            if not full:
                await asyncio.gather(*(journal.finish(finished(n)) for n in new[2:]))
                still_open += new[:2]
        assert len(still_open) > 50
        for number in still_open:
            await journal.finish(finished(number))
        assert journal.writable
        assert await refused(lambda: journal.begin(begun(1_000_001)))
        await journal.note(finished(1_000_002))
        assert journal.dropped_count == 1

        while records := await journal.finished(500):
            assert finished(1_000_002) not in records
            await journal.forget([record.request_id for record in records])
        await journal.begin(begun(1_000_001))
        await journal.note(finished(1_000_003))
        assert await journal.finished(10) == [finished(1_000_003)]


async def test_too_many_waiters_are_refused_before_they_wait(path: Path) -> None:
    async with Journal.opened(path, log=LOG, max_waiting=3) as journal:
        outcomes = await asyncio.gather(*(journal.begin(begun(number)) for number in range(5)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [CapstanError] * 2
        await asyncio.gather(*(journal.note(finished(number)) for number in range(10, 15)))
        assert journal.dropped_count == 2
        await journal.begin(begun(9))


class Disk:
    """What lies under a journal file, and can be made to fail or to hang."""

    def __init__(self) -> None:
        self.fails = False
        self.tried: set[int] = set()
        """Sizes of what it failed to write."""
        self.answers = threading.Event()
        self.answers.set()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write = JournalFile.write

        def faulty(file: JournalFile, puts: list[Put], voids: list[str], reached: list[tuple[str, str]]) -> None:
            self.answers.wait()
            if self.fails:
                self.tried.add(len(puts))
                raise sqlite3.OperationalError("disk I/O error")
            write(file, puts, voids, reached)

        monkeypatch.setattr(JournalFile, "write", faulty)


async def refused(call: Callable[[], Awaitable[None]]) -> bool:
    try:
        await call()
    except CapstanError as error:
        return error.reason is Reason.METERING_UNAVAILABLE
    return False


async def test_ends_that_could_not_be_written_are_written_later(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("services.gateway.journal_writer.RETRY_S", 0.01)
    disk = Disk()
    disk.install(monkeypatch)
    async with Journal.opened(path, log=LOG) as journal:
        await asyncio.gather(journal.begin(begun(1)), journal.begin(begun(2)))
        disk.fails = True
        assert await refused(lambda: journal.finish(finished(1)))
        assert await refused(lambda: journal.void(begun(2).request_id))
        assert await refused(lambda: journal.begin(begun(3)))
        assert not journal.writable
        disk.fails = False
        async with asyncio.timeout(30):
            await journal.wait_finished()  # the writer tries again by itself
        assert journal.writable
        assert await journal.finished(10) == [finished(1)]
    assert [record.levelname for record in caplog.records if record.name == "test"] == ["ERROR"]
    async with Journal.opened(path, log=LOG) as journal:
        assert journal.recovered_count == 0  # neither the voided nor the refused one is left open


async def test_what_was_free_does_not_gather_while_the_disk_takes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.journal_writer.RETRY_S", 0.01)
    disk = Disk()
    disk.install(monkeypatch)
    async with Journal.opened(path, log=LOG) as journal:
        await journal.begin(begun(1))
        disk.fails = True
        assert await refused(lambda: journal.finish(finished(1)))
        for number in range(2, 20):
            await journal.note(finished(number))
        assert journal.dropped_count == 18
        assert disk.tried <= {1, 2}  # what is owed, and what comes
        disk.fails = False
        async with asyncio.timeout(30):
            await journal.wait_finished()
        assert await journal.finished(100) == [finished(1)]


async def test_a_frozen_disk_holds_nobody_and_what_it_does_late_is_right(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    disk.install(monkeypatch)
    async with Journal.opened(path, log=LOG, patience_s=0.05) as journal:
        await journal.begin(begun(1))
        disk.answers.clear()
        assert await refused(lambda: journal.finish(finished(1)))
        assert await refused(lambda: journal.begin(begun(2)))
        disk.answers.set()
        await journal.begin(begun(3))
        assert await journal.finished(10) == [finished(1)]
    async with Journal.opened(path, log=LOG) as journal:
        assert await journal.finished(10) == [finished(1), begun(3)]  # and not 2, which was refused


DIES = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, TESTS)
from test_journal import LOG, begun, finished
from services.gateway.journal import Journal

async def main():
    async with Journal.opened(Path(sys.argv[1]), log=LOG) as journal:
        await dies(journal)

async def dies(journal):
    await journal.begin(begun(1))
    await asyncio.gather(*(journal.begin(begun(number)) for number in range(2, 50)))
    await journal.finish(finished(1))
    print("ready", flush=True)
    for number in range(100, 1_000_000):
        await journal.begin(begun(number))
        await journal.finish(finished(number))
        print(number, flush=True)

asyncio.run(main())
"""


async def run(script: str, path: Path) -> asyncio.subprocess.Process:
    program = script.replace("TESTS", repr(str(Path(__file__).parent)))
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(path), stdout=PIPE, stderr=PIPE)


async def test_a_killed_process_loses_nothing_that_it_was_told_is_durable(path: Path) -> None:
    process = await run(DIES, path)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    seen = [int(await process.stdout.readline()) for _ in range(20)]
    process.kill()
    rest, _ = await process.communicate()
    seen += [int(line) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]
    async with Journal.opened(path, log=LOG) as journal:
        records = {record.request_id: record for record in await journal.finished(1_000_000)}
        assert records[finished(1).request_id] == finished(1)
        assert all(records[begun(number).request_id] == begun(number) for number in range(2, 50))
        assert all(records[finished(number).request_id] == finished(number) for number in seen)
        # At most one more was on its way, in one of its two states.
        assert len(set(records) - {begun(number).request_id for number in (*range(1, 50), *seen)}) <= 1
        assert journal.recovered_count in (48, 49)


DISK_FULL = """
import asyncio, resource, sys
from pathlib import Path
sys.path.insert(0, TESTS)
from test_journal import LOG, begun, finished, refused
from services.gateway.journal import Journal

async def main():
    path = Path(sys.argv[1])
    async with Journal.opened(path, log=LOG) as journal:
        for number in range(20):
            await journal.begin(begun(number))
        size = max(entry.stat().st_size for entry in path.parent.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        number = 1000
        while not await refused(lambda: journal.begin(begun(number))):
            number += 1
            assert number < 1100
        assert not journal.writable
        for open_number in range(20):
            assert await refused(lambda: journal.finish(finished(open_number)))
        for again in range(3):
            assert await refused(lambda: journal.begin(begun(2000 + again)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await journal.begin(begun(3000))
        assert journal.writable
        shipped = await journal.finished(1000)
        assert shipped == [finished(open_number) for open_number in range(20)], shipped
        await journal.void(begun(3000).request_id)
        print("accepted", *(step for step in range(1000, number)))

asyncio.run(main())
"""


async def test_a_full_disk_closes_paid_work_and_space_opens_it_again(path: Path) -> None:
    process = await run(DISK_FULL, path)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    accepted = [int(word) for word in out.split()[1:]]
    async with Journal.opened(path, log=LOG) as journal:
        assert journal.recovered_count == len(accepted)
        records = {record.request_id for record in await journal.finished(10_000)}
        assert records == {begun(number).request_id for number in (*range(20), *accepted)}


def test_every_torn_tail_leaves_whole_commits(path: Path, tmp_path: Path) -> None:
    """Power may cut the log anywhere; what SQLite then shows is a prefix of the commits, never a half of one."""
    file = JournalFile(path, max_bytes=1 << 20)
    for number in range(3):
        file.write([Put(begun(number).request_id, finished(number).to_json(), True)])
    log = path.with_name(path.name + "-wal").read_bytes()
    main = path.read_bytes()
    file.close()
    counts = []
    for cut in (*range(0, len(log), 512), len(log)):
        torn = tmp_path / f"torn-{cut}.sqlite"
        torn.write_bytes(main)
        torn.with_name(torn.name + "-wal").write_bytes(log[:cut])
        again = JournalFile(torn, max_bytes=1 << 20)
        records = again.finished(10)
        again.close()
        assert records == [finished(number) for number in range(len(records))]
        counts.append(len(records))
    assert counts == sorted(counts)
    assert counts[-1] == 3


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["begin", "reach", "finish", "void", "forget"]), st.lists(st.integers(0, 5), min_size=1)
        ),
        st.just(("reopen", list[int]())),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_the_file_behaves_as_two_sets_whatever_is_done_to_it(steps: list[tuple[str, list[int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.sqlite"
        file = JournalFile(path, max_bytes=1 << 20)
        still_open: dict[int, UsageRecord] = {}
        done: dict[int, UsageRecord] = {}
        for step, numbers in steps:
            ids = [begun(number).request_id for number in numbers]
            if step == "begin":
                file.write([Put(begun(n).request_id, begun(n).to_json(), False) for n in numbers])
                still_open |= {n: begun(n) for n in numbers if n not in done}
            elif step == "reach":
                file.write([], reached=[(begun(n).request_id, reached(n).to_json()) for n in numbers])
                still_open |= {n: reached(n) for n in numbers if n in still_open}
            elif step == "finish":
                file.write([Put(finished(n).request_id, finished(n).to_json(), True) for n in numbers])
                done |= {n: finished(n) for n in numbers if n not in done}
                still_open = {n: record for n, record in still_open.items() if n not in done}
            elif step == "void":
                file.write([], ids)
                still_open = {n: record for n, record in still_open.items() if n not in numbers}
            elif step == "forget":
                file.forget(ids)
                done = {n: record for n, record in done.items() if n not in numbers}
            else:
                file.close()
                file = JournalFile(path, max_bytes=1 << 20)
                assert file.recovered_count == len(still_open)
                done |= still_open
                still_open = {}
            assert {record.request_id: record for record in file.finished(100)} == {
                record.request_id: record for record in done.values()
            }
        file.close()


async def test_what_was_begun_is_open_until_it_ends_or_is_taken_back(path: Path) -> None:
    async with Journal.opened(path, log=LOG) as journal:
        assert (journal.open_count, journal.oldest_open_s) == (0, 0.0)
        await asyncio.gather(*(journal.begin(begun(number)) for number in range(3)))
        await asyncio.sleep(0)
        assert journal.open_count == 3
        assert journal.oldest_open_s >= 0
        await journal.finish(finished(0))
        await journal.void(begun(1).request_id)
        await journal.finish(finished(7))  # what is free is not begun
        assert journal.open_count == 1
        await journal.finish(finished(2))
        assert (journal.open_count, journal.oldest_open_s) == (0, 0.0)


async def test_a_record_of_a_later_release_holds_up_no_other_and_is_there_for_it(path: Path) -> None:
    later = finished(1).to_json().replace('"chat_completions"', '"images"')
    file = JournalFile(path, max_bytes=1 << 20)
    file.write([Put(finished(1).request_id, later, True), Put(finished(2).request_id, finished(2).to_json(), True)])
    file.close()
    async with Journal.opened(path, log=LOG) as journal:
        assert await journal.finished(1) == [finished(2)]
        await journal.forget([finished(2).request_id])
        assert await journal.finished(1) == []
        assert journal.set_aside_count == 1
    with sqlite3.connect(path) as kept:
        kept.execute("update journal set body = ?", (finished(1).to_json(),))  # as the later release reads it
    kept.close()
    async with Journal.opened(path, log=LOG) as journal:
        assert await journal.finished(1) == [finished(1)]
        assert journal.set_aside_count == 0
