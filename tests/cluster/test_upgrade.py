"""From an earlier release's chart to this one's, in an empty namespace; `conftest` says how to get that chart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.cluster import MODEL, Cluster
from tests.cluster.test_cluster import broken, secrets

PREVIOUS = os.environ.get("CAPSTAN_TEST_PREVIOUS_CHART")


@pytest.mark.skipif(not PREVIOUS, reason="CAPSTAN_TEST_PREVIOUS_CHART names no chart")
def test_an_earlier_release_is_upgraded_under_streams_and_its_key_goes_on_working(cluster: Cluster) -> None:
    assert PREVIOUS
    cluster.clear()
    cluster.install(Path(PREVIOUS))
    cluster.api_key = cluster.first_key()["api_key"]
    cluster.start_client()
    before = secrets(cluster)
    with cluster.times.of("upgrade from an earlier chart under streams") as said:
        with cluster.under_load(2) as results:
            cluster.upgrade()
        said.append(f"{len(results)} streams, {len(broken(results))} broken")
    assert results
    assert broken(results) == []
    after = secrets(cluster)
    assert {name: after.get(name) for name in before} == before
    assert cluster.client("chat", MODEL)["text"]
    assert cluster.first_key() == {"exists": True}
    cluster.uninstall()
