"""The lock files are whole, agree with each other and with what the project asks for."""

import re
import tomllib
from pathlib import Path

import pytest

from tools.install.plan import TORCH_VERSION
from tools.lock.__main__ import EXTRAS, command

ROOT = Path(__file__).resolve().parents[3]
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)
NAME = re.compile(r"^[A-Za-z0-9._-]+")
NEVER = {"torch", "torchvision", "torchaudio", "torchcodec", "triton"}


def pins(name: str) -> set[tuple[str, str]]:
    return {(match[1], match[2]) for match in PIN.finditer((ROOT / name).read_text())}


def asked_for(extras: tuple[str, ...]) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return {found[0].lower().replace("_", "-") for each in lists for line in each if (found := NAME.match(line))}


@pytest.mark.parametrize("name", EXTRAS)
def test_every_pin_has_hashes(name: str) -> None:
    blocks = re.split(r"^(?=[a-z0-9.-]+==)", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    assert blocks
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("name", EXTRAS)
def test_everything_the_project_asks_for_is_pinned(name: str) -> None:
    missing = asked_for(EXTRAS[name]) - {pinned for pinned, _ in pins(name)}
    assert missing == set(), "run `make lock`"


@pytest.mark.parametrize("name", EXTRAS)
def test_no_cuda_and_no_pytorch_in_a_lock_file(name: str) -> None:
    names = {pinned for pinned, _ in pins(name)}
    assert names & NEVER == set()
    assert [pinned for pinned in names if pinned.startswith(("nvidia-", "cuda-"))] == []


def test_each_file_contains_the_smaller_one() -> None:
    assert pins("requirements.lock") <= pins("requirements-cpu.lock") <= pins("requirements-dev.lock")


def test_the_engine_gets_the_pytorch_it_was_resolved_with() -> None:
    settings = tomllib.loads((ROOT / "tools" / "lock" / "uv.toml").read_text())
    assert settings["override-dependencies"] == [f"torch=={TORCH_VERSION}"]
    assert NEVER - {"torch"} <= set(settings["exclude-dependencies"])


def test_the_largest_lock_constrains_the_others() -> None:
    assert "--constraint" not in command("uv", "requirements-dev.lock", upgrade=False)
    assert "--constraint" in command("uv", "requirements.lock", upgrade=False)
    assert command("uv", "requirements.lock", upgrade=True)[-1] == "--upgrade"
