"""Every promise of docs/faults.md names a test that exists, or says that it is not shown."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "faults.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[-1] != "shown by" and not row[0].startswith("---")]


def test_every_test_that_it_names_is_there() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 50
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists()
        or not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_every_row_is_shown_or_says_that_it_is_not() -> None:
    assert len(rows()) > 40
    assert [row for row in rows() if len(row) != 3 or not (NAMED.search(row[2]) or "not shown" in " ".join(row))] == []
