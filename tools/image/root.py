"""A root file system with Python and nothing else.

`python3 -m tools.image.root TARGET [--for FOLDER…] [--with PROGRAM…]` makes it out of the one that it runs in: the
interpreter, its standard library without what `leftovers` names, the shared libraries that these need, those that the
packages in `--for` need, and the programs asked for. No shell, no package manager, no account but root and 65532. Any
base image of Debian's family does, whichever way it came by Python.
"""

from __future__ import annotations

import argparse
import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

from tools.image.leftovers import PYTHON, reason
from tools.image.trim import files

USER = 65532
ACCOUNTS = {
    # PostgreSQL and PyTorch want a name for their user.
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\ncapstan:x:{USER}:{USER}:Capstan:/tmp:/usr/sbin/nologin\n",
    "group": f"root:x:0:\ncapstan:x:{USER}:\n",
}
KEPT = ("/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates",
        "/usr/lib/os-release", "/etc/os-release", "/etc/debian_version")  # fmt: skip
"""How names are looked up, where libraries are, whom TLS trusts, and what scanners read first."""
LOADED_LATE = ("libgcc_s.so.1",)
"""What the C library loads by itself, to end a thread."""
LINKED = re.compile(r"(/\S+) \(0x")
MISSING = re.compile(r"(\S+) => not found")
LOADABLE = (2, 3)
"""Types of ELF files that a loader reads (elf(5), e_type): programs and shared objects."""
TIMEOUT_S = 60


def linked(said: str) -> tuple[set[Path], set[str]]:
    """Read what `ldd` says: the files that would be loaded, and the names of those that it did not find."""
    return {Path(found) for found in LINKED.findall(said)}, set(MISSING.findall(said))


def real(path: Path) -> Path:
    """The same file under its own name, in a folder that is no link: /lib/x becomes /usr/lib/x."""
    return path.parent.resolve() / path.name


def owners(said: str) -> set[str]:
    """Read what `dpkg-query --search` says: the names of packages. Diversions are told in words, and are none."""
    told = (line for line in said.splitlines() if " diversion" not in f" {line}"[:20])
    return {name.strip() for line in told for name in line.partition(": ")[0].split(",") if name}


class Root:
    """The file system below `target`, while it grows."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._carried: set[Path] = set()
        for name in ("tmp", "etc", "proc", "sys", "dev", "root", "usr/bin", "var/lib/dpkg/status.d"):
            (target / name).mkdir(parents=True, exist_ok=True)
        (target / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            if (Path("/") / name).is_symlink():
                (target / name).symlink_to((Path("/") / name).readlink())

    def carry(self, path: Path) -> None:
        """Copy a file, with its content where it is a link. A folder comes whole. What is not there does not."""
        if path.is_dir():
            for each in path.rglob("*"):
                if not each.is_dir() and each.exists():
                    self.carry(each)
        elif path.exists() and (place := real(path)) not in self._carried:
            self._carried.add(place)
            copy = self._target / place.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)

    def carry_python(self) -> list[Path]:
        """Copy the interpreter under all its names, and its library; answer what of it is machine code."""
        library = Path(sysconfig.get_path("stdlib"))
        kept = [library / path for path in files(library) if reason(PurePosixPath(path), PYTHON) is None]
        for path in kept:
            self.carry(path)
        program = Path(sys.executable).resolve()
        self.carry(program)
        for name in ("python3", "python"):
            link = self._target / program.parent.relative_to("/") / name
            link.symlink_to(program.name)
        compileall.compile_dir(
            self._target / library.relative_to("/"), quiet=2, workers=0, stripdir=str(self._target), prependdir="/"
        )
        return [program, *(path for path in kept if path.suffix == ".so")]

    def carry_libraries(self, objects: Collection[Path], *, but_in: Collection[Path]) -> None:
        """Copy what the loader would load for `objects`, but what is in the folders that are in the image anyway.

        Raises `FileNotFoundError` for a library that is nowhere. One that a package brings may be out of the loader's
        sight: by then the package has loaded it by itself, as PyTorch does.
        """
        brought = {path.name for path in machine_code(but_in)}
        needed: set[Path] = set()
        for path in objects:
            found, missing = linked(ask("ldd", str(path)))
            if missing - brought:
                raise FileNotFoundError(f"{path} needs {sorted(missing - brought)}")
            needed |= found
        needed |= {path.parent / late for path in needed for late in LOADED_LATE if (path.parent / late).exists()}
        for path in sorted(needed):
            if not any(path.is_relative_to(folder) for folder in but_in):
                self.carry(path)

    def write_accounts(self) -> None:
        """Write who there is."""
        for name, text in ACCOUNTS.items():
            (self._target / "etc" / name).write_text(text)

    def write_packages(self) -> None:
        """Write of which packages of the system the files are, and their licences, as distroless images do."""
        names = {spelled for path in self._carried for spelled in (str(path), str(path).removeprefix("/usr"))}
        for package in sorted(owners(ask("dpkg-query", "--search", *sorted(names), check=False))):
            entry = ask("dpkg-query", "--status", package)
            (self._target / "var/lib/dpkg/status.d" / package.partition(":")[0]).write_text(entry)
            self.carry(Path("/usr/share/doc") / package.partition(":")[0] / "copyright")


def ask(*line: str, check: bool = True) -> str:
    """Run a program; answer what it printed. Raises `CalledProcessError` and `TimeoutExpired`."""
    return subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_S, check=check).stdout


def machine_code(folders: Iterable[Path]) -> Iterator[Path]:
    """Every program and every shared object below `folders`."""
    for folder in folders:
        for path in files(folder):
            if (folder / path).is_file() and not path.suffix.startswith(".py"):
                with (folder / path).open("rb") as file:
                    head = file.read(17)
                if head.startswith(b"\x7fELF") and head[16] in LOADABLE:
                    yield folder / path


def main(arguments: list[str]) -> int:
    """Make the root; print how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", type=Path)
    parser.add_argument("--for", dest="folders", type=Path, nargs="*", default=[], help="folders with extensions")
    parser.add_argument("--with", dest="programs", nargs="*", default=[], help="programs beside Python")
    options = parser.parse_args(arguments)
    root = Root(options.target)
    programs = [Path(found) for name in options.programs if (found := shutil.which(name))]
    if len(programs) != len(options.programs):
        parser.error(f"of {options.programs} there are only {[str(path) for path in programs]}")
    for path in (*map(Path, KEPT), *programs):
        root.carry(path)
    objects = [*root.carry_python(), *programs, *machine_code(options.folders)]
    root.carry_libraries(objects, but_in=options.folders)
    root.write_accounts()
    root.write_packages()
    print(f"{sum((options.target / path).lstat().st_size for path in files(options.target)) / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
