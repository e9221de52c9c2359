"""From the roster to what the supervisor runs: stores, migrations, the first key, services."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tools.local import first_key, footing, secret_files
from tools.local.folder import DataFolder
from tools.local.launch import import_path
from tools.local.layout import Layout
from tools.local.plan import Plan
from tools.local.problem import Problem
from tools.local.replica_probe import ReplicaProbe
from tools.local.roster import DOOR, GRACE_S, ROUTER, SECRETS, Service, refuse_bad_model, services
from tools.local.stores import Store, death_arguments, plain_environment
from tools.local.unit import Answer, HttpProbe, Probe, Unit

STORES, TASKS = 0, 1
"""Tiers below the services': what is stopped last."""
FIRST_KEY = "first-key"
STOP_SLACK_S = 5.0
"""From the end of a service's own grace to SIGKILL."""


def units(plan: Plan, folder: DataFolder, lifeline: int) -> list[Unit]:
    """Everything that runs, in the order in which it is shown; `lifeline` ends when the supervisor does.

    Raises:
        Problem: the model cannot be one, or the database's secrets are lost.
    """
    refuse_bad_model(plan.model)
    layout = Layout(plan, folder)
    for name in SECRETS:
        refuse_lost_secret(folder, name)
        secret_files.keep(folder.secrets / name)
    everyone = services(layout)
    return [
        _store(layout, "postgres", layout.postgres, layout.postgres.sockets),
        _store(layout, "valkey", layout.valkey, layout.valkey.socket),
        *(_migration(layout, service) for service in everyone if service.migrates),
        _first_key(layout, next(service for service in everyone if service.name == "auth")),
        *(_server(layout, service, lifeline) for service in everyone),
    ]


def refuse_lost_secret(folder: DataFolder, name: str) -> None:
    """Raise `Problem` if there is a database and no secret: a new one would make every key in it invalid, silently."""
    if (folder.postgres / "PG_VERSION").exists() and not (folder.secrets / name).exists():
        raise Problem(
            f"{folder.secrets / name} is missing and no key in the database is valid without it: put it back, or "
            f"start anew by removing {folder.root}."
        )


def probes(folder: DataFolder) -> dict[str, Probe]:
    """How to ask each process whether it is ready, for whoever is not the supervisor."""
    layout = Layout(Plan(folder.root, model=""), folder)
    found: dict[str, Probe] = {service.name: _probe(layout, service) for service in services(layout)}
    return found | {"postgres": _asking(layout.postgres), "valkey": _asking(layout.valkey)}


def environment(layout: Layout, service: Service, more: Mapping[str, str]) -> dict[str, str]:
    """Of a service: the user's own, ours, then what the user and the plan say about this service."""
    ours = {f"{service.prefix}{name}": value for name, value in (dict(service.settings) | dict(more)).items()}
    others = {name: value for name, value in os.environ.items() if not name.startswith("CAPSTAN_")}
    said = dict(os.environ) | layout.plan.environment
    theirs = {name: value for name, value in said.items() if name.startswith(service.prefix)}
    return others | {"PYTHONPATH": import_path(), "PYTHONUNBUFFERED": "1"} | ours | theirs


def _store(layout: Layout, name: str, store: Store, socket: Path) -> Unit:
    return Unit(
        name,
        store.command,
        plain_environment(),
        layout.folder.logs / f"{name}.log",
        tier=STORES,
        prepare=store.prepare,
        probe=_asking(store),
        stop_signal=store.stop_signal,
        grace_s=30.0,
        hurried_grace_s=10.0,
        endpoint=layout.shown(socket),
    )


def _asking(store: Store) -> Probe:
    return lambda: Answer(store.is_ready(), "its server to answer", store.version)


def _migration(layout: Layout, service: Service) -> Unit:
    name = service.migration
    return Unit(
        name,
        partial(_python, ("-m", service.module, "migrate")),
        environment(layout, service, {"LOG_FORMAT": "text"}),
        layout.folder.logs / f"{name}.log",
        after=("postgres",),
        tier=TASKS,
        once=True,
    )


def _first_key(layout: Layout, auth: Service) -> Unit:
    return Unit(
        FIRST_KEY,
        partial(_python, ("-m", first_key.__name__, str(layout.folder.api_key), str(layout.folder.admin_key))),
        environment(layout, auth, {"LOG_FORMAT": "text"}),
        layout.folder.logs / f"{FIRST_KEY}.log",
        after=(auth.migration,),
        tier=TASKS,
        once=True,
    )


def _server(layout: Layout, service: Service, lifeline: int) -> Unit:
    ops = layout.ops_socket(service.name)
    settings = {
        "LISTEN": layout.address(service.name),
        "OPS_LISTEN": f"unix:{ops}",
        "LOG_FORMAT": "text",
        "GRACE_S": str(GRACE_S),
        "PARENT_FD": str(lifeline),
    }
    return Unit(
        service.name,
        partial(_python, ("-m", service.module)),
        environment(layout, service, settings),
        layout.folder.logs / f"{service.name}.log",
        after=((service.migration,) if service.migrates else ()) + service.after,
        tier=service.tier,
        prepare=partial(_make_folders, service.folders),
        probe=_probe(layout, service),
        grace_s=GRACE_S + STOP_SLACK_S,
        patience_s=service.patience_s,
        endpoint=layout.plan.base_url if service.tier == DOOR else layout.shown(layout.socket(service.name)),
        hint=service.hint,
    )


def _probe(layout: Layout, service: Service) -> Probe:
    own = HttpProbe(layout.ops_socket(service.name))
    return ReplicaProbe(service.name, own, layout.ops_socket(ROUTER)) if service.replica else own


def _python(arguments: Sequence[str], parent: int) -> tuple[str, ...]:
    return footing.command(death_arguments(signal.SIGTERM, parent), (sys.executable, *arguments))


def _make_folders(folders: Sequence[Path]) -> None:
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
