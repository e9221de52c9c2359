"""Pods end when their work is done, start when they can work, and run where they should."""

from typing import Any

import pytest

from tests.charts.conftest import (
    MODEL,
    Manifest,
    Render,
    environment,
    names_of_environments,
    of_kind,
    one,
    pods,
    settings_of,
)

CLOSING_S = 25
"""After the grace: the gateway's last words, four at 5 s, and what is over."""


def of_services(objects: list[Manifest]) -> list[tuple[str, Manifest]]:
    found = pods(of_kind(objects, "Deployment", "StatefulSet"))
    return [(name, pod) for name, pod in found if name.split("-", 1)[1] not in ("postgres", "valkey")]


def seconds(pod: Manifest, setting: str) -> float:
    [value] = [value for name, value in settings_of(pod).items() if name.endswith(setting)]
    return float(value)


@pytest.mark.parametrize("name", names_of_environments())
def test_a_pod_is_killed_only_after_its_drain_and_its_grace(name: str, render: Render) -> None:
    for pod_name, pod in of_services(render(environment(name))):
        needed = seconds(pod, "_DRAIN_DELAY_S") + seconds(pod, "_GRACE_S")
        assert pod["spec"]["terminationGracePeriodSeconds"] > needed + CLOSING_S, pod_name


def test_by_default_a_request_may_live_as_long_in_a_stopping_pod_as_anywhere(render: Render) -> None:
    from services.gateway.settings import Settings

    longest = Settings.model_fields["request_timeout_s"].default
    objects = render({"global": {"models": [MODEL]}})
    for kind, name in (("StatefulSet", "capstan-gateway"), ("Deployment", "capstan-model-llama-3-1-8b")):
        assert seconds(one(objects, kind, name)["spec"]["template"], "_GRACE_S") >= longest


def test_a_stopping_pod_waits_until_its_clients_have_noticed(render: Render) -> None:
    for name, pod in of_services(render({"global": {"models": [MODEL]}})):
        probe = pod["spec"]["containers"][0]["readinessProbe"]
        assert seconds(pod, "_DRAIN_DELAY_S") >= probe["periodSeconds"] * probe["failureThreshold"], name


def test_probes_ask_the_operations_port(render: Render) -> None:
    for name, pod in of_services(render({"global": {"models": [MODEL]}})):
        container = pod["spec"]["containers"][0]
        assert {port["name"] for port in container["ports"]} >= {"ops"}, name
        paths = {
            kind: container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        }
        assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}, name


def test_a_model_may_take_its_time_to_load(render: Render) -> None:
    objects = render({"global": {"models": [MODEL | {"startupSeconds": 3600}]}})
    probe = one(objects, "Deployment", "capstan-model-llama-3-1-8b")["spec"]["template"]["spec"]["containers"][0][
        "startupProbe"
    ]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 3600


def test_a_rollout_fails_later_than_a_pod_may_take_to_start(render: Render) -> None:
    objects = render({"global": {"models": [MODEL | {"startupSeconds": 3600}]}})
    services = of_kind(objects, "Deployment")
    assert len(services) == 7
    for each in services:
        probe = each["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        started = probe["periodSeconds"] * probe["failureThreshold"]
        assert each["spec"]["progressDeadlineSeconds"] > started, each["metadata"]["name"]


def test_replicas_spread_over_zones_and_nodes(render: Render) -> None:
    for name, pod in of_services(render({"global": {"models": [MODEL]}})):
        spread = {each["topologyKey"]: each for each in pod["spec"]["topologySpreadConstraints"]}
        assert set(spread) == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, name
        for each in spread.values():
            assert each["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items(), name


def test_a_rollout_takes_no_pod_away_before_another_is_ready(render: Render) -> None:
    """But for gateways, which have a disk each: of those one at a time is away, and the next waits for it."""
    rollouts = {
        each["metadata"]["name"]: each["spec"]["strategy"]["rollingUpdate"]
        for each in of_kind(render({}), "Deployment")
    }
    assert {"capstan-auth", "capstan-billing", "capstan-ratelimit", "capstan-router"} <= rollouts.keys()
    assert all(rollout == {"maxSurge": 1, "maxUnavailable": 0} for rollout in rollouts.values()), rollouts


def test_autoscaled_workloads_leave_their_size_to_the_autoscaler(render: Render) -> None:
    objects = render({"gateway": {"autoscaling": {"enabled": True}}, "auth": {"autoscaling": {"enabled": True}}})
    for kind, name in (("StatefulSet", "capstan-gateway"), ("Deployment", "capstan-auth")):
        assert "replicas" not in one(objects, kind, name)["spec"]
        target = one(objects, "HorizontalPodAutoscaler", name)["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (kind, name)


def test_migrations_wait_for_the_database_and_come_before_the_pods_when_they_can(render: Render) -> None:
    external: dict[str, Any] = {
        "global": {"postgres": {"bundled": {"enabled": False}, "external": {"existingSecret": "db"}}}
    }
    for values, hook in (({}, "post-install,pre-upgrade,pre-rollback"), (external, "pre-install,pre-upgrade")):
        objects = render(values)
        jobs = {each["metadata"]["name"]: each for each in of_kind(objects, "Job")}
        assert set(jobs) == {"capstan-auth-migrate", "capstan-billing-migrate", "capstan-jobs-migrate"}
        for name, job in jobs.items():
            assert job["metadata"]["annotations"]["helm.sh/hook"] == hook, name
            assert "hook-failed" not in job["metadata"]["annotations"]["helm.sh/hook-delete-policy"], name
            [waiting] = job["spec"]["template"]["spec"]["initContainers"]
            assert waiting["args"][0] == "chassis.await_postgres", name
            assert job["spec"]["activeDeadlineSeconds"] > int(waiting["args"][-1]), name


def test_streams_outlive_no_proxy(render: Render) -> None:
    from services.gateway.settings import Settings

    longest = Settings.model_fields["request_timeout_s"].default
    values = {"gateway": {"ingress": {"enabled": True}, "route": {"enabled": True, "parentRefs": [{"name": "public"}]}}}
    objects = render(values)
    annotations = one(objects, "Ingress", "capstan-gateway")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > longest
    [rule] = one(objects, "HTTPRoute", "capstan-gateway")["spec"]["rules"]
    assert all(int(value.removesuffix("s")) > longest for value in rule["timeouts"].values())
    assert rule["backendRefs"] == [{"name": "capstan-gateway", "port": 80}]
