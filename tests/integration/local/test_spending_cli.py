"""`capstan usage|costs` and `capstan limits spend|alerts` against the running suite."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlsplit

import pytest

from tests.integration.local.test_admin_cli import as_json, capstan, refused, told
from tests.stack import Stack

PATIENCE_S = 60.0


def ask(stack: Stack, key: str) -> int:
    """Make one chat request; answers its tokens."""
    address = urlsplit(stack.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_S)
    body = {"model": stack.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert response.status == 200, answer
    return int(answer["usage"]["total_tokens"])


def test_usage_and_costs_are_drawn_and_listed(stack: Stack) -> None:
    project = as_json(stack, "projects", "create", "Voyager")["id"]
    key = told(stack, "keys", "create", "cli", "--project", project, "--service-account").strip()
    tokens = ask(stack, key)
    deadline = time.monotonic() + PATIENCE_S
    while f"{tokens:,}" not in (shown := told(stack, "usage", "--days", "2", "-p", project)):
        assert time.monotonic() < deadline, shown
    heading, yesterday, today, blank, columns, row = shown.splitlines()
    assert (heading, yesterday.split()[1], blank) == ("tokens a day (UTC)", "0", "")
    assert today.split()[1] == f"{tokens:,}"
    assert columns.split() == ["MODEL", "REQUESTS", "INPUT", "CACHED", "OUTPUT"]
    assert row.split()[:2] == [stack.model, "1"]
    by_project = told(stack, "usage", "--by", "project", "--days", "1")
    assert f"Voyager ({project})" in by_project
    spent = told(stack, "costs", "--days", "1", "-p", project)
    assert f"{stack.model}, chat completions" in spent
    assert "$0.0000" in spent
    (bucket,) = as_json(stack, "costs", "--days", "1", "-p", project, "--by", "key")["data"]
    assert bucket["results"][0]["amount"]["currency"] == "usd"
    whole = as_json(stack, "usage", "--days", "40")
    assert {kind: len(buckets) for kind, buckets in whole.items()} == dict.fromkeys(
        ("completions", "embeddings", "moderations"), 40
    )


def test_a_terminal_that_is_narrow_or_old_gets_the_same_numbers(stack: Stack) -> None:
    narrow = told(stack, "costs", "--days", "1", COLUMNS="20")
    assert "█" not in narrow
    assert "#" not in narrow
    plain = told(stack, "costs", "--days", "1", PYTHONIOENCODING="ascii")
    assert plain.isascii()


def test_nothing_used_is_said_beside_the_chart(stack: Stack) -> None:
    project = as_json(stack, "projects", "create", "Idle")["id"]
    done = capstan(stack, "costs", "-p", project)
    assert done.returncode == 0
    assert "Nothing was spent in these days." in done.stderr


def test_a_spend_limit_is_set_shown_and_lifted(stack: Stack) -> None:
    project = as_json(stack, "projects", "create", "Pioneer")["id"]
    assert "No such Spend limit" in refused(stack, "limits", "spend", "show", "-p", project)
    made = told(stack, "limits", "spend", "set", "25", "-p", project, "--soft", "20.50")
    lines = dict(line.split(maxsplit=1) for line in made.splitlines())
    assert (lines["limit"], lines["state"]) == ("$25.00 a month", "not reached")
    assert "$20.50" in made
    assert as_json(stack, "limits", "spend", "show", "-p", "Pioneer")["threshold_amount"] == 2500
    assert told(stack, "limits", "spend", "lift", "-p", project).strip() == "There is no limit any more."
    assert "No such Spend limit" in refused(stack, "limits", "spend", "show", "-p", project)


def test_alerts_are_added_listed_and_removed(stack: Stack) -> None:
    project = as_json(stack, "projects", "create", "Mariner")["id"]
    words = ("20", "--to", "a@example.com", "--to", "b@example.com", "-p", project)
    added = told(stack, "limits", "alerts", "add", *words)
    assert "a@example.com, b@example.com" in added
    (alert,) = as_json(stack, "limits", "alerts", "list", "-p", project)["data"]
    assert alert["threshold_amount"] == 2000
    assert capstan(stack, "limits", "alerts", "remove", alert["id"], "-p", project).returncode == 0
    assert as_json(stack, "limits", "alerts", "list", "-p", project)["data"] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("limits", "spend", "set", "much"), "no amount"),
        (("limits", "spend", "set", "0"), "threshold_amount"),
        (("limits", "alerts", "remove", "alert_none"), "No such Spend alert object"),
        (("usage", "-p", "Nowhere"), "Nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(stack: Stack, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(stack, *words)


def test_a_statement_is_a_table_a_sheet_or_a_page(stack: Stack) -> None:
    shown = told(stack, "invoice")
    assert "not issued: it may still change" in shown
    assert shown.splitlines()[2].split() == ["PROJECT", "ITEM", "REQUESTS", "INPUT", "OUTPUT", "AMOUNT"]
    assert told(stack, "invoice", "--format", "csv").startswith("period,project_id,item,")
    assert told(stack, "invoice", "--format", "html").startswith("<!doctype html>")
    assert json.loads(told(stack, "invoice", "--format", "json"))["object"] == "invoice"
    assert "a month is written 2026-11" in refused(stack, "invoice", "soon")
