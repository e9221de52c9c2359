"""The images of this checkout, built without a Docker daemon for a cluster that runs as root on this machine.

Buildah builds the project's own Dockerfile. Its base image is a stand-in, made of Debian's packages, because the
machine may reach no registry; what is on top of it is what a release has. The client's image is the one for
development, which has a shell, with the official SDK.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.local.launch import ROOT
from tools.lock.pick import pick

REGISTRY = "localhost"
"""Where Buildah says its own images are."""
VERSION = metadata.version("capstan")
BASE = f"{REGISTRY}/capstan-test-python"
CLIENT = f"{REGISTRY}/capstan-client:{VERSION}"
TOOLS = ("buildah", "mmdebstrap")
BUILD_PATIENCE_S = 900

_BASE_PACKAGES = "python3,python3-venv,python3-pip"
_CLIENT_FILE = f"""\
FROM {BASE} AS sdk
COPY client.lock ./
RUN python3 -m pip install -q --no-cache-dir --no-deps --require-hashes --target /opt/sdk -r client.lock
FROM {REGISTRY}/capstan-development:{VERSION}
COPY --from=sdk /opt/sdk /opt/sdk
ENV PYTHONPATH=/opt/sdk
"""


def build(folder: Path) -> list[Path]:
    """Build what a release with the simulator needs, in `folder`; answer the archives to load. Takes minutes.

    Raises:
        subprocess.CalledProcessError: a build failed; its output went to standard error.
    """
    _base(folder)
    names = {target: f"{REGISTRY}/capstan-{target}:{VERSION}" for target in ("services", "stores", "development")}
    for target, name in names.items():
        _bud("--build-arg", f"PYTHON_IMAGE={BASE}", "--target", target, "-t", name, str(ROOT))
    context = folder / "client"
    context.mkdir(exist_ok=True)
    (context / "client.lock").write_text(pick((ROOT / "requirements-dev.lock").read_text(), _closure("openai")))
    (context / "Dockerfile").write_text(_CLIENT_FILE)
    _bud("-t", CLIENT, str(context))
    return [_archive(folder, name) for name in (names["services"], names["stores"], CLIENT)]


def _base(folder: Path) -> None:
    """Make the stand-in, unless an earlier run left one."""
    look = ["buildah", "inspect", "--type", "image", BASE]
    if subprocess.run(look, capture_output=True, check=False).returncode == 0:
        return
    root = folder / "base.tar"
    _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_BASE_PACKAGES}", "bookworm", str(root))
    working = subprocess.run(["buildah", "from", "scratch"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        _run("buildah", "add", "--quiet", working, str(root), "/")
        _run("buildah", "commit", "--quiet", working, BASE)
    finally:
        _run("buildah", "rm", working)
        root.unlink()


def _bud(*arguments: str) -> None:
    certificates = "/etc/ssl/certs"
    _run(
        *("buildah", "bud", "--quiet", "--isolation", "chroot", "--pull-never", "--layers"),
        *("--volume", f"{certificates}:{certificates}:ro"),
        *arguments,
    )


def _archive(folder: Path, name: str) -> Path:
    path = folder / f"{name.rpartition('/')[2].partition(':')[0]}.tar"
    _run("buildah", "push", "--quiet", name, f"docker-archive:{path}:{name}")
    return path


def _closure(name: str) -> set[str]:
    """Answer a distribution and all that it needs, as the running environment has them."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = canonicalize_name(waiting.pop())
        if one not in found:
            found.add(one)
            needs = [Requirement(each) for each in metadata.requires(one) or ()]
            waiting += [each.name for each in needs if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def _run(*line: str) -> None:
    subprocess.run(line, check=True, timeout=BUILD_PATIENCE_S, stdout=sys.stderr)


def missing(tools: Sequence[str]) -> list[str]:
    """Answer which of the programs are not here."""
    return [tool for tool in tools if shutil.which(tool) is None]
