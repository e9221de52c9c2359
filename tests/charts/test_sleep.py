"""`autoscaling.minReplicas: 0`: the routers may wake these models and put them to sleep, and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.router.settings import Settings
from tests.charts.conftest import NAMESPACE, Manifest, Render, of_kind, one, settings_of

SLEEPING: Manifest = {"enabled": True, "minReplicas": 0, "maxReplicas": 3}
READING = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]}


def rendered(render: Render, metrics: str = "builtin", *more: Manifest, **scaling: Any) -> list[Manifest]:
    models = [
        {"name": "Org/Small.1", "source": "/models/s", "autoscaling": SLEEPING | scaling},
        {"name": "awake", "source": "/models/a", "autoscaling": {"enabled": True}},
        {"name": "fixed", "source": "/models/f"},
        *more,
    ]
    shared = {"metrics": metrics, "prometheusAddress": "http://prometheus:9090"}
    return render({"global": {"models": models, "autoscaling": shared}})


def rules(objects: list[Manifest]) -> list[Manifest]:
    found: list[Manifest] = one(objects, "Role", "capstan-router")["rules"]
    return found


def router(objects: list[Manifest]) -> dict[str, Any]:
    return settings_of(one(objects, "Deployment", "capstan-router")["spec"]["template"])


def gateway(objects: list[Manifest]) -> dict[str, Any]:
    return settings_of(one(objects, "StatefulSet", "capstan-gateway")["spec"]["template"])


@pytest.mark.parametrize("metrics", ["builtin", "prometheusAdapter"])
def test_the_router_may_scale_the_models_that_may_sleep_and_no_others(metrics: str, render: Render) -> None:
    objects = rendered(render, metrics, {"name": "b", "source": "/models/b", "autoscaling": SLEEPING})
    assert rules(objects) == [
        READING,
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale"],
            "resourceNames": ["capstan-model-b", "capstan-model-org-small-1"],
            "verbs": ["get", "patch"],
        },
    ]
    [role], [binding] = of_kind(objects, "Role"), of_kind(objects, "RoleBinding")
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == NAMESPACE
    bound = [
        subject["name"] for each in of_kind(objects, "ClusterRoleBinding") for subject in each.get("subjects") or []
    ]
    assert "capstan-router" not in bound


def test_the_router_is_told_their_deployments_and_when_they_are_unused(render: Render) -> None:
    objects = rendered(render, idleSeconds=120)
    told = json.loads(router(objects)["CAPSTAN_ROUTER_MAY_SLEEP"])
    assert told == {"Org/Small.1": {"deployment": "capstan-model-org-small-1", "idle_s": 120}}
    read = Settings(may_sleep=told, endpoint_slices="x").may_sleep["Org/Small.1"]
    assert one(objects, "Deployment", read.deployment)
    assert json.loads(router(rendered(render))["CAPSTAN_ROUTER_MAY_SLEEP"])["Org/Small.1"]["idle_s"] == 900


def test_its_autoscaler_keeps_at_least_one_and_neither_it_nor_an_upgrade_says_how_many_there_are(
    render: Render,
) -> None:
    objects = rendered(render)
    spec = one(objects, "HorizontalPodAutoscaler", "capstan-model-org-small-1")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 3)
    assert "replicas" not in one(objects, "Deployment", "capstan-model-org-small-1")["spec"]


def test_who_wakes_a_model_is_held_until_it_is_loaded(render: Render) -> None:
    assert gateway(rendered(render))["CAPSTAN_GATEWAY_QUEUE_TIMEOUT_S"] == "300"
    assert gateway(rendered(render, "keda"))["CAPSTAN_GATEWAY_QUEUE_TIMEOUT_S"] == "300"
    assert "CAPSTAN_GATEWAY_QUEUE_TIMEOUT_S" not in gateway(rendered(render, minReplicas=1))
    mine = {
        "global": {
            "models": [{"name": "m", "source": "/m", "autoscaling": SLEEPING}],
            "autoscaling": {"metrics": "builtin"},
        },
        "gateway": {"settings": {"queue_timeout_s": 60}},
    }
    assert gateway(render(mine))["CAPSTAN_GATEWAY_QUEUE_TIMEOUT_S"] == "60"


@pytest.mark.parametrize(
    ("metrics", "scaling"),
    [("keda", {}), ("none", {}), ("builtin", {"minReplicas": 1}), ("builtin", {"enabled": False})],
)
def test_otherwise_the_router_may_only_read(metrics: str, scaling: Manifest, render: Render) -> None:
    objects = rendered(render, metrics, **scaling)
    assert rules(objects) == [READING]
    assert "CAPSTAN_ROUTER_MAY_SLEEP" not in router(objects)


def test_with_keda_the_last_pod_goes_after_the_idle_time_and_the_others_after_the_scale_down(render: Render) -> None:
    spec = one(rendered(render, "keda", idleSeconds=600), "ScaledObject", "capstan-model-org-small-1")["spec"]
    assert (spec["minReplicaCount"], spec["cooldownPeriod"]) == (0, 600)
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == {"scaleDown": {"stabilizationWindowSeconds": 300}}


@pytest.mark.parametrize(
    ("inference", "entry", "key"),
    [
        ({"enabled": True, "minReplicas": 0}, {}, "minReplicas"),
        ({"minReplicas": 0}, {"enabled": True}, "minReplicas"),
        ({"idleSeconds": 60}, SLEEPING, "idleSeconds"),
    ],
)
def test_what_the_routers_chart_cannot_see_is_refused_with_where_it_belongs(
    inference: Manifest, entry: Manifest, key: str, render: Render, helm: Any
) -> None:
    models = [{"name": "m", "source": "/m", "autoscaling": entry}]
    with pytest.raises(helm.HelmError, match=f"m may have no pod: set .*{key} in its entry"):
        render(
            {
                "global": {"models": models, "autoscaling": {"metrics": "builtin"}},
                "inference": {"autoscaling": inference},
            }
        )
