"""`python -m services.billing verify [--meters FILE] [--journals FILE] [--told FILE]`: check the books' invariants.

A line for each: `ok`, `FAIL`, or `?` for what nobody could look at here. Exit status 1 when one is violated.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from chassis.errors import CapstanError
from services.billing.commands import verify
from services.billing.evidence import EvidenceError, evidence
from services.billing.settings import Settings


def main(argv: Sequence[str], settings: Settings) -> int:
    """Check and print; exit status 1 when an invariant is violated or cannot be checked for want of PostgreSQL."""
    parser = argparse.ArgumentParser(
        prog="python -m services.billing verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--meters",
        metavar="FILE",
        help="I3: what `python -m services.ratelimit audit --json` wrote; -, as for the others: the standard input",
    )
    parser.add_argument(
        "--journals", metavar="FILE", help="I6: what `python -m services.gateway journal` wrote, a line per gateway"
    )
    parser.add_argument(
        "--told",
        metavar="FILE",
        help="I8: what clients were told, a line of JSON per completed request: request_id, prompt_tokens, "
        "completion_tokens and, where it was told, cached_tokens",
    )
    args = parser.parse_args(argv)
    try:
        return asyncio.run(verify(settings, evidence(args.meters, args.journals, args.told)))
    except CapstanError as error:
        sys.stderr.write(f"The books cannot be read: {error}\n")
        return 1
    except EvidenceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
