"""A Kubernetes of this machine's own: a folder with a `kube.py` that starts one, named by `CAPSTAN_TEST_KUBE`.

`kube.py` knows `up`, `down` and `load ARCHIVE…`, and takes its state's folder from `KUBE_RUN` and its port from
`KUBE_API_PORT`. It needs root; so do the images, which are built here and loaded.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import images
from tests.stack import free_port

UP_PATIENCE_S = 300


class NoClusterError(Exception):
    """There is none to be had here; the text says why."""


@contextmanager
def running(source: Path, folder: Path) -> Iterator[Path]:
    """Start the Kubernetes of `source`, copied to `folder`, with this checkout's images in it; yields its kubeconfig.

    Raises:
        NoClusterError: a program is missing, or it does not come up.
        subprocess.CalledProcessError: an image cannot be built or loaded.
    """
    if lacking := images.missing((*images.TOOLS, "kubectl")):
        raise NoClusterError(f"{', '.join(lacking)}: not installed here")
    folder.mkdir()
    kube = shutil.copytree(source, folder / "kube") / "kube.py"
    # What it unpacks goes beside it, and a source may be read-only.
    for path in (kube.parent, *kube.parent.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    run = folder / "run"
    environment = {**os.environ, "KUBE_RUN": str(run), "KUBE_API_PORT": str(free_port())}

    def do(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(kube), *arguments]
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=UP_PATIENCE_S, check=False)

    up = do("up")
    if up.returncode:
        raise NoClusterError(f"{kube} up: {(up.stdout + up.stderr)[-500:]}")
    try:
        for archive in images.build(folder):
            do("load", str(archive)).check_returncode()
            archive.unlink()
        yield run / "kubeconfig"
    finally:
        do("down")
