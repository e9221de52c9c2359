"""The steps around pip: turns, room, and no CUDA."""

import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools.install.__main__ import refusal
from tools.install.program import (
    read_python_version,
    refuse_cuda,
    refuse_without_space,
    taking_turns,
)
from tools.local.problem import Problem
from tools.local.progress import Progress

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9), (3, 13, 2)])
def test_supported_pythons_are_not_refused(version: tuple[int, ...]) -> None:
    assert refusal(version) == ""


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 13), (3, 14, 0), (4, 0, 0)])
def test_another_python_is_told_which_to_use(version: tuple[int, ...]) -> None:
    assert "3.11, 3.12 or 3.13" in refusal(version)
    assert ".".join(map(str, version)) in refusal(version)


def test_the_cpu_build_alone_passes() -> None:
    refuse_cuda({"torch": "2.13.0+cpu", "numpy": "2.4.6"})


@pytest.mark.parametrize(
    "installed",
    [{"torch": "2.13.0"}, {"torch": "2.13.0+cu130"}, {}, {"torch": "2.13.0+cpu", "nvidia-cublas-cu13": "13.0"}],
)
def test_a_cuda_build_is_refused(installed: dict[str, str]) -> None:
    with pytest.raises(Problem, match="CUDA build"):
        refuse_cuda(installed)


def test_room_is_asked_for_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.install.plan.NEEDED_BYTES", 1 << 60)
    with pytest.raises(Problem, match="the packages need"):
        refuse_without_space(tmp_path)


def test_two_installations_take_turns(tmp_path: Path) -> None:
    stream = io.StringIO()
    order: list[str] = []
    inside, release = threading.Event(), threading.Event()

    def first() -> None:
        with taking_turns(tmp_path / "lock", Progress(io.StringIO())):
            inside.set()
            release.wait(30)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(30)
    threading.Timer(0.05, release.set).start()
    with taking_turns(tmp_path / "lock", Progress(stream, live=False)):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting for it to end" in stream.getvalue()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(Problem, match="cannot be written"),
        taking_turns(tmp_path / "gone" / "lock", Progress(io.StringIO())),
    ):
        pass


def test_an_environment_without_its_programs_counts_as_none(tmp_path: Path) -> None:
    assert read_python_version(tmp_path) == ""
    (tmp_path / "pyvenv.cfg").write_text("home = /usr\nversion = 3.11.7\n")
    assert read_python_version(tmp_path) == ""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "bin" / "pip").touch()
    assert read_python_version(tmp_path) == "3.11.7"


def test_the_installer_needs_nothing_that_is_installed() -> None:
    """It runs before anything is: isolated from site-packages it must still explain itself."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "tools.install", "--help"],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Install Capstan into .venv" in done.stdout
