"""What belongs into `.venv` and whether it is there: decisions only, nothing is run here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

TORCH_VERSION = "2.13.0"
LOCKS = {"cpu": "requirements-cpu.lock", "dev": "requirements-dev.lock"}
"""Profile to lock file; `dev` contains `cpu`."""
NEEDED_BYTES = 4 << 30
"""Free space for `.venv` (about 2 GB) and for pip's unpacking beside it."""
STAMP = "capstan-install.json"


@dataclass(frozen=True)
class Machine:
    """What decides about files: the operating system, the processor, the Python."""

    system: str
    """As `sys.platform` says: linux, darwin, win32."""
    processor: str
    """As `platform.machine()` says."""
    python: str
    """Full version, as 3.11.7."""


def unsupported(machine: Machine) -> str:
    """Why the CPU engine cannot be installed on `machine`; "" if it can."""
    if machine.system != "linux":
        return (
            "The CPU build of vLLM is published for Linux only (x86-64 and aarch64): run Capstan in a Linux container "
            "or virtual machine here."
        )
    if machine.processor.lower() not in {"x86_64", "amd64", "aarch64", "arm64"}:
        return f"The CPU build of vLLM is published for x86-64 and aarch64, and this machine is {machine.processor}."
    return ""


def torch_requirement() -> str:
    """PyTorch with its exact local version: `+cpu` matches no CUDA build, whatever index is asked."""
    return f"torch=={TORCH_VERSION}+cpu"


def fingerprint(root: Path, profile: str, machine: Machine) -> str:
    """A digest of everything that decides what `.venv` must contain for `profile`."""
    digest = hashlib.sha256()
    for part in (machine.python, machine.system, machine.processor, str(root), torch_requirement()):
        digest.update(part.encode() + b"\0")
    for name in (LOCKS[profile], "pyproject.toml"):
        digest.update((root / name).read_bytes() + b"\0")
    return digest.hexdigest()


def satisfied_profiles(profile: str) -> tuple[str, ...]:
    """The profiles that are complete once `profile` is."""
    return ("dev", "cpu") if profile == "dev" else ("cpu",)


def read_stamp(venv: Path) -> dict[str, str]:
    """Profile to the fingerprint it was installed with; empty where there is none or it is damaged."""
    try:
        stamp = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in stamp.items()} if isinstance(stamp, dict) else {}


def write_stamp(venv: Path, stamp: dict[str, str]) -> None:
    """Record what is installed; called last, so that an interrupted installation goes on the next time."""
    (venv / STAMP).write_text(json.dumps(stamp))
