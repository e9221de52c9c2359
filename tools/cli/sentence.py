"""What all commands have in common: where the data is, and failures that are one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Optional

import typer

from tools.local.problem import Problem

INTERRUPTED = 130

DataDir = Annotated[
    Optional[Path],  # noqa: UP045  # typer resolves this at run time
    typer.Option(
        "--data-dir", help="Where everything is kept. Default: $CAPSTAN_DATA_DIR, or .capstan in the checkout."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: what the API answered.")]


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what the user can mend into one sentence and an exit status."""
    try:
        yield
    except Problem as problem:
        print(f"\n{problem}" if sys.stderr.isatty() else problem, file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
