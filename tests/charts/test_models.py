"""An entry of `global.models` becomes all that a model needs."""

import json
from typing import Any

import pytest

from services.router.settings import AdapterSettings
from services.router.settings import Settings as RouterSettings
from tests.charts.conftest import Manifest, Render, of_kind, one, settings_of

NAME = "capstan-model-m"


def rendered(render: Render, metrics: str = "none", **entry: Any) -> list[Manifest]:
    autoscaling = {"metrics": metrics, "prometheusAddress": "http://prometheus:9090"}
    return render({"global": {"models": [{"name": "m", "source": "/models/m"} | entry], "autoscaling": autoscaling}})


def pod(objects: list[Manifest]) -> Manifest:
    template: Manifest = one(objects, "Deployment", NAME)["spec"]["template"]
    return template


def container(objects: list[Manifest]) -> Manifest:
    [found] = pod(objects)["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize(
    ("source", "model", "download"),
    [
        ("hf://organization/name", "organization/name", "true"),
        ("pvc://weights/folder/m", "/models/folder/m", None),
        ("pvc://weights", "/models", None),
        ("package://some_package/model", "package://some_package/model", None),
        ("/opt/models/m", "/opt/models/m", None),
    ],
)
def test_its_source_becomes_the_engines_model(source: str, model: str, download: str | None, render: Render) -> None:
    objects = rendered(render, source=source)
    settings = settings_of(pod(objects))
    assert settings["CAPSTAN_INFERENCE_MODEL"] == model
    assert settings.get("CAPSTAN_INFERENCE_DOWNLOAD") == download
    assert ("HF_HUB_OFFLINE" in settings) is (download is None)
    claims = [each.get("persistentVolumeClaim") for each in pod(objects)["spec"]["volumes"] if each["name"] == "models"]
    assert claims == ([{"claimName": "weights", "readOnly": True}] if source.startswith("pvc://") else [])


def test_its_gpus_are_limits_tolerations_and_parallelism(render: Render) -> None:
    objects = rendered(render, gpus=4, runtimeClassName="nvidia")
    assert container(objects)["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert settings_of(pod(objects))["CAPSTAN_INFERENCE_TENSOR_PARALLEL"] == "4"
    spec = pod(objects)["spec"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert spec["runtimeClassName"] == "nvidia"


def test_on_gpus_the_old_pod_leaves_first_and_without_the_new_one_comes_first(render: Render) -> None:
    def rolling(gpus: int) -> Any:
        return one(rendered(render, gpus=gpus), "Deployment", NAME)["spec"]["strategy"]["rollingUpdate"]

    assert rolling(1) == {"maxSurge": 0, "maxUnavailable": 1}
    assert rolling(0) == {"maxSurge": 1, "maxUnavailable": 0}


def test_without_gpus_it_asks_for_none(render: Render) -> None:
    objects = rendered(render, gpus=0)
    assert "nvidia.com/gpu" not in container(objects)["resources"]["limits"]
    assert "tolerations" not in pod(objects)["spec"]


def test_its_adapters_are_models_of_the_router_and_slots_of_the_replicas(render: Render) -> None:
    adapters = [
        {"name": "shop", "path": "/models/adapters/shop", "organizationIds": ["org-1"]},
        {"name": "clerk", "path": "/models/adapters/clerk"},
    ]
    objects = rendered(render, adapters=adapters)
    assert settings_of(pod(objects))["CAPSTAN_INFERENCE_MAX_ADAPTERS"] == "2"
    router = settings_of(one(objects, "Deployment", "capstan-router")["spec"]["template"])
    assert RouterSettings(adapters=json.loads(router["CAPSTAN_ROUTER_ADAPTERS"])).adapters == {
        "ft:m:shop": AdapterSettings(path="/models/adapters/shop", organization_ids=frozenset({"org-1"})),
        "ft:m:clerk": AdapterSettings(path="/models/adapters/clerk"),
    }
    many = [{"name": f"a{number}", "path": "/a"} for number in range(20)]
    assert settings_of(pod(rendered(render, adapters=many)))["CAPSTAN_INFERENCE_MAX_ADAPTERS"] == "8"
    assert "CAPSTAN_INFERENCE_MAX_ADAPTERS" not in settings_of(pod(rendered(render)))


def test_the_files_of_its_adapters_may_have_a_claim_of_their_own(render: Render) -> None:
    objects = rendered(render, adaptersClaim="adapters")
    [volume] = [each for each in pod(objects)["spec"]["volumes"] if each["name"] == "adapters"]
    assert volume["persistentVolumeClaim"] == {"claimName": "adapters", "readOnly": True}
    [mount] = [each for each in container(objects)["volumeMounts"] if each["name"] == "adapters"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/adapters", True)


def test_its_settings_win_over_what_follows_from_the_entry(render: Render) -> None:
    objects = rendered(render, gpus=4, settings={"tensor_parallel": 2, "pipeline_parallel": 2, "max_adapters": 8})
    settings = settings_of(pod(objects))
    assert settings["CAPSTAN_INFERENCE_TENSOR_PARALLEL"] == "2"
    assert settings["CAPSTAN_INFERENCE_MAX_ADAPTERS"] == "8"


@pytest.mark.parametrize(
    ("cache", "volume", "claims"),
    [
        ({"kind": "pvc"}, {"persistentVolumeClaim": {"claimName": f"{NAME}-cache"}}, 1),
        ({"kind": "pvc", "existingClaim": "mine"}, {"persistentVolumeClaim": {"claimName": "mine"}}, 0),
        ({"kind": "none", "size": "5Gi"}, {"emptyDir": {"sizeLimit": "5Gi"}}, 0),
        ({"kind": "hostPath", "path": "/disk"}, {"hostPath": {"path": "/disk", "type": "DirectoryOrCreate"}}, 0),
    ],
)
def test_its_cache(cache: dict[str, str], volume: Manifest, claims: int, render: Render) -> None:
    objects = rendered(render, cache=cache)
    assert {"name": "cache"} | volume in pod(objects)["spec"]["volumes"]
    assert len(of_kind(objects, "PersistentVolumeClaim")) == claims


def test_shared_memory_has_its_size_and_a_token_comes_from_its_secret(render: Render) -> None:
    objects = rendered(render, shmSize="12Gi", tokenSecret={"name": "hub", "key": "t"})
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "12Gi"}} in pod(objects)["spec"]["volumes"]
    [token] = [each for each in container(objects)["env"] if each["name"] == "HF_TOKEN"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hub", "key": "t"}}


@pytest.mark.parametrize("metrics", ["builtin", "prometheusAdapter"])
def test_an_autoscaler_by_an_external_metric(metrics: str, render: Render) -> None:
    objects = rendered(render, metrics, autoscaling={"enabled": True, "maxReplicas": 7})
    spec = one(objects, "HorizontalPodAutoscaler", NAME)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 7)
    [metric] = spec["metrics"]
    from services.router.external_metrics import METRIC, label_of

    assert metric["external"]["metric"] == {"name": METRIC, "selector": {"matchLabels": {"model": label_of("m")}}}
    assert "replicas" not in one(objects, "Deployment", NAME)["spec"]


def test_an_autoscaler_of_keda(render: Render) -> None:
    objects = rendered(render, "keda", autoscaling={"enabled": True, "minReplicas": 0})
    spec = one(objects, "ScaledObject", NAME)["spec"]
    assert spec["scaleTargetRef"] == {"name": NAME}
    assert spec["minReplicaCount"] == 0
    assert not of_kind(objects, "HorizontalPodAutoscaler")


def test_no_autoscaler_when_nothing_tells_it_anything(render: Render) -> None:
    objects = rendered(render, "none", autoscaling={"enabled": True}, replicas=2)
    assert not of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    assert one(objects, "Deployment", NAME)["spec"]["replicas"] == 2


def test_a_budget_only_where_more_than_one_pod_runs(render: Render) -> None:
    assert not [each for each in of_kind(rendered(render), "PodDisruptionBudget") if each["metadata"]["name"] == NAME]
    assert one(rendered(render, replicas=2), "PodDisruptionBudget", NAME)["spec"]["maxUnavailable"] == 1


def test_each_of_several_models_has_its_own(render: Render) -> None:
    entries = [{"name": name, "source": "/models/x"} for name in ("a", "org/B_2")]
    objects = render({"global": {"models": entries}})
    for slug in ("a", "org-b-2"):
        service = one(objects, "Service", f"capstan-model-{slug}")["spec"]
        labels = one(objects, "Deployment", f"capstan-model-{slug}")["spec"]["template"]["metadata"]["labels"]
        assert service["selector"].items() <= labels.items()
        assert service["clusterIP"] == "None"
