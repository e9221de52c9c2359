"""What a client was told it used is what its organisation finds, however it asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from openai import OpenAI

from services.gateway.schema.admin.credit import Credit
from services.gateway.schema.admin.invoices import Invoice
from tests.contract.administration import (
    Tenant,
    Witness,
    administrator,
    new_tenant,
    own,
    service_key,
)
from tests.contract.suite import Suite, until
from tools.local.roster import EMBEDDING_NAME

HOUR_S = 3600
CAPITAL: Any = [{"role": "user", "content": "What is the capital of France?"}]


@dataclass(frozen=True)
class Used:
    """What two projects of one organisation used, as their clients were told."""

    tenant: Tenant
    other_project_id: str
    model: str
    start_time: int
    prompt: int
    completion: int
    other_prompt: int
    embedded: int


@pytest.fixture(scope="module")
def used(suite: Suite, model: str) -> Used:
    tenant = new_tenant(suite)
    other = own(suite, "POST", "organization/projects", {"name": "Second"}, tenant.admin_key)["id"]
    start = int(time.time()) // 60 * 60
    with administrator(suite, tenant.admin_key) as client:
        keys = [service_key(client, project_id) for project_id in (tenant.project_id, other)]
    with (
        OpenAI(base_url=suite.stack.base_url, api_key=keys[0], max_retries=0) as first,
        OpenAI(base_url=suite.stack.base_url, api_key=keys[1], max_retries=0) as second,
    ):
        chats = [first.chat.completions.create(model=model, messages=CAPITAL, max_tokens=8).usage for _ in range(2)]
        responded = first.responses.create(model=model, input="Hello", max_output_tokens=16).usage
        apart = second.chat.completions.create(model=model, messages=CAPITAL, max_tokens=4).usage
        second.moderations.create(input="one two three")
        embedded = second.embeddings.create(model=EMBEDDING_NAME, input="one two three").usage
    assert responded is not None
    assert apart is not None
    until(lambda: suite.account(tenant.id).event_count == 6)
    return Used(
        tenant,
        other,
        model,
        start,
        sum(usage.prompt_tokens for usage in chats if usage) + responded.input_tokens,
        sum(usage.completion_tokens for usage in chats if usage) + responded.output_tokens,
        apart.prompt_tokens,
        embedded.prompt_tokens,
    )


@pytest.fixture
def admin(suite: Suite, used: Used) -> Iterator[OpenAI]:
    with administrator(suite, used.tenant.admin_key, Witness()) as made:
        yield made


def results(page: Any) -> list[Any]:
    return [result for bucket in page.data for result in bucket.results]


def test_tokens_are_found_in_the_bucket_of_their_request(admin: OpenAI, used: Used) -> None:
    ask = admin.admin.organization.usage.completions
    for width in ("1m", "1h", "1d"):
        page = ask(start_time=used.start_time, bucket_width=width)
        assert sum(result.input_tokens for result in results(page)) == used.prompt + used.other_prompt
        assert sum(result.num_model_requests for result in results(page)) == 4
    assert results(ask(start_time=used.start_time - HOUR_S, end_time=used.start_time)) == []


def test_usage_is_told_apart_by_what_is_asked_for(admin: OpenAI, used: Used) -> None:
    ask = admin.admin.organization.usage.completions
    groups: Any = ["project_id", "model", "api_key_id", "user_id", "batch", "service_tier"]
    found = {result.project_id: result for result in results(ask(start_time=used.start_time, group_by=groups))}
    first = found[used.tenant.project_id]
    assert (first.input_tokens, first.output_tokens, first.num_model_requests) == (used.prompt, used.completion, 3)
    assert (first.model, first.batch, first.service_tier) == (used.model, False, "default")
    assert first.api_key_id.startswith("key_")
    assert found[used.other_project_id].input_tokens == used.other_prompt
    assert first.input_tokens == first.input_cached_tokens + first.input_uncached_tokens
    (whole,) = results(ask(start_time=used.start_time, bucket_width="1d"))
    assert (whole.project_id, whole.model, whole.batch) == (None, None, None)


def test_a_filter_leaves_out_what_it_does_not_name(suite: Suite, admin: OpenAI, used: Used) -> None:
    ask = admin.admin.organization.usage.completions
    start = used.start_time
    assert [
        each.num_model_requests for each in results(ask(start_time=start, project_ids=[used.other_project_id]))
    ] == [1]
    assert results(ask(start_time=start, models=["gpt-none"])) == []
    assert results(ask(start_time=start, batch=True)) == []
    (key_id,) = {
        each.api_key_id
        for each in results(ask(start_time=start, project_ids=[used.tenant.project_id], group_by=["api_key_id"]))
    }
    assert [each.num_model_requests for each in results(ask(start_time=start, api_key_ids=[key_id]))] == [3]
    # The older spelling, without brackets, says the same.
    path = f"organization/usage/completions?start_time={start}&api_key_ids={key_id}&group_by=model"
    plain = own(suite, "GET", path, key=used.tenant.admin_key)
    told = [result for bucket in plain["data"] for result in bucket["results"]]
    assert [(each["model"], each["num_model_requests"]) for each in told] == [(used.model, 3)]


def test_embeddings_are_apart_from_completions(admin: OpenAI, used: Used) -> None:
    (found,) = results(admin.admin.organization.usage.embeddings(start_time=used.start_time, group_by=["model"]))
    assert (found.input_tokens, found.num_model_requests, found.model) == (used.embedded, 1, EMBEDDING_NAME)


def test_verdicts_are_counted_and_free(admin: OpenAI, used: Used) -> None:
    usage = admin.admin.organization.usage
    (found,) = results(usage.moderations(start_time=used.start_time, group_by=["project_id"]))
    assert (found.project_id, found.num_model_requests) == (used.other_project_id, 1)
    assert found.input_tokens > 0
    items = {each.line_item: each for each in results(usage.costs(start_time=used.start_time, group_by=["line_item"]))}
    (free,) = [each for name, each in items.items() if name.endswith(", moderations")]
    assert free.amount.model_extra["value_nanousd"] == "0"


def test_costs_are_what_is_owed_and_add_up_in_every_grouping(suite: Suite, admin: OpenAI, used: Used) -> None:
    ask = admin.admin.organization.usage.costs
    owed = suite.account(used.tenant.id).receivable_nanousd
    groupings: list[Any] = [[], ["project_id"], ["line_item"], ["api_key_id"], ["project_id", "line_item"]]
    for groups in groupings:
        found = results(ask(start_time=used.start_time, group_by=groups))
        exact = sum(int(each.amount.model_extra["value_nanousd"]) for each in found)
        assert exact == owed
        assert sum(round(each.amount.value * 1e9) for each in found) == owed
        assert {each.amount.currency for each in found} == {"usd"}
    items = results(ask(start_time=used.start_time, group_by=["line_item"]))
    assert sum(each.quantity for each in items) == suite.account(used.tenant.id).prompt_tokens + (
        suite.account(used.tenant.id).completion_tokens
    )
    assert {each.quantity_unit for each in items} == {"tokens"}
    assert f"{used.model}, chat completions" in {each.line_item for each in items}


def test_another_organisation_finds_none_of_it(suite: Suite, used: Used) -> None:
    stranger = new_tenant(suite)
    with administrator(suite, stranger.admin_key) as client:
        usage = client.admin.organization.usage
        theirs = [used.tenant.project_id, used.other_project_id]
        assert results(usage.completions(start_time=used.start_time, project_ids=theirs)) == []
        assert results(usage.costs(start_time=used.start_time, project_ids=theirs)) == []


def test_who_may_only_see_projects_sees_no_usage(suite: Suite, used: Used) -> None:
    wish = {"name": "narrow", "scopes": ["api.projects.read"]}
    key = own(suite, "POST", "organization/admin_api_keys", wish, used.tenant.admin_key)["value"]
    for path in ("usage/completions?start_time=0", "costs?start_time=0", "credit", "spend_limit", "spend_alerts"):
        answer = suite.request("GET", f"/v1/organization/{path}", None, key=key, admin=True)
        assert answer.status == 403, (path, answer)


def test_the_months_statement_is_what_is_owed_in_every_form(suite: Suite, used: Used) -> None:
    owed = suite.account(used.tenant.id).receivable_nanousd
    path = f"/v1/organization/invoices/{time.strftime('%Y-%m', time.gmtime(used.start_time))}"
    statement = own(suite, "GET", path.removeprefix("/v1/"), key=used.tenant.admin_key)
    Invoice.model_validate(statement)
    assert (statement["id"], statement["organization_id"]) == (None, used.tenant.id)
    assert int(statement["total_nanousd"]) == owed == sum(int(line["amount_nanousd"]) for line in statement["lines"])
    assert {line["project_id"] for line in statement["lines"]} == {used.tenant.project_id, used.other_project_id}
    sheet, page = (
        suite.request("GET", f"{path}?format={form}", None, key=used.tenant.admin_key, admin=True)
        for form in ("csv", "html")
    )
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert sheet.body.decode().splitlines()[-1].endswith(statement["total_usd"])
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert statement["total_usd"] in page.body.decode()


def test_what_was_paid_in_advance_is_seen_by_admins_and_changed_by_the_operator_alone(suite: Suite, used: Used) -> None:
    key = used.tenant.admin_key
    before = own(suite, "GET", "organization/credit", key=key)
    Credit.model_validate(before)
    assert int(before["used_nanousd"]) == suite.account(used.tenant.id).receivable_nanousd
    for _ in range(2):
        told = suite.operate("credit", "grant", "12.50", used.tenant.id, "--id", f"paid by {used.tenant.id}")
    assert told["granted_nanousd"] == str(int(before["granted_nanousd"]) + 12_500_000_000)
    after = own(suite, "GET", "organization/credit", key=key)
    assert {name: after[name] for name in ("granted_nanousd", "remaining_nanousd")} == {
        name: told[name] for name in ("granted_nanousd", "remaining_nanousd")
    }
    for method in ("POST", "DELETE"):
        answer = suite.request(method, "/v1/organization/credit", b"{}", key=key, admin=True)
        assert answer.status == 405
