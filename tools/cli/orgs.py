"""`capstan orgs`: organisations, for who operates the installation."""

from __future__ import annotations

import sys
from typing import Annotated, Optional

import typer

from tools.cli.office import Json, office, segment
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import details, print_json, show, when

app = typer.Typer(
    help="Organizations: each with projects, users and limits of its own, and nobody in one sees another.\n\n"
    "Making and changing them needs the operator's admin key, which the first start made.",
    no_args_is_help=True,
)
Tier = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Option(help="How much it may use: free, 1 to 5, or local (no limits)."),
]


@app.command("list")
def list_organizations(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List all organizations."""
    with one_sentence():
        found = list(office(data_dir).every("organizations"))
        rows = [(one["id"], one["name"], one["tier"], when(one["created_at"])) for one in found]
        show(found, ("ID", "NAME", "TIER", "CREATED"), rows, as_json=as_json, none="There is no organization.")


@app.command("show")
def show_organization(
    organization: Annotated[Optional[str], typer.Argument(help="Its id; your own if left out.")] = None,  # noqa: UP045  # typer
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show an organization; without an id your own."""
    with one_sentence():
        there = office(data_dir)
        path = f"organizations/{segment(organization)}" if organization else "organization"
        _show(there.get(path), as_json=as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="For people.")],
    tier: Tier = None,
    owner_email: Annotated[Optional[str], typer.Option(help="Of its first owner.")] = None,  # noqa: UP045  # typer
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make an organization, and print the admin key of its first owner this one time.

    Example: CAPSTAN_ADMIN_KEY=$(capstan orgs create Acme --tier 2) capstan projects create Web
    """
    with one_sentence():
        wish = {"name": name, "tier": tier, "owner_email": owner_email}
        made = office(data_dir).post("organizations", wish)
        if as_json:
            print_json(made)
            return
        print(f"Made {made['name']} ({made['id']}, tier {made['tier']}). Its admin key, shown once:", file=sys.stderr)
        print(made["admin_api_key"]["value"])


@app.command("set")
def change(
    organization: Annotated[str, typer.Argument(help="Its id.")],
    name: Annotated[Optional[str], typer.Option(help="A new name.")] = None,  # noqa: UP045  # typer
    tier: Tier = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change an organization's name or tier; what is not given stays."""
    with one_sentence():
        wish = {"name": name, "tier": tier}
        _show(office(data_dir).post(f"organizations/{segment(organization)}", wish), as_json=as_json)


def _show(one: Json, *, as_json: bool) -> None:
    lines = (("id", one["id"]), ("name", one["name"]), ("tier", one["tier"]), ("created", when(one["created_at"])))
    details(one, lines, as_json=as_json)
