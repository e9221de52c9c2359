"""`capstan billing`: are the books sound, and how do organizations pay; for who operates the installation.

What is done is done by the services' own commands, which are the same in a cluster.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from tools.cli import parked
from tools.cli.beside import ELSEWHERE, run, told
from tools.cli.money import dollars
from tools.cli.office import URL, office, segment
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import details
from tools.local.problem import Problem

app = typer.Typer(
    help="Billing: are the books sound, and how does an organization pay. On the machine where Capstan runs; an "
    "organization's own admins cannot change how it pays.",
    no_args_is_help=True,
)
credit = typer.Typer(help="What organizations pay in advance.", no_args_is_help=True)
terms = typer.Typer(help="Whether organizations pay in advance, and how far they are trusted.", no_args_is_help=True)
app.add_typer(parked.app, name="parked")
app.add_typer(credit, name="credit")
app.add_typer(terms, name="terms")

VERIFY_HELP = """Check the books of what runs here: twelve invariants, a line or more for each, `ok` or `FAIL`.

\b
I1   the legs of each transaction sum to 0
I2   receivables = amounts of events = what is posted to months
I3   what budgets hold = their open holds; meters have what is posted
I4   one event and one transaction for each request
I5   each amount follows from its tokens and its price
I6   each request that was begun has an event, or was taken back
I7   events have the tokens that engines counted
I8   ... and those that clients were told (--told)
I9   nobody spent more than a hard limit or a credit
I10  statements add up to the events of their months
I11  nothing can be deleted
I12  no event is parked

It changes nothing and can run at any time. Exit status 1: an invariant is violated. `?`: nobody could look.

For example:

capstan billing verify

capstan billing verify --told answers.jsonl
"""

VIOLATED = 1

Organization = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Argument(help="Its id, org-…; your own if left out."),
]


@app.command(help=VERIFY_HELP)
def verify(
    told: Annotated[
        Optional[Path],  # noqa: UP045  # typer
        typer.Option(
            "--told",
            help="A file of what clients were told: a line of JSON for each completed request that was not replayed, "
            "with request_id, prompt_tokens, completion_tokens and, where it was told, cached_tokens.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Gather what the services know, and have billing check it."""
    with one_sentence():
        with tempfile.TemporaryDirectory(prefix="capstan-verify-") as name:
            meters, journals = Path(name) / "meters", Path(name) / "journals"
            options: list[str] = []
            for option, path, service, arguments in (
                ("--meters", meters, "ratelimit", ("audit", "--json")),
                ("--journals", journals, "gateway", ("journal",)),
            ):
                done = run(data_dir, service, arguments)
                if done.returncode == 0:
                    path.write_text(done.stdout)
                    options += [option, str(path)]
                else:
                    print(done.stderr.strip(), file=sys.stderr)
            if told is not None:
                options += ["--told", str(told)]
            done = run(data_dir, "billing", ("verify", *options))
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
        raise typer.Exit(done.returncode and VIOLATED)


@credit.command("show")
def show_credit(organization: Organization = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show what was paid in advance, what was used and what is left."""
    with one_sentence():
        _show(_asked(data_dir, "credit", "show", _known(data_dir, organization)), as_json)


@credit.command("grant")
def grant_credit(
    amount: Annotated[str, typer.Argument(help="US dollars, such as 25 or 0.50.")],
    organization: Organization = None,
    grant_id: Annotated[
        Optional[str],  # noqa: UP045  # typer
        typer.Option("--id", help="Names the payment: the same again enters nothing. Left out: a new one each time."),
    ] = None,
    note: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Enter a payment in advance; it counts within seconds.

    Example: capstan billing credit grant 25 org-… --id invoice-1017
    """
    with one_sentence():
        named = ("--id", grant_id) if grant_id else ()
        where = _known(data_dir, organization)
        _show(_asked(data_dir, "credit", "grant", where, amount, "--note", note, *named), as_json)


@terms.command("show")
def show_terms(organization: Organization = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show how an organization pays."""
    with one_sentence():
        _show(_asked(data_dir, "terms", "show", _known(data_dir, organization)), as_json)


@terms.command("set")
def set_terms(
    organization: Organization = None,
    prepaid: Annotated[
        Optional[bool],  # noqa: UP045  # typer
        typer.Option("--prepaid/--postpaid", help="Serve nothing beyond its credit, or send it statements."),
    ] = None,
    max_exposure: Annotated[
        Optional[str],  # noqa: UP045  # typer
        typer.Option(help="US dollars that each gateway may serve it on trust while money cannot be checked."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change how an organization pays, within seconds; what is not given stays.

    Example: capstan billing terms set org-… --prepaid
    """
    with one_sentence():
        wish = [] if prepaid is None else ["--prepaid" if prepaid else "--postpaid"]
        wish += [] if max_exposure is None else ["--max-exposure", max_exposure]
        if not wish:
            raise Problem("Say what to change: --prepaid, --postpaid or --max-exposure.")
        _show(_asked(data_dir, "terms", "set", _known(data_dir, organization), *wish), as_json)


def _known(data_dir: Path | None, organization: str | None) -> str:
    """Find the organization's id: billing itself would take any. Raises `Problem` when there is none like it."""
    if os.environ.get(URL):
        raise Problem(ELSEWHERE)
    there = office(data_dir)
    found = there.get(f"organizations/{segment(organization)}" if organization else "organization")
    return str(found["id"])


def _asked(data_dir: Path | None, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(told(run(data_dir, "billing", arguments)))
    return answer


def _show(told: dict[str, Any], as_json: bool) -> None:
    lines = [
        ("organization", told["organization_id"]),
        ("pays", "in advance" if told["prepaid"] else "afterwards"),
        ("paid in advance", dollars(int(told["granted_nanousd"]))),
        ("used ever", dollars(int(told["used_nanousd"]))),
        ("left", dollars(int(told["remaining_nanousd"])) if told["prepaid"] else "no limit by credit"),
        ("trusted with", f"{dollars(int(told['max_exposure_nanousd']))} per gateway while money cannot be checked"),
    ]
    details(told, lines, as_json=as_json)
