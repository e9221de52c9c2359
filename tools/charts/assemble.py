"""The umbrella chart with its dependencies in it, as `helm dependency update` would make it, without a helm."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
UMBRELLA = ROOT / "deploy" / "helm" / "capstan"
CHARTS = ROOT / "charts"


def roster(umbrella: Path = UMBRELLA) -> list[str]:
    """Names of the umbrella's dependencies but the library: the services."""
    chart = yaml.safe_load((umbrella / "Chart.yaml").read_text(encoding="utf-8"))
    return [each["name"] for each in chart["dependencies"] if each["name"] != "chassis"]


def assemble(destination: Path) -> Path:
    """Copy the umbrella and its dependencies to `destination`, which must not exist yet; answer it."""
    shutil.copytree(UMBRELLA, destination, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    for name in ("chassis", *roster()):
        shutil.copytree(CHARTS / name, destination / "charts" / name)
    return destination
