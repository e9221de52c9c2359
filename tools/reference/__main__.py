"""Write the tables of docs/api.md: `python -m tools.reference [--check]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.gateway.admin.app import openapi as admin_openapi
from services.gateway.docs import openapi
from tools.reference.document import Document, find
from tools.reference.page import placed, render
from tools.reference.score import compare

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"


def written(official: Path) -> str:
    """Answer the page as it should be."""
    comparison = compare(Document.read(official), Document(openapi("")), Document(admin_openapi("")))
    return placed(PAGE.read_text(), render(comparison))


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is not fresh")
    parser.add_argument("--official", type=Path, help="OpenAI's OpenAPI document, JSON or gzipped JSON")
    options = parser.parse_args()
    official: Path | None = options.official or find(ROOT)
    if official is None:
        print("OpenAI's document is not here: nothing to compare with. Name it with --official.", file=sys.stderr)
        return 0 if options.check else 1
    text = written(official)
    if not options.check:
        PAGE.write_text(text)
        return 0
    if text != PAGE.read_text():
        print("docs/api.md is not fresh: run `python -m tools.reference`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
