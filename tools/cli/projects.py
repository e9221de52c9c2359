"""`capstan projects`: what keys, limits and usage belong to."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from tools.cli.office import Json, Office, chosen_project, office, segment
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import details, listed, print_json, show, when
from tools.local.problem import Problem

app = typer.Typer(
    help="Projects: what keys, limits and usage belong to. A project goes by its id (proj_…) or its name.",
    no_args_is_help=True,
)
Moderation = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Option(
        help="off: prompts are not looked at. advisory: looked at and served. required: refused when flagged."
    ),
]
Named = Annotated[str, typer.Argument(help="Its id or name.")]
Models = Optional[list[str]]  # noqa: UP045  # typer


@app.command("list")
def list_projects(
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones too.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the projects of the organization."""
    with one_sentence():
        query = {"include_archived": "true"} if archived else {}
        found = list(office(data_dir).every("organization/projects", **query))
        rows = [
            (one["id"], one["name"], one["status"], one["moderation_policy"], when(one["created_at"])) for one in found
        ]
        headings = ("ID", "NAME", "STATUS", "MODERATION", "CREATED")
        none = "There is no project: make one with `capstan projects create NAME`."
        show(found, headings, rows, as_json=as_json, none=none)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="For people.")],
    moderation: Moderation = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a project. Its first key: `capstan keys create NAME --project ID`."""
    with one_sentence():
        there = office(data_dir)
        _show(there, there.post("organization/projects", {"name": name, "moderation_policy": moderation}), as_json)


@app.command("show")
def show_project(project: Named, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show a project, and which models it may use."""
    with one_sentence():
        there = office(data_dir)
        _show(there, chosen_project(there, project), as_json)


@app.command("set")
def change(
    project: Named,
    name: Annotated[Optional[str], typer.Option(help="A new name.")] = None,  # noqa: UP045  # typer
    moderation: Moderation = None,
    allow_model: Annotated[Models, typer.Option(help="Only this model; may be repeated.")] = None,
    deny_model: Annotated[Models, typer.Option(help="All models but this; may be repeated.")] = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="All models again.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change a project; what is not given stays.

    Example: capstan projects set Web --allow-model capstan-demo --moderation required
    """
    with one_sentence():
        if (allow_model is not None) + (deny_model is not None) + all_models > 1:
            raise Problem("Models are either allowed or denied: give only one of the three options.")
        there = office(data_dir)
        one = chosen_project(there, project)
        path = f"organization/projects/{segment(one['id'])}"
        if name is not None or moderation is not None:
            one = there.post(path, {"name": name, "moderation_policy": moderation})
        if all_models:
            there.delete(f"{path}/model_permissions")
        elif allow_model is not None or deny_model is not None:
            mode = "allow_list" if allow_model is not None else "deny_list"
            there.post(f"{path}/model_permissions", {"mode": mode, "model_ids": allow_model or deny_model})
        _show(there, one, as_json)


@app.command()
def archive(
    project: Named,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """End a project and its keys, for good. What it used stays in the books."""
    with one_sentence():
        there = office(data_dir)
        one = chosen_project(there, project)
        if not yes and not typer.confirm(f"Archive {one['name']} ({one['id']}) for good? Its keys stop working"):
            raise Problem("Nothing was changed.")
        _show(there, there.post(f"organization/projects/{segment(one['id'])}/archive"), as_json)


def _show(there: Office, one: Json, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    models = there.get(f"organization/projects/{segment(one['id'])}/model_permissions")
    names = listed(models["model_ids"], "none")
    denied = f"all but {names}" if models["model_ids"] else "all"
    lines = [
        ("id", one["id"]),
        ("name", one["name"]),
        ("status", one["status"]),
        ("created", when(one["created_at"])),
        ("moderation", one["moderation_policy"]),
        ("models", names if models["mode"] == "allow_list" else denied),
    ]
    details(one, lines, as_json=False)
