"""A month's statement for one organisation: what was used, by what was sold, and what it comes to. Pure.

Amounts are nano-dollars; people are shown US dollars with as many decimals as it takes to hide nothing.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

NANO_PER_USD = 10**9


@dataclass(frozen=True, slots=True)
class Line:
    """One position."""

    period: str
    """The month of the requests' starts: the statement's own, or an earlier one for what arrived too late for it."""
    project_id: str
    item: str
    """What was sold, in words."""
    request_count: int
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    amount_nanousd: int


@dataclass(frozen=True, slots=True)
class Correction:
    """An entry that changes what earlier ones came to, and refers to what it corrects."""

    correction_id: str
    refers_to: str
    """A request's or an invoice's id."""
    reason: str
    amount_nanousd: int
    """Negative: in the organisation's favour."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """A statement. Once issued it does not change."""

    invoice_id: str
    """Empty: a preview."""
    organization_id: str
    period: str
    issue_time: datetime
    lines: tuple[Line, ...]
    corrections: tuple[Correction, ...]

    @property
    def total_nanousd(self) -> int:
        """What it comes to."""
        return sum(line.amount_nanousd for line in self.lines) + sum(one.amount_nanousd for one in self.corrections)


def dollars(nanousd: int) -> str:
    """Write an amount in US dollars, exactly; at least two decimals."""
    whole, rest = divmod(abs(nanousd), NANO_PER_USD)
    decimals = f"{rest:09}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanousd < 0 else ''}{whole:,}.{decimals}"


def as_json(invoice: Invoice) -> str:
    """Write it for machines. Amounts are text, because they are exact."""
    document = {
        "object": "invoice",
        "id": invoice.invoice_id or None,
        "organization_id": invoice.organization_id,
        "period": invoice.period,
        "issue_time": invoice.issue_time.isoformat(),
        "currency": "usd",
        "lines": [
            {
                "period": line.period,
                "project_id": line.project_id,
                "item": line.item,
                "requests": line.request_count,
                "input_tokens": line.prompt_tokens,
                "input_cached_tokens": line.cached_prompt_tokens,
                "output_tokens": line.completion_tokens,
                "amount_nanousd": str(line.amount_nanousd),
            }
            for line in invoice.lines
        ],
        "corrections": [
            {
                "id": one.correction_id,
                "refers_to": one.refers_to,
                "reason": one.reason,
                "amount_nanousd": str(one.amount_nanousd),
            }
            for one in invoice.corrections
        ],
        "total_nanousd": str(invoice.total_nanousd),
        "total_usd": dollars(invoice.total_nanousd).replace(",", ""),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


HEADINGS = (
    "period",
    "project_id",
    "item",
    "requests",
    "input_tokens",
    "input_cached_tokens",
    "output_tokens",
    "amount_usd",
)


def as_csv(invoice: Invoice) -> str:
    """Write it for spreadsheets; its last row is the total."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADINGS)
    for row in _rows(invoice):
        writer.writerow([_inert(cell) for cell in row])
    total = dollars(invoice.total_nanousd).replace(",", "")
    writer.writerow([invoice.period, "", "total", "", "", "", "", total])
    return out.getvalue()


def as_html(invoice: Invoice) -> str:
    """Write it for people: one page without anything fetched from elsewhere."""
    title = f"Statement {invoice.period} for {invoice.organization_id}"
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in HEADINGS)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>\n" for row in _rows(invoice)
    )
    number, when = (invoice.invoice_id, "Issued") if invoice.invoice_id else ("preview, not issued", "Made")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 3em auto; max-width: 62em; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .35em .8em; text-align: right; border-bottom: 1px solid #ddd }}
th:nth-child(-n+3), tbody td:nth-child(-n+3), tfoot td:first-child {{ text-align: left }}
td:first-child {{ white-space: nowrap }}
tfoot td {{ font-weight: bold; border-top: 2px solid #222 }}
</style></head><body>
<h1>{html.escape(title)}</h1>
<p>Number: {html.escape(number)}<br>{when}: {invoice.issue_time:%Y-%m-%d %H:%M} UTC<br>All amounts in US dollars.</p>
<table><thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
<tfoot><tr><td colspan="7">Total</td><td>{dollars(invoice.total_nanousd)}</td></tr></tfoot></table>
</body></html>
"""


def _rows(invoice: Invoice) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = [
        (
            line.period,
            line.project_id,
            line.item,
            line.request_count,
            line.prompt_tokens,
            line.cached_prompt_tokens,
            line.completion_tokens,
            dollars(line.amount_nanousd).replace(",", ""),
        )
        for line in invoice.lines
    ]
    rows += [
        (
            invoice.period,
            "",
            f"correction {one.correction_id} of {one.refers_to}: {one.reason}",
            "",
            "",
            "",
            "",
            dollars(one.amount_nanousd).replace(",", ""),
        )
        for one in invoice.corrections
    ]
    return rows


def _inert(cell: object) -> object:
    """Keep a text that begins like a formula from being one in a spreadsheet."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "@", "\t") else cell
