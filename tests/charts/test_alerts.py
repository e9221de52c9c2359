"""Alerts on money and metering go by metrics that exist, and say what they are thought to say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.conftest import Render, of_kind
from tools.charts.assemble import ROOT, UMBRELLA

ALERTS = UMBRELLA / "files" / "alerts.yaml"
CASES = Path(__file__).with_name("alerts_test.yaml")
ON = {"global": {"prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}}}}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def series() -> set[str]:
    """What services are scraped for, by their sources: those of counters end in _total."""
    sources = "".join(path.read_text() for path in (ROOT / "services").glob("*/*.py"))
    counters = set(re.findall(r'Counter\(\s*"(capstan_[a-z_]+)"', sources))
    return set(re.findall(r'"(capstan_[a-z_]+)"', sources)) - counters | {f"{name}_total" for name in counters}


def test_they_are_made_for_the_operator_when_asked_for(render: Render) -> None:
    assert of_kind(render(), "PrometheusRule") == []
    [made] = of_kind(render(ON), "PrometheusRule")
    assert made["metadata"]["labels"]["release"] == "prometheus"
    assert made["spec"] == yaml.safe_load(ALERTS.read_text())


def test_they_go_by_metrics_that_services_have() -> None:
    asked = {name for rule in rules() for name in re.findall(r"capstan_[a-z_]+", rule["expr"])}
    assert asked
    assert asked <= series()


def test_each_says_how_bad_it_is_and_what_to_do_and_is_tried() -> None:
    tried, pages = yaml.safe_load(CASES.read_text()), (ROOT / "docs" / "operations.md").read_text()
    names = {case["alertname"] for test in tried["tests"] for case in test.get("alert_rule_test", ())}
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert f"`{rule['alert']}`" in pages
        assert rule["alert"] in names


def test_prometheus_makes_of_them_what_is_written() -> None:
    tool = os.environ.get("CAPSTAN_TEST_PROMTOOL") or shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed and CAPSTAN_TEST_PROMTOOL names none")
    for arguments in (["check", "rules", str(ALERTS)], ["test", "rules", str(CASES)]):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
