"""`capstan status`: each process as it is now, asked directly and not only read from the supervisor's notes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import psutil
from rich.table import Table

from tools.local.state import Phase, State, UnitState
from tools.local.unit import Answer, Probe


@dataclass(frozen=True)
class Row:
    """One process."""

    service: str
    state: str
    """ready, starting, restarting, … or unready: it runs and says that it cannot serve."""
    endpoint: str
    pid: int
    memory_bytes: int
    """Proportional set size with its descendants; 0 without a process."""
    version: str
    restarts: int
    note: str

    def as_json(self) -> dict[str, str | int]:
        """Answer it as plain values."""
        return asdict(self)


def rows(told: State, probes: Mapping[str, Probe]) -> list[Row]:
    """Ask everything that runs, at once."""
    servers = [unit for unit in told.units if not unit.once]
    with ThreadPoolExecutor(max_workers=max(len(servers), 1)) as pool:
        return list(pool.map(lambda unit: row(unit, probes.get(unit.name)), servers))


def row(unit: UnitState, probe: Probe | None) -> Row:
    """What `unit` is now."""
    answer = probe() if probe is not None and unit.pid else Answer(unit.phase is Phase.READY)
    current = str(unit.phase)
    if unit.phase is Phase.READY and not answer.ready:
        current = "unready"
    note = answer.waiting_for if current != Phase.READY and answer.waiting_for else unit.note
    version = answer.version or unit.version
    return Row(unit.name, current, unit.endpoint, unit.pid, memory_bytes(unit.pid), version, unit.restarts, note)


def memory_bytes(pid: int) -> int:
    """Memory of process `pid` and its descendants; shared pages are counted by share where the system tells."""
    if not pid:
        return 0
    total = 0
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        try:
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
        except psutil.Error:
            continue
    return total


def table(found: list[Row]) -> Table:
    """The rows for people."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SERVICE", "STATE", "WHERE", "PID", "MEMORY", "VERSION", "RESTARTS"):
        drawn.add_column(heading, justify="right" if heading in {"PID", "MEMORY", "RESTARTS"} else "left")
    for each in found:
        colour = {"ready": "green", "starting": "yellow", "restarting": "yellow"}.get(each.state, "red")
        state = f"[{colour}]{each.state}[/]" + (f" ({each.note})" if each.note else "")
        memory = f"{each.memory_bytes / (1 << 20):.0f} MB" if each.memory_bytes else ""
        drawn.add_row(each.service, state, each.endpoint, str(each.pid or ""), memory, each.version, str(each.restarts))
    total = sum(each.memory_bytes for each in found)
    drawn.add_row("", "", "", "", f"[bold]{total / (1 << 20):.0f} MB[/]", "", "")
    return drawn
