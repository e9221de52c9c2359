"""What PostgreSQL alone cannot tell is checked where somebody brings it along, and named where nobody does."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from capstan.billing.v1 import invoices_pb2, invoices_pb2_grpc
from chassis.postgres import pool
from chassis.rpc_client import call
from chassis.tenancy import Tenancy
from services.billing import commands
from services.billing.evidence import Evidence, EvidenceError, Journal, Meter, Told, evidence
from services.billing.finding import Finding
from services.billing.verify_journals import LONGEST_S, journals_move
from services.billing.verify_meters import SHIPPING_S, meters_agree
from tests.integration.billing.conftest import Books, usage_event

POSTED = 27_000
"""Nano-dollars of one event."""


def meter(
    organization_id: str, posted: int | None, subject: str = "", period: str = "2026-11", **changes: Any
) -> Meter:
    fields: dict[str, Any] = {"held_nanousd": 0, "holds_nanousd": 0, "first_end_ms": 0, "time_ms": 10**12}
    return Meter(organization_id, subject or organization_id, period, posted, **(fields | changes))


async def looked(books: Books, *meters: Meter) -> tuple[Finding, Finding, list[float]]:
    """Both findings about meters, and how long was waited for what may still be on its way."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with pool(books.settings.database(), application_name="test", max_size=1) as connections:
        held, posted = await meters_agree(Tenancy(connections, "billing"), meters, sleep)
    return held, posted, waited


async def test_a_meter_that_has_what_is_posted_is_sound(books: Books, organization_id: str) -> None:
    project = f"proj_{organization_id}"
    await books.ingest(usage_event("m1", organization_id=organization_id, project_id=project))
    held, posted, waited = await looked(
        books,
        meter(organization_id, POSTED),
        meter(organization_id, POSTED, project),
        meter(organization_id, POSTED, period="credit"),
        meter(organization_id, None, period="2026-10"),
    )
    assert (held.holds, posted.holds, waited) == (True, True, [])


async def test_a_meter_that_is_behind_is_told_of_and_one_that_stays_ahead_is_wrong(
    books: Books, organization_id: str
) -> None:
    await books.ingest(usage_event("m2", organization_id=organization_id))
    _, posted, _ = await looked(books, meter(organization_id, POSTED - 10))
    assert posted.holds
    assert "1 behind by 10" in posted.seen
    _, posted, waited = await looked(books, meter(organization_id, POSTED + 3))
    assert not posted.holds
    assert "1 ahead by 3" in posted.seen
    assert sum(waited) >= SHIPPING_S


async def test_what_is_still_being_shipped_is_waited_for(books: Books, organization_id: str) -> None:
    async def sleep(_: float) -> None:
        await books.ingest(usage_event("m3", organization_id=organization_id))

    async with pool(books.settings.database(), application_name="test", max_size=1) as connections:
        _, posted = await meters_agree(Tenancy(connections, "billing"), [meter(organization_id, POSTED)], sleep)
    assert posted.holds


async def test_what_was_forgiven_is_no_drift_of_a_credit(books: Books, organization_id: str) -> None:
    await books.ingest(usage_event("m4", organization_id=organization_id))
    change = invoices_pb2.InvoiceCorrection(
        correction_id=organization_id, refers_to="req_1", reason="kindness", amount_nanousd=-100
    )
    stub = invoices_pb2_grpc.InvoiceServiceStub(books.channel)
    request = invoices_pb2.EnterCorrectionRequest(organization_id=organization_id, correction=change)
    await call(stub.EnterCorrection, request, timeout_s=5, peer="billing")
    _, posted, _ = await looked(books, meter(organization_id, POSTED, period="credit"))
    assert posted.holds
    _, posted, _ = await looked(books, meter(organization_id, POSTED + 1, period="credit"))
    assert not posted.holds


@pytest.mark.parametrize(
    "changes",
    [{"held_nanousd": 1}, {"holds_nanousd": 1}, {"first_end_ms": 10**12 - 60_001}],
    ids=["held", "holds", "stale"],
)
async def test_holds_that_do_not_add_up_or_do_not_end_are_wrong(books: Books, changes: dict[str, int]) -> None:
    held, _, _ = await looked(books, meter("org-1", 0, **changes))
    assert not held.holds


def test_a_journal_in_which_something_stays_is_wrong() -> None:
    assert journals_move([Journal("a", 3, LONGEST_S, 1.0), Journal("b", 0, 0.0, LONGEST_S)]).holds
    assert journals_move([Journal("a", 3, LONGEST_S + 1, 0.0)]).holds is False
    assert journals_move([Journal("a", 0, 0.0, LONGEST_S + 1)]).holds is False
    assert journals_move(None).holds is None


@pytest.mark.parametrize(
    ("told", "sound"),
    [
        ({}, True),
        ({"cached_tokens": 0}, True),
        ({"prompt_tokens": 101}, False),
        ({"completion_tokens": 19}, False),
        ({"cached_tokens": 1}, False),
        ({"request_id": "req_nobody"}, False),
    ],
)
async def test_what_a_client_was_told_is_what_is_charged(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str], told: dict[str, Any], sound: bool
) -> None:
    event = usage_event("t1")
    await books.ingest(event)
    line = {"request_id": event.request_id, "prompt_tokens": 100, "completion_tokens": 20} | told
    file = tmp_path / "told"
    file.write_text(json.dumps(line) + "\n")
    capsys.readouterr()
    assert await commands.verify(books.settings, evidence(None, None, str(file))) == (0 if sound else 1)
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("I8")]
    assert row[1] == ("ok" if sound else "FAIL")


async def test_all_twelve_invariants_have_a_line_and_say_where_nobody_looked(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert await commands.verify(books.settings) == 0
    lines = capsys.readouterr().out.splitlines()
    numbers = [int(line.split()[0][1:]) for line in lines]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 13))
    unseen = {line.split()[0] for line in lines if line.split()[1] == "?"}
    assert unseen == {"I3", "I6", "I8"}
    assert sum("not looked at: " in line for line in lines) == 4
    everything = Evidence(meters=(), journals=(), told=())
    assert await commands.verify(books.settings, everything) == 0
    assert "?" not in {line.split()[1] for line in capsys.readouterr().out.splitlines()}


def test_files_are_read_as_they_are_written_elsewhere(tmp_path: Path) -> None:
    meters, journals, told = (tmp_path / name for name in ("meters", "journals", "told"))
    said = {"organization_id": "o", "subject_id": "s", "period_id": "p", "posted_nanousd": None, "held_nanousd": 1}
    said |= {"holds_nanousd": 1, "hold_count": 1, "first_end_ms": 5, "time_ms": 4}
    meters.write_text(json.dumps(said) + "\n")
    journals.write_text('{"gateway": "g", "open_count": 2.0, "oldest_open_s": 1.5, "oldest_unshipped_s": 0.0}\n')
    told.write_text('{"request_id": "req_1", "prompt_tokens": 3, "completion_tokens": 4}\n')
    assert evidence(str(meters), str(journals), str(told)) == Evidence(
        (Meter("o", "s", "p", None, 1, 1, 5, 4),), (Journal("g", 2, 1.5, 0.0),), (Told("req_1", 3, 4, None),)
    )


def test_the_standard_input_may_be_several_files_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    meters = json.dumps(asdict(meter("org-1", 5)))
    journals = '{"gateway": "g", "open_count": 0, "oldest_open_s": 0, "oldest_unshipped_s": 0}'
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{journals}\n{meters}\n{journals}\n"))
    found = evidence("-", "-", None)
    assert (found.meters, len(found.journals or ()), found.told) == ((meter("org-1", 5),), 2, None)


@pytest.mark.parametrize("text", ["{", "[]", '{"request_id": "req_1"}', "\n"])
def test_a_file_that_makes_no_sense_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "told"
    file.write_text('{"request_id": "req_1", "prompt_tokens": 3, "completion_tokens": 4}\n' + text + "\n")
    with pytest.raises(EvidenceError, match=r"line 2 of .*told makes no sense"):
        evidence(None, None, str(file))
    with pytest.raises(EvidenceError, match="cannot be read"):
        evidence(str(tmp_path / "nothing"), None, None)
