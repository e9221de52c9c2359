"""The Kubernetes external metrics API, as far as an autoscaler asks it: discovery, and the demand for models.

`external.metrics.k8s.io/v1beta1`, served over HTTPS to the cluster's aggregation layer, so that a
HorizontalPodAutoscaler can go by the router's signal without an adapter. Whose certificate may ask is set by
`metrics_client_ca`; nothing here can be changed by asking.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from chassis.ops import Receive, Scope, Send, respond

GROUP = "external.metrics.k8s.io"
VERSION = f"{GROUP}/v1beta1"
ROOT = f"/apis/{GROUP}"
METRIC = "capstan_model_demand"

_LABEL_LIMIT = 63
_SELECTOR = re.compile(r"model\s*(?:==?\s*(?P<one>[^,\s()]+)|in\s*\((?P<many>[^)]*)\))$")


class SelectorError(ValueError):
    """A selector that cannot be read."""


def label_of(model: str) -> str:
    """Write a model's name as a label's value (letters, digits, `-_.`, at most 63): others become `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", model)[:_LABEL_LIMIT].strip("-_.")


def wanted(selector: str) -> frozenset[str] | None:
    """Read a label selector: the models' labels it asks for; None for all. Raises `SelectorError`."""
    if not selector.strip():
        return None
    match = _SELECTOR.match(selector.strip())
    if match is None:
        raise SelectorError(f"only `model=NAME` and `model in (NAME, …)` are understood, not {selector!r}")
    names = match["one"] or match["many"]
    return frozenset(name.strip() for name in names.split(","))


def quantity(value: float) -> str:
    """Write a number as a Kubernetes quantity in thousandths."""
    return f"{round(value * 1000)}m"


class ExternalMetrics:
    """The ASGI application."""

    def __init__(self, demands: Callable[[], Mapping[str, float]], now: Callable[[], float]) -> None:
        """`demands`: by served model. `now`: unix seconds."""
        self._demands = demands
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        status, body = self._answer(scope)
        await respond(send, status, json.dumps(body).encode(), "application/json")

    def _answer(self, scope: Scope) -> tuple[int, dict[str, Any]]:
        path = scope["path"].rstrip("/")
        if scope["method"] not in ("GET", "HEAD"):
            return _failed(405, "MethodNotAllowed", "only GET is served")
        if path == ROOT:
            return 200, _group()
        if path == f"{ROOT}/v1beta1":
            return 200, _resources()
        found = re.fullmatch(rf"{re.escape(ROOT)}/v1beta1/namespaces/[^/]+/(?P<metric>[^/]+)", path)
        if found is None or found["metric"] != METRIC:
            return _failed(404, "NotFound", f"there is only {METRIC}")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        try:
            models = wanted(",".join(query.get("labelSelector", [])))
        except SelectorError as error:
            return _failed(400, "BadRequest", str(error))
        return 200, self._values(models)

    def _values(self, models: frozenset[str] | None) -> dict[str, Any]:
        at = datetime.fromtimestamp(int(self._now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        values = [
            {"metricName": METRIC, "metricLabels": {"model": label}, "timestamp": at, "value": quantity(demand)}
            for label, demand in sorted((label_of(model), demand) for model, demand in self._demands().items())
            if models is None or label in models
        ]
        return {"kind": "ExternalMetricValueList", "apiVersion": VERSION, "metadata": {}, "items": values}


def _group() -> dict[str, Any]:
    version = {"groupVersion": VERSION, "version": "v1beta1"}
    return {"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version}


def _resources() -> dict[str, Any]:
    resource = {
        "name": METRIC,
        "singularName": "",
        "namespaced": True,
        "kind": "ExternalMetricValueList",
        "verbs": ["get"],
    }
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION, "resources": [resource]}


def _failed(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return code, {**status, "message": message, "reason": reason, "code": code}
