"""Every pod is as restricted as Kubernetes knows, and nothing may talk to anything but along the star."""

import re
from typing import Any

import pytest

from tests.charts.conftest import MODEL, Manifest, Render, environment, names_of_environments, of_kind, one, pods
from tools.charts.assemble import ROOT, roster

COMPONENT = "app.kubernetes.io/component"
ALLOWED_VOLUMES = {
    "configMap",
    "secret",
    "emptyDir",
    "projected",
    "csi",
    "persistentVolumeClaim",
    "downwardAPI",
    "image",
}
"""Of Pod Security `restricted` (kubernetes.io/docs/concepts/security/pod-security-standards); `image` from 1.33 on."""
STORES = {"postgres": {"auth", "billing", "jobs", "migration"}, "valkey": {"ratelimit"}}


@pytest.fixture(params=names_of_environments())
def objects(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    return render(environment(request.param))


def test_pods_pass_pod_security_restricted(objects: list[Manifest]) -> None:
    developed = any("chassis.reload" in pod["spec"]["containers"][0]["args"] for _, pod in pods(objects))
    for name, pod in pods(objects):
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        security = spec["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] >= 10000, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        kinds = {kind for volume in spec.get("volumes", []) for kind in volume.keys() - {"name"}}
        assert kinds <= ALLOWED_VOLUMES, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert own["readOnlyRootFilesystem"] is not developed, name
            assert not {"privileged", "runAsUser", "seLinuxOptions", "procMount"} & own.keys(), name
            assert not [port for port in container.get("ports", []) if "hostPort" in port], name


def test_pods_have_bounds_and_no_variables_of_services(objects: list[Manifest]) -> None:
    for name, pod in pods(objects):
        assert pod["spec"]["enableServiceLinks"] is False, name
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"], name


def test_no_pod_has_a_token_of_kubernetes_but_where_it_is_used(objects: list[Manifest]) -> None:
    with_token = {name for name, pod in pods(objects) if pod["spec"]["automountServiceAccountToken"]}
    assert with_token == {"Deployment/capstan-router"}
    assert [each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")] == ["capstan-router"]


def test_the_router_may_read_where_replicas_are_and_scale_models_that_sleep_and_nothing_else(
    objects: list[Manifest],
) -> None:
    [role] = of_kind(objects, "Role")
    reading, *scaling = role["rules"]
    assert reading == {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["get", "list", "watch"],
    }
    models = {
        each["metadata"]["name"]
        for each in of_kind(objects, "Deployment")
        if each["metadata"]["labels"][COMPONENT] == "inference"
    }
    for rule in scaling:
        assert (rule["apiGroups"], rule["resources"], rule["verbs"]) == (
            ["apps"],
            ["deployments/scale"],
            ["get", "patch"],
        )
        assert set(rule["resourceNames"]) <= models
        assert rule["resourceNames"]
    for each in of_kind(objects, "ClusterRoleBinding"):
        assert each["subjects"] == [
            {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}
        ]


def test_no_secret_is_in_the_environment_of_a_pod(objects: list[Manifest]) -> None:
    for name, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            told = [each["name"] for each in container.get("env", []) if "secretKeyRef" in each.get("valueFrom", {})]
            assert set(told) <= {"HF_TOKEN"}, name


def test_only_the_loop_of_development_may_write_into_its_containers() -> None:
    developed = [name for name in names_of_environments() if environment(name)["global"].get("development")]
    assert developed == ["tilt"]


def drawn_edges() -> set[tuple[str, str]]:
    """Caller and called in the picture of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    picture = text.split("## A star, not a web")[1].split("```")[1]
    names = "|".join(roster())
    found = set()
    for line in picture.splitlines():
        for said, called in re.findall(rf"([^▶]*)▶\s*((?:(?:{names})(?:,\s*)?)+)", line):
            caller = re.search(rf"({names})\s*[─═┬]", said)
            for each in re.findall(names, called):
                found.add((caller[1] if caller and "client" not in said else "gateway", each))
    return found - {("gateway", "gateway")}


def policy_edges(objects: list[Manifest], direction: str) -> set[tuple[str, str]]:
    """Caller and called as network policies allow them on the gRPC port, seen from one side."""
    other = {"ingress": "from", "egress": "to"}[direction]
    found = set()
    for policy in of_kind(objects, "NetworkPolicy"):
        selected = policy["spec"]["podSelector"]["matchLabels"].get(COMPONENT)
        for rule in policy["spec"].get(direction) or []:
            if [port["port"] for port in rule.get("ports", [])] != [50051]:
                continue
            for peer in rule[other]:
                peers = peer["podSelector"]["matchLabels"][COMPONENT]
                found.add((selected, peers) if direction == "egress" else (peers, selected))
    return found


def test_the_picture_is_read() -> None:
    assert {("gateway", "auth"), ("gateway", "inference"), ("router", "inference")} <= drawn_edges()
    assert ("inference", "billing") in drawn_edges()  # in the background


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_policies_allow_the_edges_of_the_star_and_no_other(direction: str, objects: list[Manifest]) -> None:
    assert policy_edges(objects, direction) == drawn_edges()


def test_certificates_let_in_the_callers_of_the_star_and_no_other(objects: list[Manifest]) -> None:
    found = set()
    for _, pod in pods(of_kind(objects, "Deployment", "StatefulSet")):
        for each in pod["spec"]["containers"][0].get("env", []):
            if each["name"].endswith("_CALLERS"):
                called = pod["metadata"]["labels"][COMPONENT]
                found |= {(caller, called) for caller in re.findall(r"\w+", each["value"])}
    assert found == drawn_edges()


def test_everything_else_is_denied(objects: list[Manifest]) -> None:
    deny = one(objects, "NetworkPolicy", "capstan-default-deny")["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not deny.get("ingress")
    assert not deny.get("egress")
    selector = deny["podSelector"]["matchLabels"]
    for name, pod in pods(objects):
        assert selector.items() <= pod["metadata"]["labels"].items(), name


def test_only_those_who_keep_something_there_reach_a_store(render: Render) -> None:
    objects = render()
    for store, clients in STORES.items():
        [rule] = one(objects, "NetworkPolicy", f"capstan-{store}")["spec"]["ingress"]
        assert {peer["podSelector"]["matchLabels"][COMPONENT] for peer in rule["from"]} == clients
        leaving = {
            policy["spec"]["podSelector"]["matchLabels"][COMPONENT]
            for policy in of_kind(objects, "NetworkPolicy")
            for rule in policy["spec"].get("egress") or []
            for peer in rule.get("to", [])
            if peer.get("podSelector", {}).get("matchLabels", {}).get(COMPONENT) == store
        }
        assert leaving == clients


def test_an_engine_reaches_only_billing_unless_it_fetches_its_model(render: Render) -> None:
    objects = render({"global": {"models": [MODEL, {"name": "own", "source": "pvc://weights/own"}]}})
    allowed = one(objects, "NetworkPolicy", "capstan-inference")["spec"]["egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in allowed] == [[53, 53], [50051]]
    fetching = one(objects, "NetworkPolicy", "capstan-inference-downloads")["spec"]["podSelector"]["matchLabels"]
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    assert fetching.items() <= labels["Deployment/capstan-model-llama-3-1-8b"].items()
    assert not fetching.items() <= labels["Deployment/capstan-model-own"].items()


def test_the_public_port_alone_is_open_and_can_be_closed_to_some(render: Render) -> None:
    def opened(values: dict[str, Any]) -> dict[str, list[Manifest]]:
        return {
            policy["metadata"]["name"]: rule.get("from", [])
            for policy in of_kind(render(values), "NetworkPolicy")
            for rule in policy["spec"].get("ingress") or []
            if not any("podSelector" in peer for peer in rule.get("from", []))
        }

    assert opened({}) == {"capstan-gateway": []}
    clients = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert opened({"global": {"networkPolicy": {"clients": clients}}}) == {"capstan-gateway": clients}
