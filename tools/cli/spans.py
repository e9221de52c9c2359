"""Spans of time as people type them."""

from __future__ import annotations

import re

from tools.local.problem import Problem

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(text: str) -> int:
    """Read `90s`, `15m`, `12h`, `30d` or `2w`.

    Raises:
        Problem: it is none of these.
    """
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip(), re.ASCII)
    if match is None:
        raise Problem(f"{text!r} is no span of time: write 90s, 15m, 12h, 30d or 2w.")
    return int(match[1]) * _UNITS_S[match[2]]
