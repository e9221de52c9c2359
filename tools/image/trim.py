"""Take out of a folder of packages what nobody reads: `python3 -m tools.image.trim FOLDER [--kubernetes-api MODULE…]`.

Then debug symbols are taken out of its shared objects, with `strip` of binutils, and byte code is written for what is
left. Function names stay in the objects, for traces of crashes.
"""

from __future__ import annotations

import argparse
import compileall
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from tools.image.leftovers import PACKAGES, reachable, reason

CLIENT = "kubernetes/client"
STRIP_TIMEOUT_S = 300


def files(folder: Path) -> Iterator[PurePosixPath]:
    """Every file below `folder`, links among them, relative to it."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield PurePosixPath(path.relative_to(folder).as_posix())


def unneeded(folder: Path, apis: Collection[str]) -> dict[PurePosixPath, str]:
    """Answer what goes, and why. `apis` are the modules of Kubernetes' client that stay; None of them: all do."""
    going = {path: why for path in files(folder) if (why := reason(path, PACKAGES))}
    if apis:
        parts = [path for kind in ("api", "models") for path in (folder / CLIENT / kind).glob("[!_]*.py")]
        sources = {".".join(path.relative_to(folder).with_suffix("").parts): path.read_text() for path in parts}
        kept = reachable(sources, [f"{CLIENT}/api/{name}".replace("/", ".") for name in apis])
        why = "of API groups that no service asks for"
        going |= {PurePosixPath(f"{name.replace('.', '/')}.py"): why for name in sources.keys() - kept}
    return going


def is_shared_object(path: PurePosixPath) -> bool:
    """Tell by its name: lib.so, lib.so.1, module.cpython-311-x86_64-linux-gnu.so."""
    return path.name.endswith(".so") or ".so." in path.name


def strip(folder: Path) -> None:
    """Take debug symbols out of shared objects. Raises `CalledProcessError` and `TimeoutExpired`.

    Not out of those that a wheel brings in `NAME.libs`: auditwheel has rewritten them, and stripped again some cannot
    be loaded (OpenBLAS: "ELF load command address/offset not page-aligned").
    """
    for path in files(folder):
        if is_shared_object(path) and not any(part.endswith(".libs") for part in path.parts):
            line = ["strip", "--strip-debug", str(folder / path)]
            subprocess.run(line, check=True, timeout=STRIP_TIMEOUT_S)


def remove_empty_folders(folder: Path) -> None:
    """Take away folders that hold nothing any more."""
    for path in sorted((each for each in folder.rglob("*") if each.is_dir() and not each.is_symlink()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()


def main(arguments: list[str]) -> int:
    """Trim; print what it brought."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kubernetes-api", nargs="*", default=[], metavar="MODULE")
    options = parser.parse_args(arguments)
    before = size_bytes(options.folder)
    for path in unneeded(options.folder, options.kubernetes_api):
        (options.folder / path).unlink()
    remove_empty_folders(options.folder)
    strip(options.folder)
    after = size_bytes(options.folder)
    compileall.compile_dir(options.folder, quiet=2, workers=0)
    compiled = size_bytes(options.folder)
    print(f"{before / 1e6:.0f} MB, trimmed {after / 1e6:.0f} MB, with byte code {compiled / 1e6:.0f} MB")
    return 0


def size_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below `folder`."""
    return sum((folder / path).lstat().st_size for path in files(folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
