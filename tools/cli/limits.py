"""`capstan limits`: what a project may use of each model."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from tools.cli import spending
from tools.cli.office import Json, chosen_project, office, segment
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import print_json, show
from tools.local.problem import Problem

app = typer.Typer(
    help="Rate limits: what a project may use of each model. `*` stands for each model without numbers of its own. "
    "`spend` and `alerts` are about money.",
    no_args_is_help=True,
)
app.add_typer(spending.spend, name="spend")
app.add_typer(spending.alerts, name="alerts")
UNLIMITED = 2**53 - 1
"""How the API says that there is no limit, where it must say a number."""

Project = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Option("--project", "-p", help="Id or name; may be left out where there is only one."),
]
Model = Annotated[str, typer.Argument(help="A model's name, or * for all that have no numbers of their own.")]
Number = Optional[str]  # noqa: UP045  # typer
COLUMNS = (
    ("RPM", "max_requests_per_1_minute"),
    ("TPM", "max_tokens_per_1_minute"),
    ("RPD", "max_requests_per_1_day"),
    ("TPD", "max_tokens_per_1_day"),
    ("AT ONCE", "max_concurrent_requests"),
)


@app.command("list")
def list_limits(project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List what a project may use of each model."""
    with one_sentence():
        there = office(data_dir)
        _show(list(there.every(_path(chosen_project(there, project)))), as_json)


@app.command("show")
def show_limit(model: Model, project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show what a project may use of one model."""
    with one_sentence():
        there = office(data_dir)
        found = [one for one in there.every(_path(chosen_project(there, project))) if one["model"] == model]
        if not found:
            raise Problem(f"No model called {model!r} is served: `capstan limits list` shows those that are.")
        _show(found, as_json)


@app.command("set")
def change(
    model: Model,
    project: Project = None,
    rpm: Annotated[Number, typer.Option(help="Requests a minute.")] = None,
    tpm: Annotated[Number, typer.Option(help="Tokens a minute.")] = None,
    rpd: Annotated[Number, typer.Option(help="Requests a day.")] = None,
    tpd: Annotated[Number, typer.Option(help="Tokens a day.")] = None,
    at_once: Annotated[Number, typer.Option(help="Requests under way at once.")] = None,
    shadow: Annotated[
        Optional[bool],  # noqa: UP045  # typer
        typer.Option("--shadow/--no-shadow", help="Only count and report; refuse nothing."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change what a project may use of a model; what is not given stays, and `none` lifts a limit.

    Example: capstan limits set capstan-demo --rpm 60 --tpm 20000 --rpd none
    """
    with one_sentence():
        given = dict(zip((field for _, field in COLUMNS), (rpm, tpm, rpd, tpd, at_once), strict=True))
        wish: dict[str, Any] = {field: _number(text) for field, text in given.items() if text is not None}
        if shadow is not None:
            wish["shadow"] = shadow
        if not wish:
            raise Problem("Say what to change: --rpm, --tpm, --rpd, --tpd, --at-once or --shadow.")
        there = office(data_dir)
        path = f"{_path(chosen_project(there, project))}/{_id(model)}"
        _show([there.post(path, wish)], as_json)


@app.command()
def reset(model: Model, project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Return to the numbers of the organization."""
    with one_sentence():
        there = office(data_dir)
        done = there.delete(f"{_path(chosen_project(there, project))}/{_id(model)}")
        if as_json:
            print_json(done)
        else:
            print(f"The organization's limits hold for {model} again.")


def _path(project: Json) -> str:
    return f"organization/projects/{segment(project['id'])}/rate_limits"


def _id(model: str) -> str:
    return segment("rl-" + ("" if model == "*" else model))


def _number(text: str) -> int:
    if text == "none":
        return UNLIMITED
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Problem(f"{text!r} is no limit: give a whole number, or `none` to lift it.")
    return int(text)


def _show(found: list[Json], as_json: bool) -> None:
    rows = [
        (
            one["model"],
            *("–" if one[field] in (None, UNLIMITED) else str(one[field]) for _, field in COLUMNS),
            ("the organization's" if one["inherited"] else "its own") + (", shadow" if one["shadow"] else ""),
        )
        for one in found
    ]
    headings = ("MODEL", *(heading for heading, _ in COLUMNS), "WHOSE")
    show(found, headings, rows, as_json=as_json, none="No model is served and no limit is set.")
