"""Reads the plain text tables in `tables/`.

"#" starts a comment line, " | " separates columns, "~" marks what is held out of training.
"""

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "tables"


def lines(name: str) -> Iterator[str]:
    """Yield the lines of a table that are not empty and not comments."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


def rows(name: str) -> list[list[str]]:
    """Return the rows of a table as lists of columns."""
    return [line.split(" | ") for line in lines(name)]


def sections(name: str) -> dict[str, list[str]]:
    """Return the lines under each `[heading]` of a table; raise ValueError if a heading comes twice."""
    found: dict[str, list[str]] = {}
    for line in lines(name):
        if line.startswith("[") and line.endswith("]"):
            heading = line[1:-1]
            if heading in found:
                raise ValueError(f"{name}: [{heading}] comes twice")
            found[heading] = []
        else:
            found[heading].append(line)
    return found
