"""Requests made from the admin API's own document, right and wrong ones: none of them may be answered with a 5xx."""

from __future__ import annotations

import json
import warnings
from typing import Any
from urllib.parse import quote, urlencode

import hypothesis
import pytest

from services.gateway.admin.app import openapi
from tests.contract.administration import Tenant, new_tenant
from tests.contract.suite import Suite

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

EXAMPLES = 8
"""Of each kind (right, wrong) for each operation."""
OPERATIONS = [(method, path) for path, methods in openapi("")["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def tenant(suite: Suite) -> Tenant:
    """An organisation to wreck."""
    return new_tenant(suite)


@pytest.fixture(scope="module")
def schema(tenant: Tenant) -> Any:
    """The document, narrowed to a project that there is, so that more than the first look-up is tried."""
    document = openapi("")
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "project_id":
                    parameter["schema"] = {"enum": [tenant.project_id, "proj_none"]}
    return schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_that_fits_the_admin_document_or_nearly_breaks_the_server(
    suite: Suite, tenant: Tenant, schema: Any, method: str, path: str, mode: str
) -> None:
    operation = schema[path][method.upper()]
    statuses: list[int] = []

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def ask(case: Any) -> None:
        base = suite.stack.admin_url.removesuffix("/v1")
        sent = case.as_transport_kwargs(base_url=base)
        body = None if case.method == "GET" or "json" not in sent else json.dumps(sent["json"]).encode()
        target = quote(sent["url"].removeprefix(base), safe="/%")
        if sent.get("params"):
            target += f"?{urlencode(sent['params'], doseq=True)}"
        answer = suite.request(case.method, target, body, key=tenant.admin_key, admin=True)
        assert answer.status < 500, (case.method, target, body, answer)
        statuses.append(answer.status)

    ask()
    assert statuses
