"""An entry of `global.models` becomes all that a model needs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.router.settings import AdapterSettings
from services.router.settings import Settings as RouterSettings
from tests.charts.conftest import Manifest, Render, of_kind, one, settings_of
from tools.charts.assemble import assemble

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


@pytest.mark.parametrize("name", ["a--b", "Org/Model_1.5:tag", "dots...", "x" * 29 + "--y", "y" * 96])
def test_any_name_becomes_one_that_kubernetes_takes(name: str, render: Render) -> None:
    validator: Any = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    [made] = [
        each
        for each in of_kind(render({"global": {"models": [{"name": name}]}}), "Deployment")
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == "inference"
    ]
    validator.validate(made, "1.37", strict=True)
    label = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert all(label.fullmatch(each) for each in (made["metadata"]["name"], labels["capstan/model"]))


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


REFERENCE = "registry.example.com:5000/models/m"
DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("source", "reference", "model"),
    [
        (f"oci://{REFERENCE}:1", f"{REFERENCE}:1", "/models"),
        (f"oci://{REFERENCE}{DIGEST}", f"{REFERENCE}{DIGEST}", "/models"),
        (f"oci://{REFERENCE}:1#weights/m", f"{REFERENCE}:1", "/models/weights/m"),
    ],
)
def test_an_image_with_its_files_is_mounted_and_read_offline(
    source: str, reference: str, model: str, render: Render
) -> None:
    objects = rendered(render, source=source)
    volume = {"name": "models", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}
    assert volume in pod(objects)["spec"]["volumes"]
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in container(objects)["volumeMounts"]
    settings = settings_of(pod(objects))
    assert settings["CAPSTAN_INFERENCE_MODEL"] == model
    assert settings["HF_HUB_OFFLINE"] == "1"
    assert pod(objects)["metadata"]["labels"]["capstan/downloads"] == "false"


@pytest.mark.parametrize(
    "source", ["oci://m:1", f"oci://{REFERENCE}", f"oci://{REFERENCE}:1#", f"oci://{REFERENCE}:1#/m", f"{REFERENCE}:1"]
)
def test_an_image_without_registry_tag_or_folder_is_refused(source: str, render: Render, helm: Any) -> None:
    with pytest.raises(helm.HelmError):
        rendered(render, source=source)


def test_kubernetes_takes_an_image_as_a_volume(render: Render) -> None:
    validator: Any = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    made = one(rendered(render, source=f"oci://{REFERENCE}:1"), "Deployment", NAME)
    validator.validate(made, "1.37", strict=True)
    with pytest.raises(validator.ValidationError):
        validator.validate(made, "1.25", strict=True)


@pytest.mark.parametrize(("version", "refused"), [("v1.32.9", True), ("v1.33.0-eks-1", False), ("v1.35.2", False)])
def test_a_cluster_that_cannot_mount_it_is_told_so(version: str, refused: bool, tmp_path: Path, helm: Any) -> None:
    chart = assemble(tmp_path / "capstan")
    call = f'dict "root" (dict "Capabilities" (dict "KubeVersion" (dict "Version" "{version}"))) "reference" "r/m:1"'
    (chart / "templates" / "probe.yaml").write_text(f'{{{{ include "inference.artefact" ({call}) }}}}\n')
    with helm.Chart.load(chart) as loaded:
        if refused:
            with pytest.raises(helm.HelmError, match=r"oci:// sources need Kubernetes 1\.35.*v1\.32\.9"):
                loaded.render({}, name="capstan", namespace="ai")
        else:
            assert "r/m:1" in loaded.render({}, name="capstan", namespace="ai")["capstan/templates/probe.yaml"]


def test_the_charts_own_request_and_the_notes_ask_a_model_that_chats(
    render: Render, files: Callable[[Manifest | None], dict[str, str]]
) -> None:
    models = [{"name": "vectors", "runner": "pooling"}, {"name": "chat"}]
    for served, asked in ((models, "chat"), ([], "none")):
        test = one(render({"global": {"models": served}}), "Pod", "capstan-test-request")
        assert settings_of(test)["MODEL"] == asked
    assert '"model": "chat"' in files({"global": {"models": models}})["templates/NOTES.txt"]
