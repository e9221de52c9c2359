"""Where the packages keep their programs."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path


def package_folder(name: str) -> Path:
    """The folder of an installed package, which is not imported. Raises `ModuleNotFoundError`."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {name} is not installed")
    return Path(found.submodule_search_locations[0])


def processor() -> str:
    """The processor as packages name it: x86_64 or aarch64."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
