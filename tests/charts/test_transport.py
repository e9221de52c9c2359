"""gRPC is mutual TLS unless a mesh does it, with certificates for the names by which services are called."""

import base64
import json

import pytest
from cryptography import x509

from tests.charts.conftest import MODEL, Manifest, Render, of_kind, one, pods, settings_of
from tools.charts.assemble import roster

MODELS = {"models": [MODEL]}


def services(objects: list[Manifest]) -> list[tuple[str, Manifest]]:
    found = pods(of_kind(objects, "Deployment", "StatefulSet"))
    return [(name, pod) for name, pod in found if pod["metadata"]["labels"]["app.kubernetes.io/component"] in roster()]


def names_in(secret: Manifest) -> set[str]:
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))


def test_every_service_listens_and_calls_with_its_own_certificate(render: Render) -> None:
    for name, pod in services(render({"global": MODELS})):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        settings = settings_of(pod)
        assert settings[f"CAPSTAN_{component.upper()}_TRANSPORT"] == "tls", name
        folder = settings[f"CAPSTAN_{component.upper()}_TLS_FOLDER"]
        [mount] = [each for each in pod["spec"]["containers"][0]["volumeMounts"] if each["mountPath"] == folder]
        [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == mount["name"]]
        assert volume["secret"]["secretName"] == f"capstan-{component}-tls", name


def test_certificates_are_for_the_addresses_that_the_gateway_calls(render: Render) -> None:
    objects = render()
    settings = settings_of(one(objects, "StatefulSet", "capstan-gateway")["spec"]["template"])
    called = {name: value for name, value in settings.items() if name.endswith("_ADDRESS")}
    assert len(called) == 6
    for name, address in called.items():
        service = name.removeprefix("CAPSTAN_GATEWAY_").removesuffix("_ADDRESS").lower()
        host, _, port = address.rpartition(":")
        assert host in names_in(one(objects, "Secret", f"capstan-{service}-tls"))
        headless = one(objects, "Service", host)["spec"]
        assert headless["clusterIP"] == "None"
        assert [each["port"] for each in headless["ports"]] == [int(port)]


def test_every_certificate_is_signed_by_the_releases_own_ca(render: Render) -> None:
    objects = render()
    authority = one(objects, "Secret", "capstan-ca")["data"]["tls.crt"]
    signer = x509.load_pem_x509_certificate(base64.b64decode(authority))
    for service in roster():
        secret = one(objects, "Secret", f"capstan-{service}-tls")
        assert secret["data"]["ca.crt"] == authority
        x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"])).verify_directly_issued_by(signer)
        assert service in names_in(secret)


def test_replicas_are_called_by_a_name_that_no_address_changes(render: Render) -> None:
    from services.gateway.peers.inference import NAME
    from services.router.watch import NAME as WATCHED

    assert NAME == WATCHED
    assert NAME in names_in(one(render(), "Secret", "capstan-inference-tls"))


def test_cert_manager_makes_the_same_secrets_with_the_same_names(render: Render) -> None:
    made = {
        each["spec"]["secretName"]: set(each["spec"].get("dnsNames", []))
        for each in of_kind(render({"global": {"transport": {"mode": "certManager"}}}), "Certificate")
    }
    objects = render()
    for service in roster():
        assert made[f"capstan-{service}-tls"] == names_in(one(objects, "Secret", f"capstan-{service}-tls"))


@pytest.mark.parametrize("mode", ["certManager", "existing"])
def test_no_key_is_made_when_somebody_else_makes_them(mode: str, render: Render) -> None:
    objects = render({"global": {"transport": {"mode": mode}}})
    assert [
        each["metadata"]["name"] for each in of_kind(objects, "Secret") if each["type"] == "kubernetes.io/tls"
    ] == []
    assert (
        settings_of(one(objects, "Deployment", "capstan-auth")["spec"]["template"])["CAPSTAN_AUTH_TRANSPORT"] == "tls"
    )


def test_a_mesh_gets_plain_connections_and_no_certificates(render: Render) -> None:
    objects = render({"global": MODELS | {"transport": {"mode": "mesh"}}})
    for name, pod in services(objects):
        settings = {
            key.split("_", 2)[2]: value for key, value in settings_of(pod).items() if key.startswith("CAPSTAN_")
        }
        assert settings["TRANSPORT"] == "mesh", name
        assert not {"TLS_FOLDER", "CALLERS"} & settings.keys(), name
    assert not [each for each in of_kind(objects, "Secret") if each["metadata"]["name"].endswith("-tls")]


def test_settings_are_what_the_services_take(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every service reads the environment of its pod without an error."""
    import importlib

    from chassis.settings import load

    objects = render({"global": MODELS | {"otlpEndpoint": "http://collector:4317"}})
    for name, pod in services(objects):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        with monkeypatch.context() as patch:
            for key, value in settings_of(pod).items():
                if value is not None:
                    patch.setenv(key, value)
            settings = load(importlib.import_module(f"services.{component}.settings").Settings)
        assert settings.transport == "tls", name
        assert settings.otlp_endpoint == "http://collector:4317", name


def test_the_router_expects_every_model_and_knows_where_it_is(render: Render) -> None:
    models = [MODEL, {"name": "vectors", "source": "package://x/model", "runner": "pooling"}]
    objects = render({"global": {"models": models}})
    settings = settings_of(one(objects, "Deployment", "capstan-router")["spec"]["template"])
    assert json.loads(settings["CAPSTAN_ROUTER_EXPECTED_MODELS"]) == {MODEL["name"]: "generate", "vectors": "embed"}
    selector = dict(each.split("=") for each in settings["CAPSTAN_ROUTER_ENDPOINT_SLICES"].split(","))
    assert settings["CAPSTAN_ROUTER_ENDPOINT_SLICES_NAMESPACE"] == "ai"
    found = [each for each in of_kind(objects, "Service") if selector.items() <= each["metadata"]["labels"].items()]
    assert {each["metadata"]["name"] for each in found} == {"capstan-model-llama-3-1-8b", "capstan-model-vectors"}
    assert {port["name"] for each in found for port in each["spec"]["ports"]} == {"grpc"}
