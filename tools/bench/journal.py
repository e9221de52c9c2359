"""`python -m tools.bench.journal`: what the usage journal costs a request, on a disk that syncs and in memory.

The same clients begin and finish requests in a journal on the disk and in one in memory (a tmpfs), in turns, so that
the difference is what being durable costs; beside them a page is appended to a file and synced, which is what the disk
costs. A request's begin is written while its replica works on the first token, and delays it only where that takes less
time; for its finish the last byte waits. Only the ratio of two figures of one run means much on a machine that others
use.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.gateway.journal import Journal
from services.gateway.usage_record import Endpoint, Outcome, UsageRecord

ROUNDS = 3
MEMORY = Path("/dev/shm")  # noqa: S108 - a tmpfs is what is wanted
PLACES = ("disk", "memory")
SYNCS = 200
FORGET = 500
"""Records that are taken out at a time, as by the shipper."""


@dataclass
class Tally:
    """What one place has cost so far, in seconds."""

    begins: list[float] = field(default_factory=list)
    finishes: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    commit_count: int = 0

    def figures(self) -> tuple[float, float, float, float]:
        """Median wait for a begin and a finish and 99th percentile of the latter, ms; CPU per request, us."""
        ordered = sorted(self.finishes)
        return (
            1e3 * statistics.median(self.begins),
            1e3 * statistics.median(ordered),
            1e3 * ordered[len(ordered) * 99 // 100],
            1e6 * self.cpu_s / len(ordered),
        )


def record(number: int) -> UsageRecord:
    """Make a request's record, about as large as real ones."""
    return UsageRecord.begun(
        f"req_{number:032x}",
        organization_id=f"org-{number % 20:032x}",
        project_id=f"proj_{number % 20:032x}",
        key_id=f"key_{number % 60:032x}",
        owner_id=f"user-{number % 20:032x}",
        model="capstan-demo",
        endpoint=Endpoint.CHAT_COMPLETIONS,
        start_time=time.time(),
        prompt_tokens=100,
        price_version=1,
    )


async def load(path: Path, clients: int, seconds: float, tally: Tally) -> None:
    """Begin and finish requests for so long, and take what is finished out, as a gateway does."""
    numbers = iter(range(1 << 40))
    async with Journal.opened(path, log=logging.getLogger("bench"), patience_s=30.0) as journal:
        until = time.perf_counter() + seconds

        async def client() -> None:
            while (start := time.perf_counter()) < until:
                begun = record(next(numbers))
                await journal.begin(begun)
                tally.begins.append(time.perf_counter() - start)
                start = time.perf_counter()
                await journal.finish(
                    begun.ended(Outcome.OK, finish_time=time.time(), prompt_tokens=100, completion_tokens=20)
                )
                tally.finishes.append(time.perf_counter() - start)

        async def shipper() -> None:
            while True:
                await asyncio.sleep(0.2)
                while some := await journal.finished(FORGET):
                    await journal.forget([one.request_id for one in some])

        shipping = asyncio.create_task(shipper())
        before = time.process_time()
        await asyncio.gather(*(client() for _ in range(clients)))
        tally.cpu_s += time.process_time() - before
        tally.commit_count += journal.commit_count
        shipping.cancel()
        await asyncio.gather(shipping, return_exceptions=True)


@contextmanager
def journal_at(place: str, disk: Path | None) -> Iterator[Path]:
    """Make room for a journal in one of the `PLACES`, while the block lasts; `disk`: a folder (None: the usual one)."""
    parent = MEMORY if place == "memory" else disk
    with tempfile.TemporaryDirectory(prefix="capstan-bench-", dir=parent) as folder:
        yield Path(folder) / "journal.db"


def sync(descriptor: int) -> list[float]:
    """Append a page and sync it, a few times; answer how long each took, seconds."""
    took = []
    for _ in range(SYNCS):
        start = time.perf_counter()
        os.write(descriptor, bytes(4096))
        os.fdatasync(descriptor)
        took.append(time.perf_counter() - start)
    return took


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print a row for each place and number of clients."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.journal", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a window (default 3)")
    parser.add_argument("--folder", type=Path, help="where the disk is (default: that of temporary files)")
    args = parser.parse_args(argv)
    print(f"load average {', '.join(f'{value:.1f}' for value in os.getloadavg())}; {ROUNDS} windows in turns")
    for clients in (1, 32):
        tallies = {place: Tally() for place in PLACES}
        syncs: list[float] = []
        for _ in range(ROUNDS):
            for place in PLACES:
                with journal_at(place, args.folder) as path:
                    asyncio.run(load(path, clients, args.seconds, tallies[place]))
            with tempfile.TemporaryFile(dir=args.folder) as file:
                syncs += sync(file.fileno())
        rows = {place: tally.figures() for place, tally in tallies.items()}
        for place, (begin, finish, worst, cpu) in rows.items():
            tally = tallies[place]
            print(
                f"{clients:3} clients, {place:6}: begin p50 {begin:.3f} ms, finish p50 {finish:.3f} ms, "
                f"p99 {worst:.3f} ms, CPU {cpu:.0f} us/request, "
                f"{2 * len(tally.finishes) / tally.commit_count:.1f} records a commit"
            )
        ratios = [disk / memory for disk, memory in zip(rows["disk"], rows["memory"], strict=True)]
        print(
            f"             durable / in memory: begin {ratios[0]:.2f}, finish {ratios[1]:.2f}, p99 {ratios[2]:.2f}, "
            f"CPU {ratios[3]:.2f}"
        )
        synced = 1e3 * statistics.median(syncs)
        print(f"             a page synced: p50 {synced:.3f} ms; finish / that: {rows['disk'][1] / synced:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
