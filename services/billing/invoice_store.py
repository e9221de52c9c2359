"""Statements in PostgreSQL: made from the roll-ups, issued once, never reopened.

What arrives for a month whose statement is out goes on the next one, as a line of that earlier month: a statement's
lines of its own month and all later lines of that month together are the month's events, to the nano-dollar.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chassis.errors import CapstanError, Reason
from chassis.postgres import Connection
from chassis.tenancy import Tenancy
from services.billing.invoice import Correction, Invoice, Line
from services.billing.report_store import LINE_ITEM

# What a month's events come to, less what statements said of them already.
_LINES = f"""
with used as (
    select to_char(bucket_time at time zone 'UTC', 'YYYY-MM') as period, project_id, {LINE_ITEM} as item,
        sum(request_count)::bigint as requests, sum(prompt_tokens)::bigint as prompt,
        sum(cached_prompt_tokens)::bigint as cached, sum(completion_tokens)::bigint as completion,
        sum(amount_nanousd)::bigint as amount
    from billing.usage_days where organization_id = $1
        and to_char(bucket_time at time zone 'UTC', 'YYYY-MM') <= $2
    group by 1, 2, 3
), told as (
    select line.period, project_id, item, sum(request_count)::bigint as requests, sum(prompt_tokens)::bigint as prompt,
        sum(cached_prompt_tokens)::bigint as cached, sum(completion_tokens)::bigint as completion,
        sum(amount_nanousd)::bigint as amount
    from billing.invoice_lines as line join billing.invoices as invoice using (invoice_id)
    where invoice.organization_id = $1 group by 1, 2, 3
)
select period, project_id, item, used.requests - coalesce(told.requests, 0), used.prompt - coalesce(told.prompt, 0),
    used.cached - coalesce(told.cached, 0), used.completion - coalesce(told.completion, 0),
    used.amount - coalesce(told.amount, 0)
from used left join told using (period, project_id, item)
where used.requests > coalesce(told.requests, 0)
    and (period = $2 or exists (
        select 1 from billing.invoices where organization_id = $1 and period = used.period))
order by period desc, project_id, item
"""  # noqa: S608 - only our own constants

_CORRECTIONS = """
select correction_id, refers_to, reason, amount_nanousd from billing.corrections as one
where organization_id = $1 and to_char(correct_time at time zone 'UTC', 'YYYY-MM') <= $2
    and not exists (select 1 from billing.invoice_corrections as told where told.correction_id = one.correction_id)
order by correct_time, correction_id
"""

_ISSUE = """
insert into billing.invoices (invoice_id, organization_id, period, issue_time, total_nanousd)
values ($1, $2, $3, $4, $5)
"""

_ISSUE_LINES = """
insert into billing.invoice_lines
    (invoice_id, place, period, project_id, item, request_count, prompt_tokens, cached_prompt_tokens, completion_tokens,
    amount_nanousd, organization_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

_ISSUE_CORRECTION = """
insert into billing.invoice_corrections (correction_id, invoice_id, organization_id) values ($1, $2, $3)
"""

_ISSUED = "select invoice_id, issue_time from billing.invoices where organization_id = $1 and period = $2"

_ISSUED_LINES = """
select period, project_id, item, request_count, prompt_tokens, cached_prompt_tokens, completion_tokens, amount_nanousd
from billing.invoice_lines where invoice_id = $1 order by place
"""

_ISSUED_CORRECTIONS = """
select correction_id, refers_to, reason, amount_nanousd
from billing.corrections join billing.invoice_corrections using (correction_id)
where invoice_id = $1 order by correct_time, correction_id
"""

_CORRECT = """
with made as (
    insert into billing.corrections (correction_id, organization_id, refers_to, reason, amount_nanousd, correct_time)
    values ($1, $2, $3, $4, $5, $6) on conflict (correction_id) do nothing returning *
), entered as (
    insert into billing.ledger_entries (transaction_id, leg, organization_id, account, amount_nanousd)
    select 'correction/' || correction_id, 1, organization_id, 'receivable', amount_nanousd from made
    union all
    select 'correction/' || correction_id, 2, organization_id, 'adjustments', -amount_nanousd from made
), owed as (
    insert into billing.accounts as account
        (organization_id, receivable_nanousd, event_count, prompt_tokens, completion_tokens)
    select organization_id, amount_nanousd, 0, 0, 0 from made
    on conflict (organization_id) do update set
        receivable_nanousd = account.receivable_nanousd + excluded.receivable_nanousd
)
select count(*) from made
"""

_CORRECTED = "select organization_id, amount_nanousd from billing.corrections where correction_id = $1"


class InvoiceStore:
    """Every method raises `CapstanError` (UNAVAILABLE, OVERLOADED)."""

    def __init__(self, tenancy: Tenancy, now: Callable[[], datetime]) -> None:
        self._tenancy = tenancy
        self._now = now

    async def preview(self, organization_id: str, period: str) -> Invoice:
        """Answer the statement of a month: the issued one, or what it would say now."""
        async with self._tenancy.entered(organization_id) as borrowed:
            return await self._found(borrowed, organization_id, period) or await self._made(
                borrowed, organization_id, period, ""
            )

    async def issue(self, invoice_id: str, organization_id: str, period: str) -> Invoice:
        """Issue a month's statement, once; again it is the same. Raises INVALID_ARGUMENT before the month is over."""
        if period >= f"{self._now():%Y-%m}":
            raise CapstanError(Reason.INVALID_ARGUMENT, "the month is not over", param="period")
        async with self._tenancy.entered(organization_id) as borrowed:
            # One statement of an organisation at a time: two would both tell what is late.
            await borrowed.execute("select pg_advisory_xact_lock(hashtext('invoice/' || $1))", organization_id)
            if (issued := await self._found(borrowed, organization_id, period)) is not None:
                return issued
            made = await self._made(borrowed, organization_id, period, invoice_id)
            await borrowed.execute(_ISSUE, invoice_id, organization_id, period, made.issue_time, made.total_nanousd)
            await borrowed.executemany(
                _ISSUE_LINES,
                [
                    (
                        invoice_id,
                        place,
                        line.period,
                        line.project_id,
                        line.item,
                        line.request_count,
                        line.prompt_tokens,
                        line.cached_prompt_tokens,
                        line.completion_tokens,
                        line.amount_nanousd,
                        organization_id,
                    )
                    for place, line in enumerate(made.lines, 1)
                ],
            )
            await borrowed.executemany(
                _ISSUE_CORRECTION,
                [(one.correction_id, invoice_id, organization_id) for one in made.corrections],
            )
        return made

    async def correct(self, organization_id: str, correction: Correction) -> bool:
        """Enter a correction, with its legs; answer whether it is new. Raises OBJECT_CONFLICT as well."""
        async with self._tenancy.entered(organization_id) as borrowed:
            new: int = await borrowed.fetchval(
                _CORRECT,
                correction.correction_id,
                organization_id,
                correction.refers_to,
                correction.reason,
                correction.amount_nanousd,
                self._now(),
            )
            known = await borrowed.fetchrow(_CORRECTED, correction.correction_id)
        if not new and (known is None or tuple(known) != (organization_id, correction.amount_nanousd)):
            raise CapstanError(
                Reason.OBJECT_CONFLICT, "another has this id", object="correction", id=correction.correction_id
            )
        return bool(new)

    async def _made(self, borrowed: Connection, organization_id: str, period: str, invoice_id: str) -> Invoice:
        lines = [Line(*row) for row in await borrowed.fetch(_LINES, organization_id, period)]
        corrections = [Correction(*row) for row in await borrowed.fetch(_CORRECTIONS, organization_id, period)]
        return Invoice(invoice_id, organization_id, period, self._now(), tuple(lines), tuple(corrections))

    async def _found(self, borrowed: Connection, organization_id: str, period: str) -> Invoice | None:
        row = await borrowed.fetchrow(_ISSUED, organization_id, period)
        if row is None:
            return None
        lines = [Line(*line) for line in await borrowed.fetch(_ISSUED_LINES, row["invoice_id"])]
        corrections = [Correction(*one) for one in await borrowed.fetch(_ISSUED_CORRECTIONS, row["invoice_id"])]
        return Invoice(row["invoice_id"], organization_id, period, row["issue_time"], tuple(lines), tuple(corrections))
