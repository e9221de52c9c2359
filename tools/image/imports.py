"""Execute every import statement of some sources: `python3 imports.py FOLDER… [--without MODULE…]`.

Those inside of functions too, which a start does not reach: what an image lacks shows when it is built.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Collection, Iterator
from pathlib import Path


def statements(source: str) -> Iterator[tuple[str, str | None]]:
    """Every import of a module, as (module, name in it or None). Relative ones are not ours to resolve."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((each.name, None) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, each.name) for each in node.names)


def failure(module: str, name: str | None) -> str | None:
    """Import; answer what is wrong. None: nothing."""
    try:
        found = importlib.import_module(module)
        if name is not None and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ImportError as error:
        return f"{module}: {error}"
    return None


def failures(folders: Collection[Path], without: Collection[str]) -> list[str]:
    """Answer what cannot be imported, of all sources in `folders` but those of the packages `without`."""
    wanted = {
        each
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for each in statements(path.read_text(encoding="utf-8"))
        if each[0].partition(".")[0] not in without
    }
    return [said for module, name in sorted(wanted, key=str) if (said := failure(module, name))]


def main(arguments: list[str]) -> int:
    """Print what cannot be imported; answer the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--without", nargs="*", default=[], metavar="MODULE")
    options = parser.parse_args(arguments)
    found = failures(options.folders, options.without)
    print(*found, sep="\n", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
