"""`capstan keys`: what programs call the API with."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Optional

import typer

from tools.cli.office import Json, Office, chosen_project, office, segment
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.spans import seconds
from tools.cli.tables import details, listed, print_json, show, when
from tools.local.problem import Problem

app = typer.Typer(
    help="Keys of projects: made, restricted, followed up and revoked. A key itself is shown once, when it is made.",
    no_args_is_help=True,
)
Project = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Option("--project", "-p", help="Id or name; may be left out where there is only one."),
]
Key = Annotated[str, typer.Argument(help="Its id, key_…")]
Text = Optional[str]  # noqa: UP045  # typer
Texts = Optional[list[str]]  # noqa: UP045  # typer
Scopes = Annotated[
    Texts, typer.Option("--scope", help="Only this: model.request, api.model.read, api.all.read …; may be repeated.")
]
OnlyModels = Annotated[Texts, typer.Option("--model", help="Only this model; may be repeated.")]
Networks = Annotated[Texts, typer.Option("--ip", help="Only from this network, e.g. 10.0.0.0/8; may be repeated.")]
Expires = Annotated[Text, typer.Option("--expires", help="From now on: 90s, 15m, 12h, 30d, 2w. Default: never.")]


@app.command("list")
def list_keys(project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the keys of a project."""
    with one_sentence():
        there = office(data_dir)
        found = list(there.every(_path(chosen_project(there, project))))
        rows = [
            (
                key["id"],
                key["name"],
                key["redacted_value"],
                _owner(key),
                listed(key["scopes"], "all"),
                when(key["last_used_at"]),
                when(key["expires_at"]),
            )
            for key in found
        ]
        headings = ("ID", "NAME", "KEY", "OWNER", "SCOPES", "LAST USED", "EXPIRES")
        show(found, headings, rows, as_json=as_json, none="There is no key: make one with `capstan keys create NAME`.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="For people.")],
    project: Project = None,
    service_account: Annotated[
        bool, typer.Option("--service-account", help="Of a new service account of that name, not of a person.")
    ] = False,
    user: Annotated[Text, typer.Option(help="Whose key, user-…; yours if left out.")] = None,
    scope: Scopes = None,
    model: OnlyModels = None,
    ip: Networks = None,
    expires: Expires = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, this one time.

    Example: OPENAI_API_KEY=$(capstan keys create ci --service-account --scope model.request --expires 30d)
    """
    with one_sentence():
        if service_account and user:
            raise Problem("A key is a person's or a service account's: give --user or --service-account.")
        there = office(data_dir)
        of = chosen_project(there, project)
        limited = _restrictions(scope, model, ip, expires)
        if service_account:
            accounts = f"organization/projects/{segment(of['id'])}/service_accounts"
            account = there.post(accounts, {"name": name, "create_service_account_only": True})
            there.post(f"{accounts}/{segment(account['id'])}", {"role": "member"})
            made = there.post(f"{accounts}/{segment(account['id'])}/api_keys", {"name": name} | limited)
        else:
            made = there.post(_path(of), {"name": name, "user_id": user} | limited)
        _show_value(made, f"Made {made['name']} ({made['id']}) of project {of['name']}.", as_json)


@app.command("show")
def show_key(key: Key, project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show a key and what it may do."""
    with one_sentence():
        _, one = _found(office(data_dir), key, project)
        _show(one, as_json)


@app.command("set")
def change(
    key: Key,
    project: Project = None,
    name: Annotated[Text, typer.Option(help="A new name.")] = None,
    scope: Scopes = None,
    model: OnlyModels = None,
    ip: Networks = None,
    expires: Expires = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change what a key may do; what is not given stays.

    Example: capstan keys set key_… --scope api.all.read --ip 10.0.0.0/8
    """
    with one_sentence():
        there = office(data_dir)
        path, _ = _found(there, key, project)
        _show(there.post(path, {"name": name} | _restrictions(scope, model, ip, expires)), as_json)


@app.command()
def rotate(
    key: Key,
    project: Project = None,
    overlap: Annotated[Text, typer.Option(help="How long the former goes on working, e.g. 1h. Default: not.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key that follows another up, with the same restrictions, and print it this one time."""
    with one_sentence():
        there = office(data_dir)
        path, former = _found(there, key, project)
        wish = {"overlap_seconds": seconds(overlap) if overlap else None}
        made = there.post(f"{path}/rotate", wish)
        left = f"goes on for {overlap}" if overlap else "works no more"
        _show_value(made, f"Made {made['id']}; {former['id']} {left}.", as_json)


@app.command()
def revoke(key: Key, project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """End a key at once, everywhere."""
    with one_sentence():
        there = office(data_dir)
        path, one = _found(there, key, project)
        done = there.delete(path)
        if as_json:
            print_json(done)
        else:
            print(f"{one['name']} ({one['id']}) works no more.")


def _path(project: Json) -> str:
    return f"organization/projects/{segment(project['id'])}/api_keys"


def _found(there: Office, key_id: str, project: str | None) -> tuple[str, Json]:
    """Find a key, in all projects unless one is named; answers its path and itself."""
    projects = [chosen_project(there, project)] if project else list(there.every("organization/projects"))
    for one in projects:
        for key in there.every(_path(one)):
            if key["id"] == key_id:
                return f"{_path(one)}/{segment(key_id)}", key
    raise Problem(f"There is no key {key_id}: `capstan keys list` shows those there are.")


def _restrictions(
    scopes: list[str] | None, models: list[str] | None, networks: list[str] | None, expires: str | None
) -> dict[str, Any]:
    return {
        "scopes": scopes,
        "allowed_models": models,
        "allowed_ips": networks,
        "expires_in_seconds": seconds(expires) if expires else None,
    }


def _owner(key: Json) -> str:
    owner = key["owner"]
    whose = owner[owner["type"]]["name"]
    return f"{whose}{'' if key['owner_project_access'] == 'active' else ' (no access)'}"


def _show(key: Json, as_json: bool) -> None:
    lines = [
        ("id", key["id"]),
        ("name", key["name"]),
        ("key", key["redacted_value"]),
        ("owner", _owner(key)),
        ("scopes", listed(key["scopes"], "all")),
        ("models", listed(key["allowed_models"], "all that the project may use")),
        ("from", listed(key["allowed_ips"], "everywhere")),
        ("created", when(key["created_at"])),
        ("last used", when(key["last_used_at"])),
        ("expires", when(key["expires_at"])),
    ]
    details(key, lines, as_json=as_json)


def _show_value(made: Json, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    print(f"{sentence} Shown once:", file=sys.stderr)
    print(made["value"])
