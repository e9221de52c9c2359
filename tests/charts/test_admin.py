"""The admin API is served in a cluster, apart from the public one, to nobody but whom the values name."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.charts.conftest import NAMESPACE, Manifest, Render, environment, of_kind, one, pods, settings_of
from tools.charts.assemble import ROOT

EXPOSED: Manifest = {
    "ingress": {"enabled": True, "hosts": ["api.example.com"]},
    "route": {"enabled": True, "parentRefs": [{"name": "public"}]},
    "service": {"type": "LoadBalancer"},
}
PORT = 8900


def gateway(objects: list[Manifest]) -> Manifest:
    pod: Manifest = one(objects, "StatefulSet", "capstan-gateway")["spec"]["template"]
    return pod


def let_in(objects: list[Manifest], port: int) -> list[Any]:
    """Who may reach a port of the gateway, rule by rule; None is everybody."""
    rules = one(objects, "NetworkPolicy", "capstan-gateway")["spec"]["ingress"]
    return [rule.get("from") for rule in rules if port in [each["port"] for each in rule["ports"]]]


def hops(render: Render, **values: Any) -> Any:
    return settings_of(gateway(render({"gateway": values})))["CAPSTAN_GATEWAY_TRUSTED_PROXY_HOPS"]


def test_its_service_leads_to_where_the_gateway_listens(render: Render) -> None:
    objects = render({"gateway": {"admin": {"port": 9443}}})
    container = gateway(objects)["spec"]["containers"][0]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    service = one(objects, "Service", "capstan-gateway-admin")["spec"]
    [target] = service["ports"]
    assert settings_of(gateway(objects))["CAPSTAN_GATEWAY_ADMIN_LISTEN"] == f"0.0.0.0:{ports[target['targetPort']]}"
    assert target["port"] == 9443
    assert service["selector"].items() <= gateway(objects)["metadata"]["labels"].items()


def test_nothing_that_leads_in_from_outside_leads_there(render: Render) -> None:
    objects = render({"gateway": EXPOSED})
    assert one(objects, "Service", "capstan-gateway-admin")["spec"]["type"] == "ClusterIP"
    public = one(objects, "Service", "capstan-gateway")["spec"]
    assert [each["targetPort"] for each in public["ports"]] == ["http"]
    for each in of_kind(objects, "Ingress", "HTTPRoute"):
        assert "-admin" not in str(each["spec"]), each["kind"]
        assert str(PORT) not in str(each["spec"]), each["kind"]


def test_nobody_is_let_in_but_whom_the_values_name(render: Render) -> None:
    assert let_in(render(), PORT) == []
    clients = {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    assert let_in(render({"global": {"networkPolicy": clients}}), PORT) == []
    office = [{"namespaceSelector": {"matchLabels": {"team": "platform"}}}]
    named = render({"global": {"networkPolicy": {"administrators": office}}})
    assert let_in(named, PORT) == [office]
    assert let_in(named, 8000) == [None]


def test_without_it_there_is_no_port_no_service_and_no_rule(render: Render) -> None:
    office = [{"namespaceSelector": {}}]
    objects = render(
        {"gateway": {"admin": {"enabled": False}}, "global": {"networkPolicy": {"administrators": office}}}
    )
    assert "CAPSTAN_GATEWAY_ADMIN_LISTEN" not in settings_of(gateway(objects))
    assert "admin" not in {each["name"] for each in gateway(objects)["spec"]["containers"][0]["ports"]}
    assert "capstan-gateway-admin" not in {each["metadata"]["name"] for each in of_kind(objects, "Service")}
    assert let_in(objects, PORT) == []


def test_the_charts_test_of_forbidden_edges_tries_it_where_it_is(render: Render) -> None:
    def tried(values: Manifest | None = None) -> list[str]:
        [pod] = [pod for name, pod in pods(render(values)) if name == "Pod/capstan-test-forbidden"]
        return str(settings_of(pod)["ADDRESSES"]).split()

    assert f"capstan-gateway-admin:{PORT}" in tried()
    assert not [each for each in tried({"gateway": {"admin": {"enabled": False}}}) if "admin" in each]


@pytest.mark.parametrize("way", ["ingress", "route"])
def test_a_proxy_of_the_charts_own_is_counted_and_none_is_without_it(way: str, render: Render) -> None:
    assert hops(render) == "0"
    assert hops(render, **{way: EXPOSED[way]}) == "1"
    assert hops(render, **{way: EXPOSED[way]}, trustedProxyHops=0) == "0"
    assert hops(render, **{way: EXPOSED[way]}, trustedProxyHops=2) == "2"
    assert hops(render, trustedProxyHops=1) == "1"


@pytest.mark.parametrize("text", ["NOTES.txt", pytest.param(ROOT / "docs" / "operations.md", id="operations.md")])
def test_what_is_told_about_reaching_it_is_so(text: str | Path, files: Any, render: Render) -> None:
    """Each `port-forward` names a Service and a port that are there, and the addresses that follow are its end here."""
    if isinstance(text, Path):
        told, namespace = text.read_text(), "capstan"
    else:
        [told] = [made for path, made in files(environment("cpu")).items() if path.endswith(text)]
        namespace = NAMESPACE
    forwarded = re.findall(r"kubectl -n (\S+) port-forward service/(\S+) (\d+):(\d+) &", told)
    assert {name for _, name, _, _ in forwarded} == {"capstan-gateway", "capstan-gateway-admin"}
    objects = render(environment("cpu"))
    for said, name, here, there in forwarded:
        assert said == namespace
        assert [each["port"] for each in one(objects, "Service", name)["spec"]["ports"]] == [int(there)]
        assert f"http://127.0.0.1:{here}/v1" in told
