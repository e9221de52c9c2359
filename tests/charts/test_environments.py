"""The environments that come with the charts: what they make, and that Kubernetes would take it.

`UPDATE_GOLDENS=1 pytest tests/charts/test_environments.py` writes the golden files anew; read the difference.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from tests.charts.conftest import Manifest, Render, environment, examples, names_of_environments, of_kind, pods

OTHERS = {"Certificate", "Issuer", "ScaledObject", "PodMonitor", "PrometheusRule", "HTTPRoute"}
"""Not of Kubernetes itself."""
KUBERNETES = ("1.25", "1.37")


def golden(objects: list[Manifest]) -> str:
    """The objects without what is made anew at each rendering."""
    for each in of_kind(objects, "Secret"):
        each["data"] = dict.fromkeys(each["data"], "(made)")
        annotations = each["metadata"].get("annotations", {})
        if "capstan/renew-after" in annotations:
            annotations["capstan/renew-after"] = "(made)"
    for each in of_kind(objects, "APIService"):
        each["spec"]["caBundle"] = "(made)"
    ordered = sorted(objects, key=lambda each: (each["kind"], each["metadata"]["name"]))
    return yaml.safe_dump_all(ordered, sort_keys=True, default_flow_style=None, width=160)


@pytest.mark.parametrize("name", names_of_environments())
def test_it_makes_what_it_made(name: str, render: Render) -> None:
    made, file = golden(render(environment(name))), examples() / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDENS"):
        file.write_text(made)
    assert made == file.read_text()


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", names_of_environments())
def test_kubernetes_takes_every_object(name: str, version: str, render: Render) -> None:
    validator: Any = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for each in render(environment(name)):
        if each["kind"] not in OTHERS:
            validator.validate(each, version, strict=True)


@pytest.mark.parametrize("name", names_of_environments())
def test_no_name_comes_twice_and_every_object_is_in_the_releases_namespace(name: str, render: Render) -> None:
    objects = render(environment(name))
    named = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(named)) == len(named)
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "APIService"}
    outside = {each["kind"] for each in objects if each["metadata"].get("namespace") != "ai"}
    assert outside <= cluster_wide


def test_there_are_the_six_environments_and_no_golden_file_without_one() -> None:
    assert names_of_environments() == ["cpu", "kind", "multi-gpu", "production", "single-gpu", "tilt"]
    assert sorted(path.stem for path in examples().glob("*.yaml")) == names_of_environments()


def test_production_has_no_single_point_of_its_own(render: Render) -> None:
    objects = render(environment("production"))
    scaled = {
        each["spec"]["scaleTargetRef"]["name"] for each in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    }
    for each in of_kind(objects, "Deployment", "StatefulSet"):
        assert each["metadata"]["name"] in scaled or each["spec"]["replicas"] >= 3, each["metadata"]["name"]
    budgets = {each["metadata"]["name"] for each in of_kind(objects, "PodDisruptionBudget")}
    assert budgets == {each["metadata"]["name"] for each in of_kind(objects, "Deployment", "StatefulSet")}
    for each in of_kind(objects, "HorizontalPodAutoscaler"):
        assert each["spec"]["minReplicas"] >= 3
    assert not of_kind(objects, "Secret")


def test_small_environments_fit_on_two_cores(render: Render) -> None:
    def millicores(text: str) -> int:
        return int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)

    for name in ("cpu", "kind", "tilt"):
        objects = render(environment(name))
        asked = sum(
            millicores(container["resources"]["requests"]["cpu"]) * each["spec"].get("replicas", 1)
            for each in of_kind(objects, "Deployment", "StatefulSet")
            for _, pod in pods([each])
            for container in pod["spec"]["containers"]
        )
        assert asked <= 1500, name
