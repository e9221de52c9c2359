"""Values that nobody understands are refused before anything is made."""

import contextlib
from typing import Any

import pytest

from tests.charts.conftest import MODEL, Render
from tools.charts.assemble import UMBRELLA

WRONG: dict[str, dict[str, Any]] = {
    "a misspelt key of a service": {"gateway": {"replica": 3}},
    "a misspelt shared key": {"global": {"transprot": {"mode": "mesh"}}},
    "a misspelt service": {"gatway": {"replicas": 3}},
    "a setting that the service has not": {"gateway": {"settings": {"request_timeout": 5}}},
    "a setting that follows from other values": {"gateway": {"settings": {"auth_address": "elsewhere:1"}}},
    "a setting of the wrong kind": {"gateway": {"settings": {"request_timeout_s": "long"}}},
    "a setting out of its range": {"jobs": {"settings": {"pool_size": 1000}}},
    "a model without a name": {"global": {"models": [{"source": "/models/x"}]}},
    "a misspelt key of a model": {"global": {"models": [MODEL | {"gpu": 2}]}},
    "a source that is none": {"global": {"models": [MODEL | {"source": "s3://bucket/model"}]}},
    "an unknown engine": {"global": {"models": [MODEL | {"engine": "llama"}]}},
    "an unknown way of autoscaling": {"global": {"autoscaling": {"metrics": "magic"}}},
    "a port of the admin API that is none": {"gateway": {"admin": {"port": 70000}}},
    "a type of the admin API's Service": {"gateway": {"admin": {"type": "LoadBalancer"}}},
    "an address of the admin API": {"gateway": {"settings": {"admin_listen": "0.0.0.0:8000"}}},
    "administrators that are no list": {"global": {"networkPolicy": {"administrators": "everybody"}}},
    "proxies in words": {"gateway": {"trustedProxyHops": "one"}},
    "more proxies than there are": {"gateway": {"trustedProxyHops": 9}},
    "proxies as a setting": {"gateway": {"settings": {"trusted_proxy_hops": 1}}},
    "fewer than no pods": {"auth": {"replicas": -1}},
    "a log level that is none": {"global": {"logLevel": "LOUD"}},
}


@pytest.mark.parametrize("what", WRONG)
def test_it_is_refused(what: str, render: Render, helm: Any) -> None:
    with pytest.raises(helm.HelmError):
        render(WRONG[what])


def test_a_refusal_names_the_key(render: Render, helm: Any) -> None:
    with pytest.raises(helm.HelmError, match="replica"):
        render(WRONG["a misspelt key of a service"])


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"global": {"postgres": {"bundled": {"enabled": False}}}}, "global.postgres.external.existingSecret"),
        ({"global": {"valkey": {"bundled": {"enabled": False}}}}, "global.valkey.external.url"),
        ({"gateway": {"route": {"enabled": True}}}, "gateway.route.parentRefs"),
        (
            {"global": {"models": [MODEL | {"autoscaling": {"enabled": True}}], "autoscaling": {"metrics": "keda"}}},
            "global.autoscaling.prometheusAddress",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_path(values: dict[str, Any], path: str, render: Render, helm: Any) -> None:
    with pytest.raises(helm.HelmError, match=path.replace(".", r"\.")):
        render(values)


def test_two_models_of_one_name_are_refused(render: Render, helm: Any) -> None:
    with pytest.raises(helm.HelmError, match="llama-3-1-8b"):
        render({"global": {"models": [MODEL, MODEL | {"name": "llama-3.1-8b"}]}})


def test_settings_reach_the_service_as_it_reads_them(render: Render) -> None:
    from tests.charts.conftest import one, settings_of

    values = {"gateway": {"settings": {"request_timeout_s": 700, "openapi": False, "retry_budget": 0.1}}}
    environment = settings_of(one(render(values), "StatefulSet", "capstan-gateway")["spec"]["template"])
    assert environment["CAPSTAN_GATEWAY_REQUEST_TIMEOUT_S"] == "700"
    assert environment["CAPSTAN_GATEWAY_OPENAPI"] == "false"
    assert environment["CAPSTAN_GATEWAY_RETRY_BUDGET"] == "0.1"


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"gateway": {"settings": {"request_timeout_s": 1800}}}, True),
        ({"billing": {"settings": {"recovery_grace_s": 600}}}, True),
        (
            {"gateway": {"settings": {"request_timeout_s": 1800}}, "billing": {"settings": {"recovery_grace_s": 2000}}},
            False,
        ),
        ({}, False),
    ],
)
def test_billing_may_not_settle_what_still_runs(
    values: dict[str, Any], refused: bool, render: Render, helm: Any
) -> None:
    from services.billing.settings import Settings as Billing
    from services.gateway.settings import Settings as Gateway

    with pytest.raises(helm.HelmError, match="must be longer than") if refused else contextlib.nullcontext():
        render(values)
    # The chart knows what is the case where nobody says anything.
    checks = (UMBRELLA / "templates" / "checks.yaml").read_text()
    assert f"default {Gateway.model_fields['request_timeout_s'].default:.0f})" in checks
    assert f"default {Billing.model_fields['recovery_grace_s'].default:.0f})" in checks
