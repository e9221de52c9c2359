"""CPU time and memory of the suite's processes, as the operating system accounts for them."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Sample:
    """CPU seconds that processes have used so far, by name."""

    cpu_s: dict[str, float]

    def since(self, earlier: Sample) -> dict[str, float]:
        """CPU seconds used between the two."""
        return {name: used - earlier.cpu_s.get(name, 0.0) for name, used in self.cpu_s.items()}


def family(pid: int) -> list[psutil.Process]:
    """The process and all it has started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def sample(pids: dict[str, int]) -> Sample:
    """Read the clocks of all named processes, children included."""
    used: dict[str, float] = {}
    for name, pid in pids.items():
        times = [one.cpu_times() for one in family(pid)]
        used[name] = sum(time.user + time.system for time in times)
    return Sample(used)


def memory_mb(pids: dict[str, int]) -> dict[str, float]:
    """Resident memory of each named process in MB, children included."""
    return {name: sum(one.memory_info().rss for one in family(pid)) / 1e6 for name, pid in pids.items()}
