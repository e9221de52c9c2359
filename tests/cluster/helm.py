"""Helm, with a deadline: Helm 4 as a library, or the command that `CAPSTAN_TEST_HELM` names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml


class Helm(Protocol):
    """One release of one namespace. Whatever changes it waits until everything is ready."""

    def install(self, chart: Path, values: dict[str, Any]) -> None:
        """Install it, in a namespace that is made."""

    def upgrade(self, chart: Path, values: dict[str, Any]) -> None:
        """Upgrade it."""

    def roll_back(self, revision: int) -> None:
        """Go back to a revision."""

    def test(self) -> str:
        """Run the chart's own tests; answer their logs."""

    def uninstall(self) -> None:
        """Remove it."""


def helm(kubeconfig: Path, namespace: str, release: str, patience_s: int) -> Helm:
    """Make the one that the environment asks for."""
    command = os.environ.get("CAPSTAN_TEST_HELM")
    if command:
        return Command(command, kubeconfig, namespace, release, patience_s)
    pytest.importorskip("helm_python", reason="helm-python-sdk is not installed: `make test` installs it")
    return Library(kubeconfig, namespace, release, patience_s)


class Library:
    """See `Helm`."""

    def __init__(self, kubeconfig: Path, namespace: str, release: str, patience_s: int) -> None:
        from helm_python import Config

        self._config = Config(kubeconfig_path=kubeconfig, namespace=namespace)
        self._namespace = namespace
        self._release = release
        self._patience_s = patience_s

    @property
    def _waiting(self) -> dict[str, Any]:
        return {"wait": "legacy", "timeout": self._patience_s}

    def install(self, chart: Path, values: dict[str, Any]) -> None:
        """See `Helm`."""
        self._config.install(
            chart, self._release, values, namespace=self._namespace, create_namespace=True, **self._waiting
        )

    def upgrade(self, chart: Path, values: dict[str, Any]) -> None:
        """See `Helm`."""
        self._config.upgrade(chart, self._release, values, namespace=self._namespace, **self._waiting)

    def roll_back(self, revision: int) -> None:
        """See `Helm`."""
        self._config.rollback(self._release, version=revision, **self._waiting)

    def test(self) -> str:
        """See `Helm`."""
        return str(self._config.test(self._release, timeout=self._patience_s, logs=True).get("logs", ""))

    def uninstall(self) -> None:
        """See `Helm`."""
        self._config.uninstall(self._release, **self._waiting)


class Command:
    """See `Helm`. The command may be Helm 3.6 or later."""

    def __init__(self, command: str, kubeconfig: Path, namespace: str, release: str, patience_s: int) -> None:
        self._line = [command, "--kubeconfig", str(kubeconfig), "--namespace", namespace]
        self._release = release
        self._patience_s = patience_s

    def install(self, chart: Path, values: dict[str, Any]) -> None:
        """See `Helm`."""
        self._run("install", str(chart), "--create-namespace", "--wait", "--values", "-", said=yaml.safe_dump(values))

    def upgrade(self, chart: Path, values: dict[str, Any]) -> None:
        """See `Helm`."""
        self._run("upgrade", str(chart), "--wait", "--values", "-", said=yaml.safe_dump(values))

    def roll_back(self, revision: int) -> None:
        """See `Helm`."""
        self._run("rollback", str(revision), "--wait")

    def test(self) -> str:
        """See `Helm`; without logs, which Helm 3 asks for after it has removed the pods that succeeded."""
        return self._run("test")

    def uninstall(self) -> None:
        """See `Helm`."""
        self._run("uninstall")

    def _run(self, what: str, *arguments: str, said: str | None = None) -> str:
        line = [*self._line, what, self._release, *arguments, "--timeout", f"{self._patience_s}s"]
        done = subprocess.run(
            line, input=said, capture_output=True, text=True, timeout=self._patience_s + 60, check=False
        )
        assert done.returncode == 0, f"helm {what}: {done.stderr}{done.stdout}"
        return done.stdout
