"""A real Kubernetes, named by `CAPSTAN_TEST_KUBECONFIG` or made by what `CAPSTAN_TEST_KUBE` names; else a skip.

The images have to be in the first: `make images` builds them, and how they get into a cluster is the cluster's
business. For the second, one on this machine that machine.py describes, they are built and loaded here, without the
engine's.
`CAPSTAN_TEST_REGISTRY` is the registry part of their names, `CAPSTAN_TEST_CLIENT_IMAGE` an image with Python, a shell
and the SDK (default: the engine's), `CAPSTAN_TEST_ENGINE=simulator` does without vLLM, and
`CAPSTAN_TEST_PATIENCE_S` (default 600) is how long anything may take. `CAPSTAN_TEST_HELM` is a helm command to use
instead of Helm 4's library. `CAPSTAN_TEST_PREVIOUS_CHART` is the chart of an earlier release, to upgrade from:

    git worktree add /tmp/earlier COMMIT && (cd /tmp/earlier && python -m tools.charts assemble build/chart)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import images, machine
from tests.cluster.cluster import Cluster, Times
from tools.charts.assemble import assemble

TIMES = pytest.StashKey[Times]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TIMES] = Times()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    times = config.stash[TIMES]
    if times.rows:
        terminalreporter.section("what the cluster did")
        for what, took, said in times.rows:
            terminalreporter.write_line(f"{what:<58} {took:>8.1f} s   {said}")


@pytest.fixture(scope="package")
def times(pytestconfig: pytest.Config) -> Times:
    return pytestconfig.stash[TIMES]


@pytest.fixture(scope="package")
def kubeconfig(store_folder: Path, times: Times) -> Iterator[Path]:
    named, kube = os.environ.get("CAPSTAN_TEST_KUBECONFIG"), os.environ.get("CAPSTAN_TEST_KUBE")
    if named:
        yield Path(named)
    elif kube:
        with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
            patch.setenv("CAPSTAN_TEST_REGISTRY", images.REGISTRY)
            patch.setenv("CAPSTAN_TEST_CLIENT_IMAGE", images.CLIENT.rpartition("/")[2])
            with times.of("a Kubernetes, its images built and loaded"):
                try:
                    made = stack.enter_context(machine.running(Path(kube), store_folder / "cluster"))
                except machine.NoClusterError as error:
                    pytest.skip(f"{kube}: {error}")
            yield made
    else:
        pytest.skip("neither CAPSTAN_TEST_KUBECONFIG nor CAPSTAN_TEST_KUBE names a cluster")


@pytest.fixture(scope="package")
def cluster(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory, times: Times) -> Iterator[Cluster]:
    made = Cluster(kubeconfig, assemble(tmp_path_factory.mktemp("chart") / "capstan"), times)
    made.clear()
    yield made
    made.clear()
