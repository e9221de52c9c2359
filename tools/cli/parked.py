"""`capstan billing parked`: usage that billing could not record, and what becomes of it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from tools.cli.beside import run, told
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import details, show, when

app = typer.Typer(
    help="Usage events that could not be recorded, such as those of a model without a price. Nobody is charged for "
    "them until they are tried again.",
    no_args_is_help=True,
)


@app.command("list")
def list_parked(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List what is parked, the oldest first, with the reasons."""
    with one_sentence():
        letters = [json.loads(line) for line in told(run(data_dir, "billing", ("parked", "list"))).splitlines()]
        headings = ("ID", "SINCE", "ORGANIZATION", "MODEL", "TOKENS", "REASON")
        show(letters, headings, map(row, letters), as_json=as_json, none="No event is parked.")


@app.command()
def retry(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Try all again, for example after their model got a price. Exit status 1: some stay parked."""
    with one_sentence():
        done = run(data_dir, "billing", ("parked", "retry"))
        counts = json.loads(done.stdout or told(done))
        details(
            counts,
            [("recorded", f"{counts['recorded']} events"), ("still parked", f"{counts['parked']} events")],
            as_json=as_json,
        )
        raise typer.Exit(done.returncode)


@app.command()
def dismiss(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As the list has it.")],
    reason: Annotated[str, typer.Argument(help="Why nobody shall be charged for it, for who audits the books.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Close one that will never be recorded. It is kept, with the reason.

    Example: capstan billing parked dismiss 3f9a0c11 "sent by a test of ours"
    """
    with one_sentence():
        closed = json.loads(told(run(data_dir, "billing", ("parked", "dismiss", "--", letter_id, reason))))
        details(closed, [(closed["id"], closed["resolution"])], as_json=as_json)


def row(letter: dict[str, Any]) -> tuple[str, ...]:
    """Write one in columns."""
    counts = letter["prompt_tokens"], letter["completion_tokens"]
    since = round(datetime.fromisoformat(letter["parked_time"]).timestamp())
    tokens = "unreadable" if None in counts else f"{counts[0]} + {counts[1]}"
    organization, model, reason = (_printable(letter[name] or "-") for name in ("organization_id", "model", "reason"))
    return letter["id"], when(since), organization, model, tokens, reason


def _printable(text: str) -> str:
    """Show what came from outside as it is, but for what moves a terminal's cursor."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
