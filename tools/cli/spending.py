"""`capstan limits spend` and `capstan limits alerts`: what may be spent in a month, and who is told when."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Optional

import typer

from tools.cli.money import cents, dollars, of_cents
from tools.cli.office import Office, chosen_project, office, segment
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import details, listed, print_json, show

spend = typer.Typer(
    help="Spend limits: what may be spent in a calendar month (UTC). Without --project it is the organization's. "
    "A request that could exceed one is refused before it costs anything.",
    no_args_is_help=True,
)
alerts = typer.Typer(
    help="Spend alerts: who is told, once a month, when spending reaches a threshold. Without --project they are the "
    "organization's.",
    no_args_is_help=True,
)
MONTHLY: dict[str, Any] = {"currency": "USD", "interval": "month"}

Project = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Option("--project", "-p", help="Id or name of a project; left out: the organization."),
]
Amount = Annotated[str, typer.Argument(help="US dollars a month, such as 25 or 0.50.")]


@spend.command("show")
def show_limit(project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show the limit and what was spent of it this month."""
    with one_sentence():
        there = office(data_dir)
        _show(there.get(f"{_place(there, project)}/spend_limit"), as_json)


@spend.command("set")
def set_limit(
    amount: Amount,
    project: Project = None,
    soft: Annotated[
        Optional[str],  # noqa: UP045  # typer
        typer.Option(help="US dollars from where on somebody is told; nothing is refused by it."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Set the limit; it holds within seconds and replaces the one there was.

    Example: capstan limits spend set 25 --project Apollo --soft 20
    """
    with one_sentence():
        wish = MONTHLY | {"threshold_amount": cents(amount)}
        if soft is not None:
            wish["soft_threshold_amount"] = cents(soft)
        there = office(data_dir)
        _show(there.post(f"{_place(there, project)}/spend_limit", wish), as_json)


@spend.command("lift")
def lift_limit(project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Take the limit away."""
    with one_sentence():
        there = office(data_dir)
        done = there.delete(f"{_place(there, project)}/spend_limit")
        if as_json:
            print_json(done)
        else:
            print("There is no limit any more.")


@alerts.command("list")
def list_alerts(project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the alerts."""
    with one_sentence():
        there = office(data_dir)
        _show_alerts(list(there.every(f"{_place(there, project)}/spend_alerts")), as_json)


@alerts.command("add")
def add_alert(
    amount: Amount,
    to: Annotated[
        Optional[list[str]],  # noqa: UP045  # typer
        typer.Option("--to", help="Address that the webhook is given; may be said several times."),
    ] = None,
    project: Project = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Tell somebody when spending reaches an amount. The installation's webhook gets it, with the addresses.

    Example: capstan limits alerts add 20 --to finance@example.com --project Apollo
    """
    with one_sentence():
        channel = {"type": "email", "recipients": list(to or [])}
        wish = MONTHLY | {"threshold_amount": cents(amount), "notification_channel": channel}
        there = office(data_dir)
        _show_alerts([there.post(f"{_place(there, project)}/spend_alerts", wish)], as_json)


@alerts.command("remove")
def remove_alert(
    alert_id: Annotated[str, typer.Argument(help="Id of the alert: alert_…")],
    project: Project = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Take an alert away."""
    with one_sentence():
        there = office(data_dir)
        done = there.delete(f"{_place(there, project)}/spend_alerts/{segment(alert_id)}")
        if as_json:
            print_json(done)
        else:
            print(f"{alert_id} is gone.", file=sys.stderr)


def _place(there: Office, project: str | None) -> str:
    if project is None:
        return "organization"
    return f"organization/projects/{segment(chosen_project(there, project)['id'])}"


def _show(limit: dict[str, Any], as_json: bool) -> None:
    soft = limit["soft_threshold_amount"]
    refuses = limit["enforcement"]["status"] == "enforcing"
    lines = [
        ("limit", f"{of_cents(limit['threshold_amount'])} a month"),
        ("told at", "–" if soft is None else of_cents(soft)),
        ("spent", f"{dollars(int(limit['spent_nanousd']))} in {limit['period']}"),
        ("state", "reached: requests are refused" if refuses else "not reached"),
    ]
    details(limit, lines, as_json=as_json)


def _show_alerts(found: list[dict[str, Any]], as_json: bool) -> None:
    rows = [
        (one["id"], of_cents(one["threshold_amount"]), listed(one["notification_channel"]["recipients"], "–"))
        for one in found
    ]
    show(found, ("ID", "AT", "TELLS"), rows, as_json=as_json, none="There is no alert.")
