"""Dollars as people write them, and back: pure, and never a float."""

from __future__ import annotations

import re

from tools.local.problem import Problem

NANO, CENTS = 10**9, 100
_AMOUNT = re.compile(r"\$?(\d{1,9})(?:\.(\d{1,2}))?", re.ASCII)


def dollars(nanousd: int) -> str:
    """Write nano-dollars: with cents, and with as much more as there is."""
    whole, rest = divmod(abs(nanousd), NANO)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanousd < 0 else ''}${whole:,}.{decimals}"


def of_cents(cents: int) -> str:
    """Write cents."""
    return dollars(cents * NANO // CENTS)


def cents(text: str) -> int:
    """Read an amount such as `5`, `5.25` or `$5.25` as cents.

    Raises:
        Problem: it is none.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise Problem(f"{text!r} is no amount: write dollars and cents, such as 5 or 5.25.")
    return int(match[1]) * CENTS + int((match[2] or "").ljust(2, "0"))
