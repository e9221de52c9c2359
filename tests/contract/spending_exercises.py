"""How the SDK drives usage, costs, spend limits and alerts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.contract.administration import own
from tests.contract.suite import Suite

Exercise = Callable[[Suite, OpenAI, str], None]
SPENDING: dict[str, tuple[Exercise, frozenset[str]]] = {}

DAY_S = 86_400
HARD: dict[str, Any] = {"currency": "USD", "interval": "month"}
MAIL = {"type": "email", "recipients": ["finance@example.com"], "subject_prefix": "Spending"}


def _exercises(*operation_ids: str) -> Callable[[Exercise], Exercise]:
    def register(exercise: Exercise) -> Exercise:
        SPENDING[exercise.__name__] = (exercise, frozenset(operation_ids))
        return exercise

    return register


def _gone(call: Callable[[], object]) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        call()
    assert refusal.value.param == "id"


def _midnight() -> int:
    return int(time.time()) // DAY_S * DAY_S


USAGES = (
    "completions",
    "embeddings",
    "moderations",
    "audio_speeches",
    "audio_transcriptions",
    "images",
    "vector_stores",
    "code_interpreter_sessions",
    "file_search_calls",
    "web_search_calls",
)


@_exercises(*(f"usage-{name.replace('_', '-')}" for name in USAGES))
def usage(_suite: Suite, client: OpenAI, project_id: str) -> None:
    start = _midnight() - 9 * DAY_S
    for name in USAGES:
        ask = getattr(client.admin.organization.usage, name)
        first = ask(start_time=start, end_time=start + 9 * DAY_S, project_ids=[project_id])
        assert [bucket.start_time for bucket in first.data] == [start + day * DAY_S for day in range(7)]
        assert first.has_more
        second = ask(start_time=start, end_time=start + 9 * DAY_S, project_ids=[project_id], page=first.next_page)
        assert (len(second.data), second.has_more, second.next_page) == (2, False, None)
        assert [bucket.results for bucket in first.data + second.data] == [[]] * 9
        hours = ask(start_time=start, end_time=start + DAY_S, bucket_width="1h", limit=3, group_by=["project_id"])
        assert [bucket.end_time for bucket in hours.data] == [start + 3600 * hour for hour in (1, 2, 3)]


@_exercises("usage-costs")
def costs(_suite: Suite, client: OpenAI, project_id: str) -> None:
    start = _midnight() - 200 * DAY_S
    ask = client.admin.organization.usage.costs
    groups: Any = ["project_id", "line_item", "api_key_id"]
    first = ask(start_time=start, limit=180, project_ids=[project_id], api_key_ids=["key_none"], group_by=groups)
    assert len(first.data) == 180
    assert first.has_more
    rest = ask(start_time=start, limit=180, project_ids=[project_id], page=first.next_page)
    assert not rest.has_more
    assert all(not bucket.results for bucket in first.data + rest.data)


def _exercise_limit(api: Any, *place: str) -> None:
    _gone(lambda: api.retrieve(*place))
    _gone(lambda: api.delete(*place))
    made = api.update(*place, threshold_amount=125, **HARD)
    assert (made.threshold_amount, made.enforcement.status) == (125, "inactive")
    assert made.model_extra["spent_nanousd"] == "0"
    assert api.retrieve(*place) == made
    again = api.update(*place, threshold_amount=250, **HARD, extra_body={"soft_threshold_amount": 100})
    assert (again.threshold_amount, again.model_extra["soft_threshold_amount"]) == (250, 100)
    assert api.delete(*place).deleted
    _gone(lambda: api.retrieve(*place))


@_exercises("Getprojectspendlimit", "Updateprojectspendlimit", "Deleteprojectspendlimit")
def project_spend_limit(_suite: Suite, client: OpenAI, project_id: str) -> None:
    _exercise_limit(client.admin.organization.projects.spend_limit, project_id)


@_exercises("Getorganizationspendlimit", "Updateorganizationspendlimit", "Deleteorganizationspendlimit")
def organization_spend_limit(_suite: Suite, client: OpenAI, _project_id: str) -> None:
    # Of the first organisation, which other tests use: so high that none of them meets it.
    api = client.admin.organization.spend_limit
    _gone(api.retrieve)
    made = api.update(threshold_amount=900_000_000, **HARD)
    assert (made.threshold_amount, made.enforcement.status) == (900_000_000, "inactive")
    assert api.retrieve().threshold_amount == 900_000_000
    assert api.delete().deleted
    _gone(api.retrieve)


def _exercise_alerts(suite: Suite, api: Any, *place: str) -> None:
    named = {"project_id": place[0]} if place else {}
    made = [
        api.create(*place, threshold_amount=100 * number, **HARD, notification_channel=MAIL) for number in range(1, 4)
    ]
    assert made[0].notification_channel.recipients == ["finance@example.com"]
    assert api.retrieve(made[0].id, **named) == made[0]
    changed = api.update(
        made[0].id,
        **named,
        threshold_amount=5,
        **HARD,
        notification_channel={"type": "email", "recipients": []},
    )
    assert (changed.threshold_amount, changed.notification_channel.subject_prefix) == (5, None)
    ids = [alert.id for alert in made]
    assert [alert.id for alert in api.list(*place, limit=1)] == ids
    assert [alert.id for alert in api.list(*place, limit=2, order="desc")] == ids[::-1]
    assert [alert.id for alert in api.list(*place, before=ids[2], limit=1).data] == [ids[1]]
    assert api.delete(made[0].id, **named).deleted
    _gone(lambda: api.retrieve(made[0].id, **named))
    assert list(api.list(*place, after=made[0].id)) == []
    for alert in made[1:]:
        api.delete(alert.id, **named)
    resource = place[0] if place else own(suite, "GET", "organization")["id"]
    event = f"{'project' if place else 'organization'}.updated"
    entry = own(suite, "GET", f"organization/audit_logs?resource_ids[]={resource}&event_types[]={event}&limit=1")
    change = entry["data"][0][event]["changes_requested"]["spending"]
    assert change == {"setting": ids[2], "threshold_nanousd": None, "soft_nanousd": None}


@_exercises(
    "list-project-spend-alerts",
    "create-project-spend-alert",
    "retrieve-project-spend-alert",
    "update-project-spend-alert",
    "delete-project-spend-alert",
)
def project_spend_alerts(suite: Suite, client: OpenAI, project_id: str) -> None:
    _exercise_alerts(suite, client.admin.organization.projects.spend_alerts, project_id)


@_exercises(
    "list-organization-spend-alerts",
    "create-organization-spend-alert",
    "retrieve-organization-spend-alert",
    "update-organization-spend-alert",
    "delete-organization-spend-alert",
)
def organization_spend_alerts(suite: Suite, client: OpenAI, _project_id: str) -> None:
    _exercise_alerts(suite, client.admin.organization.spend_alerts)
