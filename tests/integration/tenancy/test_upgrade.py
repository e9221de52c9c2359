"""What was there before the wall is behind it afterwards, as whose it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import asyncpg

from chassis.postgres import migrate, pool
from chassis.tenancy import Tenancy
from services.billing.commands import MIGRATIONS

BEFORE = """
insert into billing.invoices values ('inv_1', 'org-1', '2026-10', now(), 5), ('inv_2', 'org-2', '2026-10', now(), 7);
insert into billing.invoice_lines values
    ('inv_1', 1, '2026-10', 'proj_1', 'demo', 1, 1, 0, 1, 6), ('inv_2', 1, '2026-10', 'proj_2', 'demo', 1, 1, 0, 1, 7);
insert into billing.corrections values ('c-1', 'org-1', 'inv_1', 'a slow day', -1, now());
insert into billing.invoice_corrections values ('c-1', 'inv_1');
insert into billing.engine_usage values ('req_1', 'req_1', 'replica-1', false, 1, 0, 1, 0, now(), now(), '');
"""


async def test_statements_from_before_the_wall_say_whose_they_are(postgres_dsn: str, tmp_path: Path) -> None:
    for path in sorted(MIGRATIONS.glob("000[1-5]_*.sql")):
        shutil.copy(path, tmp_path)
    await migrate(postgres_dsn, "billing", tmp_path)
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(BEFORE)
    finally:
        await connection.close()
    assert "0006_wall" in await migrate(postgres_dsn, "billing", MIGRATIONS)
    async with pool(postgres_dsn, application_name="test", acquire_timeout_s=10) as connections:
        tenancy = Tenancy(connections, "billing")
        for organization_id, amount, corrections in (("org-1", 6, 1), ("org-2", 7, 0)):
            async with tenancy.entered(organization_id) as borrowed:
                lines = await borrowed.fetch("select amount_nanousd from billing.invoice_lines")
                assert [row[0] for row in lines] == [amount]
                assert await borrowed.fetchval("select count(*) from billing.invoice_corrections") == corrections
                assert await borrowed.fetchval("select count(*) from billing.engine_requests") == 0
        async with tenancy.entered("", "witness") as borrowed:
            assert await borrowed.fetchval("select count(*) from billing.engine_requests") == 1
    connection = await asyncpg.connect(postgres_dsn)
    try:
        asleep = "select count(*) from pg_trigger where tgname = 'append_only' and tgenabled <> 'O'"
        assert await connection.fetchval(asleep) == 0
    finally:
        await connection.close()
