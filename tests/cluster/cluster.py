"""A cluster under test: Helm and kubectl with a deadline each, and a client inside of it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.charts.conftest import environment
from tests.cluster.helm import helm

NAMESPACE, RELEASE, CLIENT = "capstan-test", "capstan", "client"
PATIENCE_S = int(os.environ.get("CAPSTAN_TEST_PATIENCE_S", "600"))
SIMULATED = os.environ.get("CAPSTAN_TEST_ENGINE") == "simulator"
MODEL = "capstan-demo"
ELASTIC = "capstan-elastic"
IDLE_S = 60

WHOLE = "CAPSTAN_TEST_KUBE" not in os.environ or "CAPSTAN_LONG_FAULTS" in os.environ
"""False where a cluster is made for a run of all tests, which has no time for those that take minutes."""


@dataclass
class Times:
    """What was done and how long it took, for the summary."""

    rows: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def of(self, what: str) -> Iterator[list[str]]:
        """Measure the block; what it appends to the list is said in the summary."""
        begin, said = time.monotonic(), list[str]()
        yield said
        self.rows.append((what, time.monotonic() - begin, " ".join(said)))


def values(**changes: Any) -> dict[str, Any]:
    """The environment `cpu` for this cluster."""
    made = environment("cpu")
    shared = made["global"]
    shared["images"] = {"registry": os.environ.get("CAPSTAN_TEST_REGISTRY", ""), "pullPolicy": "IfNotPresent"}
    if SIMULATED:
        [model] = shared["models"]
        shared["models"] = [
            {key: value for key, value in model.items() if key not in ("source", "image")}
            | {
                "engine": "simulator",
                "image": {"repository": "capstan-services"},
                "settings": {"sim_answer_tokens": 200},
            }
        ]
    shared |= changes
    return made


def with_elastic_model(*, answer_tokens: int = 200) -> dict[str, Any]:
    """Changes of the shared values: a second, simulated model that scales by its demand and sleeps without any.

    And another log level, which replaces every pod of the first.
    """
    elastic = {
        "name": ELASTIC,
        "engine": "simulator",
        "gpus": 0,
        "image": {"repository": "capstan-services"},
        "settings": {"sim_answer_tokens": answer_tokens, "sim_tokens_per_s": 20, "max_running": 8},
        "graceSeconds": 30,
        "shmSize": "64Mi",
        "cache": {"kind": "none", "size": "64Mi"},
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        # Some streams of 64 tokens are a small share of what a replica can do, so that few clients suffice.
        "autoscaling": {
            "enabled": True,
            "minReplicas": 0,
            "maxReplicas": 3,
            "target": "0.03",
            "scaleDownSeconds": 15,
            "idleSeconds": IDLE_S,
        },
    }
    models = [*values()["global"]["models"], elastic]
    return {"models": models, "autoscaling": {"metrics": "builtin"}, "logLevel": "WARNING"}


class Cluster:
    """One release in one namespace."""

    def __init__(self, kubeconfig: Path, chart: Path, times: Times) -> None:
        self.times = times
        self.chart = chart
        self._kubeconfig = kubeconfig
        self._helm = helm(kubeconfig, NAMESPACE, RELEASE, PATIENCE_S)
        self.api_key = ""
        self.told: list[dict[str, Any]] = []
        """What clients were told that their completed requests used."""

    def kubectl(self, *arguments: str, said: str | None = None, check: bool = True) -> str:
        """Run kubectl; answer what it printed. Raises `AssertionError` with its complaint."""
        line = ["kubectl", "--kubeconfig", str(self._kubeconfig), "-n", NAMESPACE, *arguments]
        done = subprocess.run(line, input=said, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0 or not check, f"{' '.join(arguments[:4])}: {done.stderr}{done.stdout}"
        return done.stdout

    def get(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return found

    def install(self, chart: Path | None = None, **changes: Any) -> None:
        """Install `chart` (unset: this tree's) and wait until everything is ready."""
        self._helm.install(chart or self.chart, values(**changes))

    def upgrade(self, **changes: Any) -> None:
        """Upgrade and wait until everything is ready."""
        self._helm.upgrade(self.chart, values(**changes))

    def roll_back(self, revision: int) -> None:
        """Go back to a revision and wait until everything is ready."""
        self._helm.roll_back(revision)

    def helm_test(self) -> str:
        """Run the chart's own tests; answer their logs."""
        return self._helm.test()

    def uninstall(self) -> None:
        """Remove the release and wait until its pods are gone."""
        self._helm.uninstall()
        self.kubectl(
            "wait", "--for=delete", "pod", "-l", f"app.kubernetes.io/instance={RELEASE}", f"--timeout={PATIENCE_S}s"
        )

    def first_key(self) -> dict[str, Any]:
        """Make the first organisation, or learn that it is there; answer what was said."""
        said: dict[str, Any] = json.loads(
            self.kubectl("exec", f"deploy/{RELEASE}-auth", "--", "python3", "-m", "services.auth", "bootstrap")
        )
        return said

    def replicas(self, deployment: str) -> tuple[int, int]:
        """Answer how many pods a Deployment shall have, and how many are ready."""
        found = json.loads(self.kubectl("get", "deployment", deployment, "-o", "json"))
        return found["spec"]["replicas"], found["status"].get("readyReplicas", 0)

    def until(self, deployment: str, count: int) -> None:
        """Wait until a Deployment shall have `count` pods and has them."""
        end = time.monotonic() + PATIENCE_S
        while (now := self.replicas(deployment)) != (count, count):
            assert time.monotonic() < end, f"{deployment} has {now[1]} of {now[0]} pods, not {count}"
            time.sleep(0.5)

    def may(self, account: str, *what: str) -> bool:
        """Say whether a service account of the release may do what `kubectl auth can-i` understands."""
        line = ("auth", "can-i", *what, "--as", f"system:serviceaccount:{NAMESPACE}:{account}")
        return self.kubectl(*line, check=False).strip() == "yes"

    def clear(self) -> None:
        """Remove the namespace and everything in it, and wait until it is gone."""
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", f"--timeout={PATIENCE_S}s")

    def rollout(self, workload: str) -> None:
        """Restart all pods of a workload, as an upgrade does, and wait."""
        self.kubectl("rollout", "restart", workload)
        self.kubectl("rollout", "status", workload, f"--timeout={PATIENCE_S}s")

    def start_client(self) -> None:
        """Run a pod that is nobody's, with the official SDK in it."""
        registry = values()["global"]["images"]["registry"]
        repository = os.environ.get("CAPSTAN_TEST_CLIENT_IMAGE", "capstan-inference:0.1.0-cpu")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": CLIENT, "labels": {"app": CLIENT}},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": CLIENT,
                        "image": f"{registry}/{repository}".lstrip("/"),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python3", "-c", "import time; time.sleep(86400)"],
                    }
                ],
            },
        }
        self.kubectl("apply", "-f", "-", said=yaml.safe_dump(copy.deepcopy(pod)))
        self.kubectl("wait", "--for=condition=Ready", f"pod/{CLIENT}", f"--timeout={PATIENCE_S}s")

    def client_command(self, *arguments: str) -> list[str]:
        """The command line that runs tests/cluster/client.py in the client's pod; its standard input is the program."""
        base_url = f"http://{RELEASE}-gateway/v1"
        line = ["kubectl", "--kubeconfig", str(self._kubeconfig), "-n", NAMESPACE, "exec", "-i", CLIENT, "--"]
        return [
            *line,
            "env",
            f"OPENAI_API_KEY={self.api_key}",
            f"OPENAI_BASE_URL={base_url}",
            "python3",
            "-",
            *arguments,
        ]

    def client(self, *arguments: str) -> Any:
        """Run the client to its end; answer what it printed as JSON."""
        program = Path(__file__).with_name("client.py").read_text()
        line = self.client_command(*arguments)
        done = subprocess.run(line, input=program, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        self._note([answer])
        return answer

    @contextmanager
    def under_load(self, streams: int, model: str = MODEL) -> Iterator[list[dict[str, Any]]]:
        """Keep `streams` streams open one after another while the block runs; then the list has what became of each."""
        program = Path(__file__).with_name("client.py").read_text()
        results: list[dict[str, Any]] = []
        self.kubectl("exec", CLIENT, "--", "rm", "-f", "/tmp/started", "/tmp/stop")
        with subprocess.Popen(
            self.client_command("load", model, str(streams)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(program)
            process.stdin.close()
            process.stdin = None
            try:
                self._until_started(process)
                yield results
            finally:
                self.kubectl("exec", CLIENT, "--", "touch", "/tmp/stop")
                out, complaint = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, complaint
        results.extend(json.loads(out))
        self._note(results)

    def _note(self, results: list[dict[str, Any]]) -> None:
        self.told += [each for each in results if "request_id" in each]

    def books(self) -> str:
        """Check the books as docs/operations.md has it, with what clients were told; answer what was printed."""
        module = ("--", "python3", "-m")
        meters = self.kubectl("exec", f"deploy/{RELEASE}-ratelimit", *module, "services.ratelimit", "audit", "--json")
        gateways = self.kubectl("get", "pods", "-l", "app.kubernetes.io/name=gateway", "-o", "name").split()
        journals = [self.kubectl("exec", each, *module, "services.gateway", "journal") for each in gateways]
        told = [json.dumps(each) + "\n" for each in self.told]
        line = ("verify", "--meters", "-", "--journals", "-", "--told", "-")
        said = "".join([meters, *journals, *told])
        return self.kubectl(
            "exec", "-i", f"deploy/{RELEASE}-billing", *module, "services.billing", *line, said=said, check=False
        )

    def _until_started(self, process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.kubectl("exec", CLIENT, "--", "ls", "/tmp").find("started") < 0:
            assert process.poll() is None, "the client ended"
            assert time.monotonic() < end, "no stream came to its end"
            time.sleep(0.5)
