"""`metrics: builtin`: the router is the cluster's external metrics API, trusted by its certificate."""

import base64
from typing import Any

import pytest
from cryptography import x509

from services.router.external_metrics import GROUP, METRIC, label_of
from tests.charts.conftest import MODEL, NAMESPACE, Manifest, Render, of_kind, one, settings_of


def rendered(render: Render, **shared: Any) -> list[Manifest]:
    return render({"global": {"models": [MODEL], "autoscaling": {"metrics": "builtin"}} | shared})


def test_the_api_server_is_told_where_it_is_and_by_which_certificate_to_know_it(render: Render) -> None:
    objects = rendered(render)
    spec = one(objects, "APIService", f"v1beta1.{GROUP}")["spec"]
    assert spec["caBundle"] == one(objects, "Secret", "capstan-ca")["data"]["tls.crt"]
    service = one(objects, "Service", spec["service"]["name"])
    assert service["spec"]["ports"][0]["port"] == spec["service"]["port"]
    certificate = x509.load_pem_x509_certificate(
        base64.b64decode(one(objects, "Secret", "capstan-router-tls")["data"]["tls.crt"])
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert f"{spec['service']['name']}.{NAMESPACE}.svc" in names.get_values_for_type(x509.DNSName)


def test_the_router_serves_it_and_its_policy_lets_the_api_server_in(render: Render) -> None:
    objects = rendered(render)
    pod = one(objects, "Deployment", "capstan-router")["spec"]["template"]
    port = int(settings_of(pod)["CAPSTAN_ROUTER_METRICS_LISTEN"].rpartition(":")[2])
    [target] = one(objects, "Service", "capstan-router-metrics")["spec"]["ports"]
    ports = {each["name"]: each["containerPort"] for each in pod["spec"]["containers"][0]["ports"]}
    assert ports[target["targetPort"]] == port
    rules = one(objects, "NetworkPolicy", "capstan-router")["spec"]["ingress"]
    assert [rule for rule in rules if rule["ports"] == [{"port": port, "protocol": "TCP"}]]


def test_the_api_server_gets_in_whoever_the_clients_are(render: Render) -> None:
    objects = rendered(render, networkPolicy={"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})
    rules = one(objects, "NetworkPolicy", "capstan-router")["spec"]["ingress"]
    assert [rule for rule in rules if "from" not in rule] == [{"ports": [{"port": 6443, "protocol": "TCP"}]}]


def test_only_the_controller_that_scales_may_read_it(render: Render) -> None:
    objects = rendered(render)
    [role], [binding] = of_kind(objects, "ClusterRole"), of_kind(objects, "ClusterRoleBinding")
    assert role["rules"] == [{"apiGroups": [GROUP], "resources": [METRIC], "verbs": ["get", "list"]}]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}
    ]
    assert NAMESPACE in role["metadata"]["name"]  # two releases do not share it


@pytest.mark.parametrize("name", [MODEL["name"], "org/model:tag", "ends-.", f"{'long' * 15}./{'x' * 30}"])
def test_a_models_autoscaler_asks_by_the_label_that_the_router_writes(name: str, render: Render) -> None:
    objects = rendered(render, models=[MODEL | {"name": name, "autoscaling": {"enabled": True}}])
    [scaler] = of_kind(objects, "HorizontalPodAutoscaler")
    [metric] = scaler["spec"]["metrics"]
    assert metric["external"]["metric"]["selector"]["matchLabels"] == {"model": label_of(name)}


def test_without_it_nothing_of_the_cluster_is_touched(render: Render) -> None:
    objects = render({"global": {"models": [MODEL]}})
    assert not of_kind(objects, "APIService", "ClusterRole", "ClusterRoleBinding")


def test_a_mesh_has_no_certificate_for_it(render: Render, helm: Any) -> None:
    with pytest.raises(helm.HelmError, match="builtin needs certificates"):
        rendered(render, transport={"mode": "mesh"})
