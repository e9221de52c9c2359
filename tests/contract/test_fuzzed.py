"""Requests made from our own OpenAPI document, right and wrong ones: none of them may be answered with a 5xx.

The document is narrowed where the wide one would only make the engine work for nothing: to models that exist, and to
answers of a few tokens.
"""

import json
import warnings
from typing import Any

import hypothesis
import pytest

from services.gateway.docs import openapi
from tests.contract.suite import Suite
from tools.local.roster import EMBEDDING_NAME

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

EXAMPLES = 20
"""Of each kind (right, wrong) for each operation: about a minute in all."""
MODES = ("positive", "negative")
DEMO = "capstan-demo"
OPERATIONS = [(method, path) for path, methods in openapi("")["paths"].items() for method in methods]


def narrowed() -> dict[str, Any]:
    document = openapi("")
    schemas = document["components"]["schemas"]
    for name, model in (
        ("ChatCompletionRequest", DEMO),
        ("CompletionRequest", DEMO),
        ("ResponseRequest", DEMO),
        ("EmbeddingRequest", EMBEDDING_NAME),
        ("ModerationRequest", "omni-moderation-latest"),
    ):
        properties = schemas[name]["properties"]
        properties["model"] = {"enum": [model, "gpt-none"]}
        for field in ("n", "max_tokens", "max_completion_tokens", "best_of"):
            if field in properties:
                properties[field] = {"type": "integer", "minimum": 1, "maximum": 2}
                if field == "max_tokens":
                    schemas[name].setdefault("required", []).append(field)
        if "max_output_tokens" in properties:
            properties["max_output_tokens"] = {"type": "integer", "minimum": 16, "maximum": 17}
            schemas[name].setdefault("required", []).append("max_output_tokens")
    return document


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_that_fits_the_document_or_nearly_breaks_the_server(
    suite: Suite, method: str, path: str, mode: str
) -> None:
    schema = schemathesis.openapi.from_dict(narrowed())
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
        sent = case.as_transport_kwargs(base_url=suite.stack.base_url.removesuffix("/v1"))
        target = sent["url"].removeprefix(suite.stack.base_url.removesuffix("/v1"))
        body = None if case.method == "GET" or "json" not in sent else json.dumps(sent["json"]).encode()
        answer = suite.request(case.method, target, body)
        assert answer.status < 500, (case.method, target, body, answer)
        statuses.append(answer.status)

    ask()
    assert statuses
    # Refusals by the limits would be no test of anything.
    assert statuses.count(429) * 2 < len(statuses)
