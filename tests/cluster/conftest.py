"""A real Kubernetes, named by `CAPSTAN_TEST_KUBECONFIG`; without one these tests are skipped.

The images have to be in it: `make images` builds them, and how they get into a cluster is the cluster's business.
`CAPSTAN_TEST_REGISTRY` is the registry part of their names, `CAPSTAN_TEST_ENGINE=simulator` does without vLLM, and
`CAPSTAN_TEST_PATIENCE_S` (default 600) is how long anything may take. `CAPSTAN_TEST_HELM` is a helm command to use
instead of Helm 4's library. `CAPSTAN_TEST_PREVIOUS_CHART` is the chart of an earlier release, to upgrade from:

    git worktree add /tmp/earlier COMMIT && (cd /tmp/earlier && python -m tools.charts assemble build/chart)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def times(pytestconfig: pytest.Config) -> Times:
    return pytestconfig.stash[TIMES]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, times: Times) -> Iterator[Cluster]:
    kubeconfig = os.environ.get("CAPSTAN_TEST_KUBECONFIG")
    if not kubeconfig:
        pytest.skip("CAPSTAN_TEST_KUBECONFIG names no cluster")
    made = Cluster(Path(kubeconfig), assemble(tmp_path_factory.mktemp("chart") / "capstan"), times)
    made.clear()
    yield made
    made.clear()
