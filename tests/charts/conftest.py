"""The charts, rendered by Helm itself, without a cluster."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.charts.assemble import UMBRELLA, assemble

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]

ENVIRONMENTS = UMBRELLA.parent / "environments"
RELEASE, NAMESPACE = "capstan", "ai"
MODEL: Manifest = {"name": "Llama-3.1:8b", "source": "hf://meta-llama/Llama-3.1-8B-Instruct"}


def names_of_environments() -> list[str]:
    return sorted(path.stem for path in ENVIRONMENTS.glob("*.yaml"))


def environment(name: str) -> Manifest:
    values: Manifest = yaml.safe_load((ENVIRONMENTS / f"{name}.yaml").read_text())
    return values


@pytest.fixture(scope="session")
def helm() -> Any:
    return pytest.importorskip("helm_python", reason="helm-python-sdk is not installed: `make test` installs it")


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assemble(tmp_path_factory.mktemp("chart") / "capstan")


@pytest.fixture(scope="session")
def files(helm: Any, chart: Path) -> Callable[[Manifest | None], dict[str, str]]:
    """Render values to the text of each template's output, by its path in the chart."""

    @functools.cache
    def rendered(values: str) -> dict[str, str]:
        with helm.Chart.load(chart) as loaded:  # anew: rendering leaves a chart without what its values left out
            made: dict[str, str] = loaded.render(json.loads(values), name=RELEASE, namespace=NAMESPACE)
        return {path.removeprefix("capstan/"): text for path, text in made.items()}

    return lambda values=None: rendered(json.dumps(values or {}, sort_keys=True))


@pytest.fixture(scope="session")
def render(files: Callable[[Manifest | None], dict[str, str]]) -> Render:
    """Render values to objects, in the order of the templates' names."""

    def objects(values: Manifest | None = None) -> list[Manifest]:
        texts = [text for path, text in sorted(files(values).items()) if path.endswith(".yaml")]
        return [document for text in texts for document in yaml.safe_load_all(text) if document]

    return objects


def one(objects: list[Manifest], kind: str, name: str) -> Manifest:
    [found] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def of_kind(objects: list[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in objects if each["kind"] in kinds]


def pods(objects: list[Manifest]) -> list[tuple[str, Manifest]]:
    """Every pod that the objects make, with a name for messages."""
    found = [
        (f"{each['kind']}/{each['metadata']['name']}", each["spec"]["template"])
        for each in of_kind(objects, "Deployment", "StatefulSet", "Job")
    ]
    return found + [(f"Pod/{each['metadata']['name']}", each) for each in of_kind(objects, "Pod")]


def settings_of(pod: Manifest) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}


def examples() -> Path:
    return Path(__file__).with_name("goldens")
