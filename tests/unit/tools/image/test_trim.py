"""A folder of packages before and after."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path, PurePosixPath

import pytest

from tools.image.trim import files, is_shared_object, main, strip, unneeded


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


CLIENT = {
    "kubernetes/client/__init__.py": "",
    "kubernetes/client/rest.py": "",
    "kubernetes/client/api/__init__.py": "",
    "kubernetes/client/api/pods_api.py": "from kubernetes.client.models.pod import Pod\n",
    "kubernetes/client/api/jobs_api.py": "from kubernetes.client.models.job import Job\n",
    "kubernetes/client/models/__init__.py": "",
    "kubernetes/client/models/pod.py": "",
    "kubernetes/client/models/job.py": "",
}


def test_groups_that_nobody_asks_for_go_with_their_models(tmp_path: Path) -> None:
    going = unneeded(write(tmp_path, CLIENT), ["pods_api"])
    assert {str(path) for path in going} == {"kubernetes/client/api/jobs_api.py", "kubernetes/client/models/job.py"}


def test_without_a_named_group_the_client_stays_whole(tmp_path: Path) -> None:
    assert unneeded(write(tmp_path, CLIENT), []) == {}


def test_what_is_left_is_compiled_and_keeps_its_sources(tmp_path: Path) -> None:
    assert main([str(write(tmp_path, {"a/__init__.py": "x = 1\n", "a/tests/test_a.py": "", "a/b.h": ""}))]) == 0
    assert [path.parts[-1].split(".")[0] for path in files(tmp_path)] == ["__init__", "__init__"]
    assert sorted(path.suffix for path in files(tmp_path)) == [".py", ".pyc"]
    assert not (tmp_path / "a" / "tests").exists()


@pytest.mark.parametrize("name", ["libtorch.so", "libgfortran-04.so.5.0.0", "a/loop.cpython-311-x86_64-linux-gnu.so"])
def test_shared_objects_are_told_by_their_names(name: str) -> None:
    assert is_shared_object(PurePosixPath(name))


def test_sources_about_shared_objects_are_none() -> None:
    assert not is_shared_object(PurePosixPath("a/sofa.py"))


@pytest.mark.skipif(shutil.which("strip") is None, reason="binutils are not installed")
def test_what_auditwheel_rewrote_is_not_stripped(tmp_path: Path) -> None:
    (tmp_path / "numpy.libs").mkdir()
    untouched = tmp_path / "numpy.libs" / "libbroken.so.1"
    untouched.write_text("no object at all: strip would fail")
    strip(tmp_path)
    assert untouched.read_text().startswith("no object")


def test_this_python_names_its_extensions_as_expected() -> None:
    assert is_shared_object(PurePosixPath(f"module{sysconfig.get_config_var('EXT_SUFFIX')}"))
