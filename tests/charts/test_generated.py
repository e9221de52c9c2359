"""What is generated into the charts is fresh, and the roster stands once."""

import re
from pathlib import Path

import yaml

from tests.charts.conftest import Render, of_kind, pods
from tools.charts.__main__ import stale
from tools.charts.assemble import CHARTS, ROOT, UMBRELLA, roster

LIBRARY = "chassis"


def folders(place: Path, marker: str) -> set[str]:
    return {path.relative_to(place).parts[0] for path in place.glob(f"*/{marker}")}


def test_schemas_and_readmes_are_what_the_values_say() -> None:
    assert stale() == []


def test_services_charts_and_protos_are_the_roster() -> None:
    names = set(roster())
    assert folders(ROOT / "services", "settings.py") == names
    assert folders(CHARTS, "Chart.yaml") == names | {LIBRARY}
    assert names - folders(ROOT / "protos" / "capstan", "v1") == {"gateway"}  # it offers no gRPC


def test_every_service_of_the_roster_is_rendered_and_can_be_left_out(render: Render) -> None:
    def services(values: dict[str, object] | None = None) -> set[str]:
        labels = [pod["metadata"]["labels"] for _, pod in pods(of_kind(render(values), "Deployment", "StatefulSet"))]
        return {each["app.kubernetes.io/component"] for each in labels} - {"postgres", "valkey"}

    assert services() == set(roster()) - {"inference"}  # it has no pod without a model
    assert services({"moderation": {"enabled": False}}) == set(roster()) - {"inference", "moderation"}


def test_the_charts_have_the_version_of_the_distribution() -> None:
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    for folder in (*CHARTS.iterdir(), UMBRELLA):
        chart = yaml.safe_load((folder / "Chart.yaml").read_text())
        wanted = {chart["version"], chart["appVersion"], *(each["version"] for each in chart.get("dependencies", []))}
        assert wanted == {version[1]}, folder


def test_every_service_chart_has_its_values_in_the_same_order() -> None:
    orders = [
        list(yaml.safe_load((CHARTS / name / "values.yaml").read_text())) for name in roster() if name != "inference"
    ]
    common = set.intersection(*map(set, orders))
    assert {tuple(key for key in order if key in common) for order in orders} == {
        tuple(key for key in orders[0] if key in common)
    }
    assert len(common) >= 12


def test_a_template_of_a_service_is_one_line_or_the_gateways_own() -> None:
    long = {
        f"{path.parts[-3]}/{path.name}"
        for name in roster()
        for path in (CHARTS / name / "templates").glob("*.yaml")
        if len(path.read_text().splitlines()) > 1
    }
    assert long == {
        "gateway/service.yaml",
        "gateway/service-admin.yaml",
        "gateway/ingress.yaml",
        "gateway/httproute.yaml",
        "inference/networkpolicy.yaml",
    }
