"""`python -m tools.bench`: CPU time of the gateway per request and per token, and memory of every service.

Starts the whole suite with the simulator and every feature on (keys, limits, journal, billing), drives it in three
windows per case and prints the median and the range. Nothing but the ratio of two figures of one run means much on a
machine that others use.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tools.bench.load import Client, Tally, Target, drive
from tools.bench.processes import memory_mb, sample
from tools.bench.suite import Suite, running_suite

WINDOWS = 3
TOKENS = 64
Turn = Callable[[Client], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One way to load the suite."""

    name: str
    unit: str
    clients: int
    streamed: bool
    tokens_per_s: float
    """Speed of the simulator for each request; 0: as fast as it can."""


CASES = (
    Case("whole answers, 1 client", "request", 1, streamed=False, tokens_per_s=0),
    Case("whole answers, 64 clients", "request", 64, streamed=False, tokens_per_s=0),
    Case("streams at full speed, 32 clients", "token", 32, streamed=True, tokens_per_s=0),
    Case("streams of 20 ms a token, 40 clients", "token", 40, streamed=True, tokens_per_s=50),
    Case("streams of 20 ms a token, 200 clients", "token", 200, streamed=True, tokens_per_s=50),
)


def turn(target: Target, model: str, case: Case) -> Turn:
    """What one client does again and again."""
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": "Tell me about capstans."}]}
    if case.streamed:
        streamed = target.request("/v1/chat/completions", body | {"max_tokens": TOKENS, "stream": True})
        return lambda client: client.stream(streamed)
    whole = target.request("/v1/chat/completions", body | {"max_tokens": 16})
    return lambda client: client.whole(whole)


def measure(suite: Suite, case: Case, seconds: float) -> None:
    """Run one case and print its row."""
    act = turn(suite.target, suite.model, case)
    asyncio.run(drive(suite.target, Tally(), case.clients, seconds / 3, act))
    rows: list[dict[str, float]] = []
    total = Tally()
    for _ in range(WINDOWS):
        tally, before = Tally(), sample(suite.pids)
        asyncio.run(drive(suite.target, tally, case.clients, seconds, act))
        used = sample(suite.pids).since(before)
        count = tally.events if case.streamed else tally.requests
        rows.append({name: value * 1e6 / max(1, count) for name, value in used.items()})
        total.requests += tally.requests
        total.events += tally.events
        total.failures += tally.failures
        total.first_event_s += tally.first_event_s
        total.latencies_s += tally.latencies_s
    gateway = sorted(row["gateway"] for row in rows)
    waited = total.first_event_s if case.streamed else total.latencies_s
    print(
        f"{case.name:40} {statistics.median(gateway):7.1f} [{gateway[0]:.1f}-{gateway[-1]:.1f}] us/{case.unit:8}"
        f" {total.requests:7} requests {total.events:9} tokens {total.failures:4} failed"
        f"  {'first token' if case.streamed else 'answer'} p50 {1e3 * total.percentile(waited, 0.5):.1f} ms,"
        f" p99 {1e3 * total.percentile(waited, 0.99):.1f} ms",
        flush=True,
    )
    others = {name: statistics.median(row[name] for row in rows) for name in rows[0] if name != "gateway"}
    print(
        "    " + ", ".join(f"{name} {value:.1f}" for name, value in sorted(others.items()) if value >= 0.5), flush=True
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 1 when a request failed to be answered is left to the reader of the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window (default 8)")
    parser.add_argument("--only", default="", help="run the cases whose name contains this text")
    args = parser.parse_args(argv)
    chosen = [case for case in CASES if args.only in case.name]
    for speed in sorted({case.tokens_per_s for case in chosen}):
        environment = {"CAPSTAN_INFERENCE_SIM_TOKENS_PER_S": str(speed), "CAPSTAN_INFERENCE_MAX_RUNNING": "512"}
        with running_suite(environment) as suite:
            idle = memory_mb(suite.pids)
            for case in chosen:
                if case.tokens_per_s == speed:
                    measure(suite, case, args.seconds)
            loaded = memory_mb(suite.pids)
            print(
                "memory, MB (idle -> after load): "
                + ", ".join(f"{n} {idle[n]:.0f}->{loaded[n]:.0f}" for n in sorted(idle))
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
