"""What runs, as a file: the supervisor writes it, everybody may read it.

Written whole and renamed into place, so a reader sees an old or a new one, never half of one. A file that cannot be
read as a state counts as none: the lock, not this file, says whether a supervisor lives.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

FORMAT = 1


class Phase(StrEnum):
    """Where a unit, or the whole, stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass
class UnitState:
    """One unit as it is now."""

    name: str
    phase: Phase = Phase.WAITING
    pid: int = 0
    """0: no process."""
    note: str = ""
    """What it waits for or why it ended."""
    took_s: float = 0.0
    """From its start to being ready or done."""
    restarts: int = 0
    endpoint: str = ""
    version: str = ""
    once: bool = False


@dataclass
class State:
    """The whole as it is now."""

    pid: int
    """The supervisor's."""
    started_at: float
    """Unix time in seconds."""
    phase: Phase = Phase.STARTING
    problem: str = ""
    """One sentence when the phase is FAILED."""
    plan: dict[str, Any] = field(default_factory=dict)
    base_url: str = ""
    units: list[UnitState] = field(default_factory=list)
    format: int = FORMAT

    def unit(self, name: str) -> UnitState:
        """The unit called `name`.

        Raises:
            KeyError: there is none.
        """
        for unit in self.units:
            if unit.name == name:
                return unit
        raise KeyError(name)


def write(path: Path, state: State) -> None:
    """Replace the file at `path`; a full disk costs the news, never the supervisor."""
    temporary = path.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(asdict(state)))
        temporary.chmod(0o600)
        temporary.replace(path)


def read(path: Path) -> State | None:
    """The state in the file at `path`, or None if there is none that can be read."""
    try:
        raw = json.loads(path.read_text())
        if raw.pop("format") != FORMAT:
            return None
        units = [UnitState(**entry | {"phase": Phase(entry["phase"])}) for entry in raw.pop("units")]
        state = State(**raw | {"phase": Phase(raw["phase"])}, units=units)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    wrong = any(not isinstance(getattr(state, name.name), int | float) for name in fields(state)[:2])
    return None if wrong else state
