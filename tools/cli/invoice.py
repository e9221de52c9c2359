"""`capstan invoice`: a month's statement."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any, Literal, Optional

import typer

from tools.cli.money import dollars
from tools.cli.office import Json, office, segment
from tools.cli.sentence import DataDir, one_sentence
from tools.cli.tables import table

Form = Literal["table", "json", "csv", "html"]


def invoice(
    month: Annotated[
        Optional[str],  # noqa: UP045  # typer
        typer.Argument(help="Such as 2026-11; this month if left out."),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", "-f", help="A table, or what programs, spreadsheets and browsers read.")
    ] = "table",
    data_dir: DataDir = None,
) -> None:
    """Show a month's statement: the issued one, or what it would say now.

    For example:

    capstan invoice

    capstan invoice 2026-10 --format html > statement.html
    """
    with one_sentence():
        there = office(data_dir)
        path = f"organization/invoices/{segment(month or time.strftime('%Y-%m', time.gmtime()))}"
        if form == "table":
            print("\n".join(_lines(there.get(path))))
        else:
            sys.stdout.write(there.document(path, format=form))


def _lines(statement: Json) -> list[str]:
    issued = f"issued as {statement['id']}" if statement["id"] else "not issued: it may still change"
    rows = [_row(line) for line in statement["lines"]]
    rows += [
        (one["refers_to"], f"correction: {one['reason']}", "", "", "", dollars(int(one["amount_nanousd"])))
        for one in statement["corrections"]
    ]
    rows.append(("in all", "", "", "", "", dollars(int(statement["total_nanousd"]))))
    headings = ("PROJECT", "ITEM", "REQUESTS", "INPUT", "OUTPUT", "AMOUNT")
    return [f"{statement['organization_id']}, {statement['period']}, {issued}", "", *table(headings, rows)]


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    counts = (f"{line[name]:,}" for name in ("requests", "input_tokens", "output_tokens"))
    return (line["project_id"], line["item"], *counts, dollars(int(line["amount_nanousd"])))
