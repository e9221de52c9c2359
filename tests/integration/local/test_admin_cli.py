"""`capstan orgs|projects|keys|limits|usage|costs` against the suite, whose address and key they find by themselves."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.stack import Stack
from tools.local.launch import ROOT, import_path

TIMEOUT_S = 120


def capstan(stack: Stack | None, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CAPSTAN_")}
    where = {"CAPSTAN_DATA_DIR": str(stack.folder.root)} if stack else {}
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", *words],
        cwd=ROOT,
        env=clean | {"PYTHONPATH": import_path(), "COLUMNS": "200"} | where | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def told(stack: Stack, *words: str, **environment: str) -> str:
    done = capstan(stack, *words, **environment)
    assert done.returncode == 0, done
    return done.stdout


def as_json(stack: Stack, *words: str) -> Any:
    return json.loads(told(stack, *words, "--json"))


def refused(stack: Stack | None, *words: str, **environment: str) -> str:
    """The one sentence of a command that fails."""
    done = capstan(stack, *words, **environment)
    assert (done.returncode, done.stdout) == (1, ""), done
    (line,) = done.stderr.strip().splitlines()
    return line


def works(stack: Stack, key: str) -> bool:
    address = urlsplit(stack.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)
    connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
    status = connection.getresponse().status
    connection.close()
    assert status in (200, 401)
    return status == 200


def test_a_project_from_its_first_to_its_last_day(stack: Stack) -> None:
    made = as_json(stack, "projects", "create", "Apollo-8")
    headings, *rows = told(stack, "projects", "list").splitlines()
    assert headings.split() == ["ID", "NAME", "STATUS", "MODERATION", "CREATED"]
    assert [row.split()[1] for row in rows if row.startswith(made["id"])] == ["Apollo-8"]
    shown = told(stack, "projects", "set", "Apollo-8", "--deny-model", "gpt-none", "--moderation", "advisory")
    lines = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert (lines["moderation"], lines["models"]) == ("advisory", "all but gpt-none")
    assert "all" in told(stack, "projects", "set", made["id"], "--all-models")
    assert as_json(stack, "projects", "archive", "Apollo-8", "--yes")["status"] == "archived"
    assert made["id"] not in told(stack, "projects", "list")
    assert made["id"] in told(stack, "projects", "list", "--archived")


def test_a_key_is_made_restricted_followed_up_and_revoked(stack: Stack) -> None:
    project = as_json(stack, "projects", "create", "Gemini 8")["id"]
    words = ("ci", "--project", project, "--service-account", "--scope", "api.model.read", "--expires", "30d")
    value = told(stack, "keys", "create", *words).strip()
    assert value.startswith("sk-svcacct-")
    assert works(stack, value)
    (key,) = as_json(stack, "keys", "list", "--project", "Gemini 8")["data"]
    assert key["scopes"] == ["api.model.read"]
    table = told(stack, "keys", "list", "-p", project)
    assert key["redacted_value"] in table
    assert value not in table
    assert "10.0.0.0/8" in told(stack, "keys", "set", key["id"], "--ip", "10.0.0.0/8", "--ip", "127.0.0.0/8")
    second = told(stack, "keys", "rotate", key["id"], "--overlap", "1h").strip()
    assert works(stack, value)
    assert works(stack, second)
    told(stack, "keys", "revoke", key["id"])
    assert not works(stack, value)
    assert works(stack, second)


def test_a_persons_key_belongs_to_whoever_asks(stack: Stack) -> None:
    project = as_json(stack, "projects", "create", "Mercury")["id"]
    made = as_json(stack, "keys", "create", "mine", "--project", project)
    assert made["value"].startswith("sk-proj-")
    shown = told(stack, "keys", "show", made["id"])
    assert "all that the project may use" in shown
    assert made["value"] not in shown


def test_limits_are_shown_set_and_reset(stack: Stack) -> None:
    project = as_json(stack, "projects", "create", "Skylab")["id"]
    table = told(stack, "limits", "list", "--project", project)
    assert stack.model in table
    changed = told(stack, "limits", "set", stack.model, "-p", project, "--rpm", "60", "--tpd", "5000", "--shadow")
    assert changed.splitlines()[1].split()[1] == "60"
    assert "its own, shadow" in changed
    lifted = as_json(stack, "limits", "set", stack.model, "-p", project, "--tpd", "none")
    assert lifted["data"][0]["max_tokens_per_1_day"] is None
    told(stack, "limits", "reset", stack.model, "-p", project)
    (limit,) = as_json(stack, "limits", "show", stack.model, "-p", project)["data"]
    assert limit["inherited"] is True


def test_an_organization_is_made_and_administered_with_its_own_key(stack: Stack) -> None:
    made = capstan(stack, "orgs", "create", "Acme", "--tier", "2")
    assert made.returncode == 0, made
    key = made.stdout.strip()
    assert key.startswith("sk-admin-")
    own = told(stack, "orgs", "show", CAPSTAN_ADMIN_KEY=key)
    assert "Acme" in own
    organization = own.split()[1]
    assert "3" in told(stack, "orgs", "set", organization, "--tier", "3").split()
    assert "Acme" in told(stack, "orgs", "list")
    elsewhere = capstan(None, "projects", "list", CAPSTAN_ADMIN_URL=stack.admin_url, CAPSTAN_ADMIN_KEY=key)
    assert (elsewhere.returncode, elsewhere.stdout) == (0, "")
    assert "There is no project" in elsewhere.stderr
    assert refused(stack, "orgs", "list", CAPSTAN_ADMIN_KEY=key)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("projects", "show", "Nowhere"), "No active project is called 'Nowhere'"),
        (("projects", "show", "proj_none"), "No such Project object: proj_none"),
        (("projects", "create", ""), "Invalid 'name'"),
        (("projects", "create", "x", "--moderation", "maybe"), "Supported values are: 'off'"),
        (("projects", "set", "x", "--all-models", "--allow-model", "y"), "give only one"),
        (("keys", "revoke", "key_none"), "There is no key key_none"),
        (("keys", "create", "x", "--expires", "soon"), "'soon' is no span of time"),
        (("limits", "set", "capstan-demo"), "Say what to change"),
        (("limits", "set", "capstan-demo", "--rpm", "many"), "'many' is no limit"),
        (("orgs", "set", "org-none", "--tier", "gold"), "Supported values are"),
    ],
)
def test_what_is_wrong_is_one_sentence(stack: Stack, words: tuple[str, ...], sentence: str) -> None:
    if words[:2] == ("projects", "set"):
        as_json(stack, "projects", "create", "x")
    if words[0] in ("keys", "limits") and words[1] != "revoke":
        words = (*words, "--project", as_json(stack, "projects", "create", "Vostok")["id"])
    assert sentence in refused(stack, *words)


def test_without_an_installation_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    assert "capstan up" in refused(None, "projects", "list", CAPSTAN_DATA_DIR=str(tmp_path))
    alone = refused(None, "projects", "list", CAPSTAN_ADMIN_URL="http://127.0.0.1:1/v1")
    assert "CAPSTAN_ADMIN_KEY is not" in alone
    nobody = {"CAPSTAN_ADMIN_URL": "http://127.0.0.1:1/v1", "CAPSTAN_ADMIN_KEY": "sk-admin-x"}
    assert "Nobody answers" in refused(None, "projects", "list", **nobody)
    assert "is no address" in refused(None, "projects", "list", **nobody | {"CAPSTAN_ADMIN_URL": "here"})


@pytest.mark.parametrize("noun", ["orgs", "projects", "keys", "limits"])
def test_help_says_what_there_is_and_shows_an_example(noun: str) -> None:
    text = capstan(None, noun, "--help")
    assert text.returncode == 0
    assert "list" in text.stdout
    assert "show" in text.stdout
    change = capstan(None, noun, "set", "--help").stdout
    assert "stays" in change
