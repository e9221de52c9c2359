"""Which files nobody reads in a container: of installed packages, and of Python itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Final

IMPORTED: Final = re.compile(r"^\s*(?:from|import)\s+([\w.]+)", re.MULTILINE)

PACKAGES: Final = {
    "a package's own tests": ("tests/", "*/tests/", "torch/test/", "torch/bin/test_*"),
    "programs of packages; a container starts modules": ("bin/",),
    "for compilers and type checkers": (
        "include/",
        "*/include/",
        "*.[acho]",
        "*.cpp",
        "*.py[ix]",
        "*.pxd",
        "*.cmake",
        "torch/bin/protoc*",
    ),
    "numpy for Fortran": ("numpy/f2py/",),
    "a client of Kubernetes for asyncio; the router's is a thread": ("kubernetes/aio/",),
    "byte code is compiled from what is left": ("__pycache__/", "*/__pycache__/"),
}
"""Reason to patterns, relative to the folder of packages. One that ends in a slash is a folder with all it holds."""

PYTHON: Final = {
    "Python's own tests": ("test/", "*/test/", "*/tests/", "lib-dynload/_*test*", "lib-dynload/xx*"),
    "what installs packages": ("ensurepip/", "venv/", "distutils/", "site-packages/", "dist-packages/"),
    "what compiles extensions": ("config-*/",),
    "windows and terminals": (
        "idlelib/", "tkinter/", "turtledemo/", "turtle.py", "curses/", "lib-dynload/_tkinter*", "lib-dynload/_curses*",
        "lib-dynload/readline*", "lib-dynload/ossaudiodev*",
    ),
    "databases and directories of the system": ("dbm/", "lib-dynload/_dbm*", "lib-dynload/_gdbm*", "lib-dynload/nis*"),
    "help and translation of sources": ("pydoc_data/", "lib2to3/"),
    "byte code is compiled from what is left": ("__pycache__/", "*/__pycache__/"),
}  # fmt: skip
"""The same for the standard library."""


def reason(path: PurePosixPath, rules: dict[str, tuple[str, ...]]) -> str | None:
    """Answer why the file at `path` is left out; None: it stays."""
    folders = [f"{folder}/" for folder in path.parents if folder.name]
    for why, patterns in rules.items():
        for pattern in patterns:
            if any(fnmatch(name, pattern) for name in (folders if pattern.endswith("/") else (str(path),))):
                return why
    return None


def reachable(sources: Mapping[str, str], start: Collection[str]) -> set[str]:
    """Answer which modules of `sources` (name to text) those in `start` import, directly or not, with themselves.

    Kubernetes' client has a module for each API group and for each object of each version, 900 in all. Raises
    `KeyError` for a start that is not there.
    """
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += {each for each in IMPORTED.findall(sources[name]) if each in sources}
    return found
