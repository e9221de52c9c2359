"""What belongs into `.venv`, decided without touching one."""

from pathlib import Path

import pytest

from tools.install import plan
from tools.install.plan import Machine

HERE = Machine("linux", "x86_64", "3.11.7")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in (*plan.LOCKS.values(), "pyproject.toml"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_only_the_cpu_build_of_pytorch_matches() -> None:
    """A local version is matched by itself alone (PEP 440), so no index can slip in a CUDA build."""
    assert plan.torch_requirement() == "torch==2.13.0+cpu"


@pytest.mark.parametrize("processor", ["x86_64", "AMD64", "aarch64", "arm64"])
def test_linux_on_the_usual_processors_is_supported(processor: str) -> None:
    assert plan.unsupported(Machine("linux", processor, "3.12.1")) == ""


@pytest.mark.parametrize("machine", [Machine("darwin", "arm64", "3.12.1"), Machine("linux", "riscv64", "3.12.1")])
def test_other_machines_are_refused_in_one_sentence(machine: Machine) -> None:
    assert "published for" in plan.unsupported(machine)


def test_the_fingerprint_stays_while_nothing_changes(checkout: Path) -> None:
    assert plan.fingerprint(checkout, "cpu", HERE) == plan.fingerprint(checkout, "cpu", HERE)


@pytest.mark.parametrize("name", ["requirements-cpu.lock", "pyproject.toml"])
def test_a_changed_file_changes_the_fingerprint(checkout: Path, name: str) -> None:
    before = plan.fingerprint(checkout, "cpu", HERE)
    (checkout / name).write_text("changed")
    assert plan.fingerprint(checkout, "cpu", HERE) != before


def test_another_python_changes_the_fingerprint(checkout: Path) -> None:
    other = Machine("linux", "x86_64", "3.12.1")
    assert plan.fingerprint(checkout, "cpu", HERE) != plan.fingerprint(checkout, "cpu", other)


def test_another_profiles_lock_does_not(checkout: Path) -> None:
    before = plan.fingerprint(checkout, "cpu", HERE)
    (checkout / "requirements-dev.lock").write_text("changed")
    assert plan.fingerprint(checkout, "cpu", HERE) == before


def test_what_the_tests_need_contains_what_running_needs() -> None:
    assert plan.satisfied_profiles("dev") == ("dev", "cpu")
    assert plan.satisfied_profiles("cpu") == ("cpu",)


@pytest.mark.parametrize("damage", ["", "{", "[]", "5", '"x"'])
def test_a_damaged_stamp_means_nothing_is_installed(tmp_path: Path, damage: str) -> None:
    (tmp_path / plan.STAMP).write_text(damage)
    assert plan.read_stamp(tmp_path) == {}


def test_a_stamp_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert plan.read_stamp(tmp_path) == {}
    plan.write_stamp(tmp_path, {"cpu": "abc"})
    assert plan.read_stamp(tmp_path) == {"cpu": "abc"}
