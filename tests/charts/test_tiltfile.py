"""The Tiltfile, evaluated by a Starlark interpreter: what it would build, install, synchronize and offer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.charts.conftest import RELEASE, Render, environment, of_kind, one
from tools.charts.assemble import ROOT, roster

Call = tuple[tuple[Any, ...], dict[str, Any]]

TILT = (
    "allow_k8s_contexts", "docker_build", "fall_back_on", "helm", "k8s_resource", "k8s_yaml", "local", "local_resource",
    "sync", "watch_file",
)  # fmt: skip


@pytest.fixture(scope="module")
def calls() -> dict[str, list[Call]]:
    """Every call of Tilt's functions; each answers its own name and arguments."""
    starlark = pytest.importorskip("starlark", reason="starlark-pyo3 is not installed: `make test` installs it")
    made: dict[str, list[Call]] = {name: [] for name in TILT}

    def recorder(name: str) -> Callable[..., Any]:
        def record(*arguments: Any, **named: Any) -> Any:
            made[name].append((arguments, named))
            return [name, *arguments]

        return record

    module = starlark.Module()
    for name in TILT:
        module.add_callable(name, recorder(name))
    module.add_callable("read_yaml", lambda path: yaml.safe_load((ROOT / path).read_text()))
    module["TRIGGER_MODE_MANUAL"] = "manual"
    dialect = starlark.Dialect.extended()
    tree = starlark.parse("Tiltfile", (ROOT / "Tiltfile").read_text(), dialect)
    starlark.eval(module, tree, starlark.Globals.standard())
    return made


def test_it_is_short() -> None:
    assert len((ROOT / "Tiltfile").read_text().splitlines()) < 60


def test_it_knows_the_roster_and_nothing_that_is_not_installed(calls: dict[str, list[Call]], render: Render) -> None:
    shown = {arguments[0] for arguments, _ in calls["k8s_resource"]}
    installed = {each["metadata"]["name"] for each in of_kind(render(environment("tilt")), "Deployment", "StatefulSet")}
    assert shown == installed
    assert {name.removeprefix(f"{RELEASE}-") for name in shown} >= set(roster()) - {"inference"}


def test_it_builds_what_the_environment_runs(calls: dict[str, list[Call]], render: Render) -> None:
    used = {
        container["image"].rpartition(":")[0]
        for each in of_kind(render(environment("tilt")), "Deployment", "StatefulSet", "Job")
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert {arguments[0] for arguments, _ in calls["docker_build"]} == used
    stages = {line.split(" AS ")[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if " AS " in line}
    assert {named["target"] for _, named in calls["docker_build"]} <= stages


def test_what_is_saved_goes_where_python_finds_it(calls: dict[str, list[Call]]) -> None:
    copied = {}
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--" not in line and len(line.split()) == 3:
            _, source, destination = line.split()
            copied[source] = destination
    for (source, destination), _ in calls["sync"]:
        assert copied[source] == destination
        assert (ROOT / source).is_dir()
    [only] = [named["only"] for _, named in calls["docker_build"] if "only" in named]
    assert all((ROOT / path).exists() for path in only)


def test_it_installs_the_umbrella_with_the_environment_of_development(calls: dict[str, list[Call]]) -> None:
    [((chart,), named)] = calls["helm"]
    [((command,), _)] = calls["local"]
    assert command.endswith(f"assemble {chart}")
    assert named["name"] == RELEASE
    [values] = named["values"]
    assert (ROOT / values).is_file()


def test_the_button_asks_the_model_that_is_there(calls: dict[str, list[Call]], render: Render) -> None:
    [((name,), named)] = calls["local_resource"]
    assert (name, named["auto_init"], named["trigger_mode"]) == ("ask", False, "manual")
    program, dash_m, module, option, model = named["cmd"].split()
    assert (program, dash_m, option) == ("python3", "-m", "--model")
    assert model in [each["name"] for each in environment("tilt")["global"]["models"]]
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert shown.returncode == 0


def test_pods_of_development_start_anew_when_files_change(render: Render) -> None:
    pod = one(render(environment("tilt")), "Deployment", "capstan-auth")["spec"]["template"]["spec"]["containers"][0]
    assert pod["args"] == ["chassis.reload", "services.auth"]
