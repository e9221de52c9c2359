"""The external metrics API as the autoscaler of Kubernetes reads it."""

import json
from typing import Any

import pytest

from services.router.external_metrics import ExternalMetrics, SelectorError, label_of, quantity, wanted

DEMANDS = {"chat": 1.5, "org/model:7b": 0.0004, "vectors": 0.0}
VALUES = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/capstan_model_demand"


async def ask(path: str, query: bytes = b"", method: str = "GET") -> tuple[int, dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {}

    app = ExternalMetrics(lambda: DEMANDS, lambda: 1_700_000_000.9)
    await app({"type": "http", "method": method, "path": path, "query_string": query}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def test_every_model_has_a_value() -> None:
    status, answer = await ask(VALUES)
    assert status == 200
    assert answer == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": "capstan_model_demand",
                "metricLabels": {"model": label},
                "timestamp": "2023-11-14T22:13:20Z",
                "value": value,
            }
            for label, value in (("chat", "1500m"), ("org-model-7b", "0m"), ("vectors", "0m"))
        ],
    }


@pytest.mark.parametrize("query", [b"labelSelector=model%3Dchat", b"labelSelector=model%20in%20(chat%2C%20gone)"])
async def test_a_selector_chooses(query: bytes) -> None:
    status, answer = await ask(VALUES, query)
    assert status == 200
    assert [item["metricLabels"]["model"] for item in answer["items"]] == ["chat"]


async def test_a_selector_that_is_not_understood_is_refused() -> None:
    status, answer = await ask(VALUES, b"labelSelector=model%21%3Dchat")
    assert (status, answer["kind"], answer["reason"]) == (400, "Status", "BadRequest")


async def test_it_can_be_discovered() -> None:
    status, group = await ask("/apis/external.metrics.k8s.io")
    assert (status, group["preferredVersion"]["version"]) == (200, "v1beta1")
    status, resources = await ask("/apis/external.metrics.k8s.io/v1beta1")
    assert status == 200
    assert [(each["name"], each["namespaced"]) for each in resources["resources"]] == [("capstan_model_demand", True)]


@pytest.mark.parametrize("path", ["/", "/metrics", VALUES + "_per_day", VALUES + "/more"])
async def test_nothing_else_is_there(path: str) -> None:
    assert (await ask(path))[0] == 404


async def test_nothing_can_be_changed() -> None:
    assert (await ask(VALUES, method="POST"))[0] == 405


@pytest.mark.parametrize(
    ("model", "label"), [("llama-3.1-8b", "llama-3.1-8b"), ("a/b:c", "a-b-c"), ("-x" * 50, "x" + "-x" * 30)]
)
def test_a_name_is_written_as_a_label(model: str, label: str) -> None:
    assert label_of(model) == label
    assert len(label_of(model)) <= 63


def test_a_quantity_is_in_thousandths() -> None:
    assert [quantity(value) for value in (0, 0.25, 1.5, 12)] == ["0m", "250m", "1500m", "12000m"]


def test_no_selector_wants_all() -> None:
    assert wanted(" ") is None
    with pytest.raises(SelectorError):
        wanted("app=chat")
