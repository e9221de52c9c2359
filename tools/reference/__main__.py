"""Write docs/reference/settings.md and the tables of docs/api.md: `python -m tools.reference [--check]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.gateway.admin.app import openapi as admin_openapi
from services.gateway.docs import openapi
from tools.reference.document import Document, find
from tools.reference.page import placed, render
from tools.reference.score import compare
from tools.reference.settings import page as settings_page

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "docs" / "api.md"
SETTINGS = ROOT / "docs" / "reference" / "settings.md"


def pages(official: Path | None) -> dict[Path, str]:
    """Answer the pages as they should be; without OpenAI's document, those that need no comparison with it."""
    services = sorted(path.parent.name for path in (ROOT / "services").glob("*/settings.py"))
    made = {SETTINGS: settings_page(services)}
    if official is not None:
        comparison = compare(Document.read(official), Document(openapi("")), Document(admin_openapi("")))
        made[API] = placed(API.read_text(), render(comparison))
    return made


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is not fresh")
    parser.add_argument("--official", type=Path, help="OpenAI's OpenAPI document, JSON or gzipped JSON")
    options = parser.parse_args()
    official: Path | None = options.official or find(ROOT)
    if official is None:
        print(
            "OpenAI's document is not here, so docs/api.md is left as it is. Name the document with --official.",
            file=sys.stderr,
        )
    made = pages(official)
    if not options.check:
        for path, text in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return 0
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is not fresh: run `python -m tools.reference`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
