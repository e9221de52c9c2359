"""The check of the books finds each kind of damage, and only that one."""

import pytest

from services.billing import commands
from tests.integration.billing.conftest import Books, usage_event

DAMAGE = {
    "I1": "update billing.ledger_entries set amount_nanousd = amount_nanousd - 1 where account = 'revenue'",
    "I2 of reports": "update billing.usage_days set prompt_tokens = prompt_tokens + 1",
    "I2": "update billing.accounts set receivable_nanousd = receivable_nanousd + 1",
    "I4": """insert into billing.ledger_entries (transaction_id, leg, organization_id, account, amount_nanousd)
             select transaction_id, leg + 2, organization_id, account, amount_nanousd from billing.ledger_entries""",
    "I5": "update billing.usage_events set completion_tokens = completion_tokens + 1",
    "I6": """insert into billing.engine_usage select 'req_lost', 'req_lost', 'replica-1', false, 0, 0, 0, 0, now(),
             now() - interval '1 year', ''""",
    "I7": """insert into billing.engine_usage select request_id, request_id, 'replica-1', false, prompt_tokens, 0,
             completion_tokens + 1, 0, now(), now() - interval '1 year', '' from billing.usage_events limit 3""",
    "I11": "drop trigger append_only on billing.usage_events",
    "I12": """insert into billing.dead_letters (digest, organization_id, request_id, reason, payload)
              values ('x', 'org-1', 'req_x', 'played', '')""",
}

CONSEQUENCES = {"I4": {"I2"}, "I5": {"I2"}}
"""Damage that other sums must show as well."""


async def failed(books: Books, capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    code = await commands.verify(books.settings)
    found = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.split()[1] == "FAIL"}
    assert code == (1 if found else 0)
    return found


async def test_sound_books_pass(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    await books.ingest(*(usage_event(number) for number in range(5)))
    assert await failed(books, capsys) == set()
    assert "5 events, 0 differ" in await table(books, capsys)


async def table(books: Books, capsys: pytest.CaptureFixture[str]) -> str:
    await commands.verify(books.settings)
    return capsys.readouterr().out


@pytest.mark.parametrize("invariant", DAMAGE)
async def test_damage_is_found(books: Books, capsys: pytest.CaptureFixture[str], invariant: str) -> None:
    await books.ingest(*(usage_event(number) for number in range(5)))
    backup = "usage_events", "ledger_entries", "accounts", "dead_letters", "engine_usage", "usage_days"
    run = books.database.execute
    for name in backup:
        await run(f"create table public.{name}_kept as table billing.{name}")
    try:
        await run("set session_replication_role = replica")  # triggers sleep in this session
        await run(DAMAGE[invariant])
        assert await failed(books, capsys) == {invariant.split()[0]} | CONSEQUENCES.get(invariant, set())
    finally:
        if invariant == "I11":
            await run(
                "create trigger append_only before update or delete or truncate on billing.usage_events "
                "for each statement execute function billing.refuse_change()"
            )
        for name in backup:
            await run(f"delete from billing.{name}")
            await run(f"insert into billing.{name} select * from public.{name}_kept")
            await run(f"drop table public.{name}_kept")
        await run("set session_replication_role = origin")
    assert await failed(books, capsys) == set()
