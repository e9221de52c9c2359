"""An operator sees what could not be recorded, tries it again, or closes it with a reason; nothing is thrown away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capstan.billing.v1 import billing_pb2
from services.billing import commands, parked_command
from tests.integration.billing.conftest import Books, usage_event

PARKED = billing_pb2.RECEIPT_STATUS_PARKED


@pytest.fixture
async def parked(books: Books, organization_id: str) -> list[str]:
    """Ids of two parked events of an organisation."""
    for number in (1, 2):
        bad = usage_event(f"{organization_id}{number}", organization_id=organization_id, model=f"nul\0{number}")
        assert [receipt.status for receipt in await books.ingest(bad)] == [PARKED]
    rows = await books.database.fetch(
        "select digest from billing.dead_letters where organization_id = $1 order by parked_time, digest",
        organization_id,
    )
    return [row["digest"].hex() for row in rows]


async def told(books: Books, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    args = parked_command.arguments(argv)
    status = await parked_command.done(args, books.settings)
    out, err = capsys.readouterr()
    return status, out, err


async def listed(books: Books, capsys: pytest.CaptureFixture[str], organization: str) -> list[dict[str, Any]]:
    _, out, _ = await told(books, capsys, "list")
    return [letter for letter in map(json.loads, out.splitlines()) if letter["organization_id"] == organization]


async def test_what_is_parked_is_listed_with_its_tokens_and_the_reason(
    books: Books, parked: list[str], organization_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = await listed(books, capsys, organization_id)
    assert [letter["id"] for letter in letters] == [digits[: parked_command.SHOWN_DIGITS] for digits in parked]
    assert {(letter["prompt_tokens"], letter["completion_tokens"]) for letter in letters} == {(100, 20)}
    assert all(letter["reason"] and letter["model"].startswith("nul\0") for letter in letters)


async def test_one_that_is_dismissed_is_kept_with_the_reason_and_parked_no_more(
    books: Books, parked: list[str], organization_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = await told(books, capsys, "dismiss", parked[0][:12], " a test of ours ")
    assert (status, json.loads(out)) == (0, {"id": parked[0][:16], "resolution": "dismissed: a test of ours"})
    assert [letter["id"] for letter in await listed(books, capsys, organization_id)] == [parked[1][:16]]
    assert (await books.account(organization_id)).parked_count == 1
    kept = await books.database.fetchval(
        "select resolution from billing.dead_letters where digest = $1", bytes.fromhex(parked[0])
    )
    assert kept == "dismissed: a test of ours"
    status, _, err = await told(books, capsys, "dismiss", parked[0][:12], "again")
    assert (status, err) == (1, f"There is no parked event whose id begins with {parked[0][:12]}.\n")
    await told(books, capsys, "dismiss", parked[1], "the other as well")
    assert (await books.account(organization_id)).parked_count == 0


async def test_what_is_dismissed_and_comes_again_stays_dismissed(
    books: Books, parked: list[str], organization_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for digits in parked:
        await told(books, capsys, "dismiss", digits, "nobody's")
    bad = usage_event(f"{organization_id}1", organization_id=organization_id, model="nul\0001")
    assert [receipt.status for receipt in await books.ingest(bad)] == [PARKED]
    assert (await books.account(organization_id)).parked_count == 0


async def test_retrying_what_cannot_be_recorded_says_how_many_stay(
    books: Books, parked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = await told(books, capsys, "retry")
    assert (status, json.loads(out)["recorded"]) == (1, 0)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["list", "more"],
        ["dismiss", "3f9a0c1", "too short an id"],
        ["dismiss", "3F9A0C11", "not as listed"],
        ["dismiss", "3f9a0c11", " "],
        ["dismiss", "3f9a0c11", "x" * 1000],
        ["dismiss", "3f9a0c11"],
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parked_command.arguments(argv)
    assert refused.value.code == 2
    assert capsys.readouterr().err


async def test_verify_names_no_parked_event_once_all_are_dismissed(
    books: Books, parked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await commands.verify(books.settings) == 1
    rows = await books.database.fetch("select digest from billing.dead_letters where resolved_time is null")
    for row in rows:
        await told(books, capsys, "dismiss", row["digest"].hex(), "the tests'")
    assert await commands.verify(books.settings) == 0
    dismissed = await books.value("select count(*) from billing.dead_letters where resolution like 'dismissed:%'")
    assert f" 0 parked; {dismissed} dismissed" in capsys.readouterr().out
