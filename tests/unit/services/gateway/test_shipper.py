"""Finished records reach billing in order and each once, however often billing is away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason, unavailable
from services.gateway.journal import Journal
from services.gateway.shipper import Receipt, Shipper
from services.gateway.usage_record import Endpoint, Outcome, UsageRecord

LOG = logging.getLogger("test")


def finished(number: int) -> UsageRecord:
    begun = UsageRecord.begun(
        f"req_{number:032x}",
        organization_id="org-1",
        project_id="proj_1",
        key_id="key_1",
        owner_id="user-1",
        model="capstan-demo",
        endpoint=Endpoint.EMBEDDINGS,
        start_time=1_700_000_000.0,
        prompt_tokens=7,
    )
    return begun.ended(Outcome.OK, finish_time=1_700_000_001.0, prompt_tokens=7, completion_tokens=0)


class Billing:
    """The other side: keeps each record once, and can be away before or after it has."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.kept: dict[str, UsageRecord] = {}
        self.parks: set[str] = set()
        self.away = False
        self.loses_answers = False
        self.forgets_last = False

    async def send(self, records: Sequence[UsageRecord]) -> Sequence[Receipt]:
        self.calls.append(len(records))
        if self.away:
            raise unavailable("billing")
        for record in records:
            self.kept.setdefault(record.request_id, record)
        if self.loses_answers:
            raise CapstanError(Reason.DEADLINE_EXCEEDED, service="billing")
        answered = records[:-1] if self.forgets_last else records
        return [Receipt(record.request_id, parked=record.request_id in self.parks) for record in answered]


class Desk:
    def __init__(self, journal: Journal, clock: ManualClock, billing: Billing, shipper: Shipper) -> None:
        self.journal = journal
        self.clock = clock
        self.billing = billing
        self.shipper = shipper

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and the journal's thread answer what that started."""
        await self.clock.advance(seconds)
        calls = -1
        while calls != len(self.billing.calls):
            calls = len(self.billing.calls)
            for _ in range(3):
                await self.journal.forget([])  # a round trip through the thread

    async def finish(self, *numbers: int) -> None:
        await asyncio.gather(*(self.journal.finish(finished(number)) for number in numbers))


@asynccontextmanager
async def shipping(path: Path, **options: float) -> AsyncIterator[Desk]:
    clock, billing = ManualClock(), Billing()
    async with Journal.opened(path / "usage.sqlite", log=LOG) as journal:
        shipper = Shipper(journal, billing.send, clock=clock, jitter=lambda: 0.0, log=LOG, **options)  # type: ignore[arg-type]
        task = asyncio.ensure_future(shipper.run())
        try:
            yield Desk(journal, clock, billing, shipper)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_what_ends_within_the_linger_time_goes_in_one_call(tmp_path: Path) -> None:
    async with shipping(tmp_path) as desk:
        await desk.finish(1, 2, 3)
        await desk.pass_time(0.1)
        await desk.finish(4)
        assert desk.billing.calls == []
        await desk.pass_time(0.15)
        assert desk.billing.calls == [4]
        assert await desk.journal.finished(10) == []
        assert desk.shipper.shipped_count == 4


async def test_many_records_go_in_batches_and_in_order(tmp_path: Path) -> None:
    async with shipping(tmp_path, batch=500) as desk:
        await desk.finish(*range(1200))
        await desk.pass_time(0.25)
        assert desk.billing.calls == [500, 500, 200]
        assert list(desk.billing.kept.values()) == [finished(number) for number in range(1200)]


async def test_records_gather_while_billing_is_away_and_go_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with shipping(tmp_path) as desk:
        desk.billing.away = True
        await desk.finish(1)
        for _ in range(400):
            await desk.pass_time(0.5)
        assert desk.shipper.oldest_unshipped_s >= 199
        tries = len(desk.billing.calls)
        assert 8 <= tries <= 14  # 200 s: 0.2, 0.4 … 12.8, 25.6, then every 30 s, each after the linger time
        assert desk.shipper.failures_in_a_row == tries
        await desk.finish(2)
        desk.billing.away = False
        await desk.pass_time(31)
        assert list(desk.billing.kept.values()) == [finished(1), finished(2)]
        assert desk.shipper.failures_in_a_row == 0
        assert desk.shipper.oldest_unshipped_s == 0
    assert [record.levelname for record in caplog.records if record.name == "test"] == ["WARNING"]


async def test_an_acknowledgement_that_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    async with shipping(tmp_path) as desk:
        desk.billing.loses_answers = True
        await desk.finish(1, 2)
        await desk.pass_time(0.25)
        assert len(desk.billing.kept) == 2
        assert len(await desk.journal.finished(10)) == 2
        desk.billing.loses_answers = False
        await desk.pass_time(1)
        assert desk.billing.calls == [2, 2]
        assert await desk.journal.finished(10) == []


async def test_a_record_that_billing_says_nothing_about_stays(tmp_path: Path) -> None:
    async with shipping(tmp_path) as desk:
        desk.billing.forgets_last = True
        await desk.finish(1, 2)
        await desk.pass_time(0.25)
        assert await desk.journal.finished(10) == [finished(2)]
        desk.billing.forgets_last = False
        await desk.pass_time(1)
        assert await desk.journal.finished(10) == []


async def test_a_parked_record_holds_up_nobody_and_is_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with shipping(tmp_path) as desk:
        desk.billing.parks = {finished(1).request_id}
        await desk.finish(1, 2)
        await desk.pass_time(0.25)
        assert await desk.journal.finished(10) == []
        assert (desk.shipper.shipped_count, desk.shipper.parked_count) == (2, 1)
    (line,) = [record for record in caplog.records if record.name == "test"]
    assert line.__dict__["request_id"] == finished(1).request_id


async def test_what_an_earlier_process_left_is_shipped_first(tmp_path: Path) -> None:
    async with Journal.opened(tmp_path / "usage.sqlite", log=LOG) as journal:
        await journal.finish(finished(1))
    async with shipping(tmp_path) as desk:
        await desk.finish(2)
        await desk.pass_time(0.25)
        assert list(desk.billing.kept.values()) == [finished(1), finished(2)]


async def test_flushing_at_shutdown_empties_the_journal_without_waiting(tmp_path: Path) -> None:
    clock, billing = ManualClock(), Billing()
    async with Journal.opened(tmp_path / "usage.sqlite", log=LOG) as journal:
        shipper = Shipper(journal, billing.send, clock=clock, jitter=lambda: 0.0, log=LOG)
        await journal.finish(finished(1))
        assert await shipper.drained(5)
        assert billing.calls == [1]
        billing.away = True
        await journal.finish(finished(2))
        with pytest.raises(CapstanError, match="UNAVAILABLE"):
            await shipper.flush()
        assert not await shipper.drained(5)
        assert await journal.finished(10) == [finished(2)]
