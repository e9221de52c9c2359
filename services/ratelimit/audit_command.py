"""`python -m services.ratelimit audit [--json]`: whether the holds of every budget add up to what it holds."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence

from chassis import valkey
from chassis.errors import CapstanError
from services.ratelimit.audit import BudgetState, audit
from services.ratelimit.settings import Settings

TIMEOUT_S = 10.0


def main(argv: Sequence[str], settings: Settings) -> int:
    """Print how budgets stand; exit status 1 when they do not add up or cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m services.ratelimit audit", description=__doc__)
    parser.add_argument(
        "--json",
        action="store_true",
        help="a line of JSON for each budget, for `python -m services.billing verify --meters`; then the exit status "
        "says only whether they could be read",
    )
    args = parser.parse_args(argv)
    try:
        states = asyncio.run(_read(settings))
    except CapstanError as error:
        sys.stderr.write(f"{error.message or error}\n")
        return 1
    if args.json:
        sys.stdout.writelines(json.dumps(dataclasses.asdict(state)) + "\n" for state in states)
        return 0
    wrong = [state for state in states if not state.adds_up or state.is_stale]
    sys.stdout.writelines(f"{_said(state)}\n" for state in wrong)
    held = sum(state.held_nanousd for state in states)
    sys.stdout.write(f"{len(states)} budgets, {held:,} nano-dollars held, {len(wrong)} wrong\n")
    return 1 if wrong else 0


def _said(state: BudgetState) -> str:
    end = f", a hold ended {(state.time_ms - state.first_end_ms) / 1000:.0f} s ago" if state.is_stale else ""
    return (
        f"FAIL {state.subject_id} {state.period_id}: {state.held_nanousd:,} nano-dollars held, "
        f"{state.hold_count} holds of {state.holds_nanousd:,}{end}"
    )


async def _read(settings: Settings) -> list[BudgetState]:
    async with valkey.connect(settings.valkey_url, password=settings.password(), timeout_s=TIMEOUT_S) as client:
        return await audit(client)
