"""`python -m tools.charts [--check]` and `python -m tools.charts assemble FOLDER`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.charts import readme, schema
from tools.charts.assemble import CHARTS, ROOT, UMBRELLA, assemble


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file with the text that it should hold."""
    for folder in (*(CHARTS / name for name in schema.services(CHARTS)), UMBRELLA):
        yield folder / "values.schema.json", json.dumps(schema.of_chart(folder, CHARTS), indent=1) + "\n"
        yield folder / "README.md", readme.of_chart(folder)


def stale() -> list[str]:
    """Names of generated files that do not hold what they should."""
    return [
        str(path.relative_to(ROOT))
        for path, text in generated()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Do what is asked; answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.charts", description="Generate parts of the charts.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a generated file is stale")
    commands = parser.add_subparsers(dest="command")
    making = commands.add_parser("assemble", help="make one folder of the umbrella chart and its dependencies")
    making.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "assemble":
        shutil.rmtree(options.folder, ignore_errors=True)
        print(assemble(options.folder))
        return 0
    if options.check:
        names = stale()
        print("\n".join(f"stale: {name} (python -m tools.charts)" for name in names) or "the charts are fresh")
        return 1 if names else 0
    for path, text in generated():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
