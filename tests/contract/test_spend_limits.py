"""A spend limit is a limit, and lifting it lets requests in again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from openai import OpenAI

from tests.contract.administration import Tenant, administrator, new_tenant, service_key
from tests.contract.suite import Answer, Suite, endless, until

CENT = 10**7
"""Nano-dollars."""
HARD: dict[str, Any] = {"currency": "USD", "interval": "month"}
CLIENTS = 16
SHARE = 600
"""Tokens that each request of the race generates: by the default price about a twenty-eighth of a cent."""


def dear(model: str) -> dict[str, Any]:
    """A request that may cost more than a cent."""
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], "n": 10, "max_completion_tokens": 1800}


def cheap(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 1}


def refused_for(answer: Answer, code: str) -> bool:
    if answer.status == 200:
        return False
    told = answer.error
    assert (answer.status, told["code"], told["type"]) == (429, code, "insufficient_quota"), answer
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    return True


def ask(suite: Suite, key: str, body: dict[str, Any]) -> Answer:
    return suite.post("/v1/chat/completions", body, key=key)


def with_key(suite: Suite, client: OpenAI, tenant: Tenant, model: str) -> str:
    key = service_key(client, tenant.project_id)
    assert ask(suite, key, cheap(model)).status == 200
    return key


def test_a_projects_limit_refuses_what_could_exceed_it_and_lifting_it_admits_again(suite: Suite, model: str) -> None:
    tenant = new_tenant(suite)
    with administrator(suite, tenant.admin_key) as client:
        key = with_key(suite, client, tenant, model)
        limits = client.admin.organization.projects.spend_limit
        limits.update(tenant.project_id, threshold_amount=1, **HARD)
        until(lambda: refused_for(ask(suite, key, dear(model)), "project_spend_limit_exceeded"), every_s=0.3)
        assert ask(suite, key, cheap(model)).status == 200  # what fits is served
        assert limits.retrieve(tenant.project_id).enforcement.status == "inactive"
        limits.delete(tenant.project_id)
        short = dear(model) | {"stop": [" "]}  # may be as long, and is not
        until(lambda: not refused_for(ask(suite, key, short), "project_spend_limit_exceeded"), every_s=0.3)


def test_an_organisations_limit_holds_in_its_projects(suite: Suite, model: str) -> None:
    tenant = new_tenant(suite)
    with administrator(suite, tenant.admin_key) as client:
        key = with_key(suite, client, tenant, model)
        client.admin.organization.spend_limit.update(threshold_amount=1, **HARD)
        until(lambda: refused_for(ask(suite, key, dear(model)), "organization_spend_limit_exceeded"), every_s=0.3)
        client.admin.organization.spend_limit.update(threshold_amount=1000, **HARD)
        short = dear(model) | {"stop": [" "]}
        until(lambda: not refused_for(ask(suite, key, short), "organization_spend_limit_exceeded"), every_s=0.3)


def test_sixteen_clients_that_race_for_a_cent_never_spend_more(suite: Suite, model: str) -> None:
    tenant = new_tenant(suite)
    body = endless(model, n=1, max_tokens=SHARE)
    with administrator(suite, tenant.admin_key) as client:
        key = with_key(suite, client, tenant, model)
        limits = client.admin.organization.projects.spend_limit
        limits.update(tenant.project_id, threshold_amount=1, **HARD)
        earlier = 1
        while not refused_for(ask(suite, key, dear(model)), "project_spend_limit_exceeded"):
            earlier += 1  # the limit is not known there yet
            assert earlier < 100
        together = Barrier(CLIENTS)

        def race(_number: int) -> int:
            """Ask until it is refused; answers how often it was served."""
            together.wait(timeout=60)
            served = 0
            for _ in range(60):
                answer = ask(suite, key, body)
                if answer.status == 503:  # on a machine this busy it may not be told in time what is spent: closed
                    assert answer.error["code"] == "budget_unavailable", answer
                elif refused_for(answer, "project_spend_limit_exceeded"):
                    return served
                else:
                    served += 1
            raise AssertionError("nobody stopped it")

        with ThreadPoolExecutor(CLIENTS) as clients:
            served = sum(clients.map(race, range(CLIENTS)))
        until(lambda: suite.account(tenant.id).event_count == earlier + served)
        spent = int(limits.retrieve(tenant.project_id).model_extra["spent_nanousd"])
    account = suite.account(tenant.id)
    assert spent == account.receivable_nanousd <= CENT
    assert account.completion_tokens >= served * SHARE
    assert served >= CLIENTS  # the last that would fit may meet the holds of others
    done = suite.verify_books()
    assert done.returncode == 0, done.stdout + done.stderr
