"""`python -m tools.bench.first_token`: what the usage journal costs the first token and the end of a stream.

Two gateways beside a suite's own, one with its journal on the disk and one with it in memory (a tmpfs), are asked in
turns by the same clients, in an order drawn anew for each pair: whatever else the machine does meets both alike. That a
request began is on the disk before its first token leaves, and how it ended before the last byte; the first is written
while the replica works on the first token. A block is one speed of the replica; 0 ms is one that has its first token at
once, which none with weights does. Only differences and ratios of one run mean much.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.bench.journal import PLACES, journal_at
from tools.bench.load import Client, Tally, Target
from tools.bench.suite import another_gateway, running_suite

TOKENS = 8
FIRST_TOKEN_S = (0.0, 0.01, 0.05)
"""Of the simulated replica."""
WARM = 20
"""Asked by each client before anything counts."""


async def load(targets: dict[str, Target], model: str, clients: int, pairs: int) -> dict[str, Tally]:
    """Let each client ask both so often; answer what was seen of each."""
    tallies = {place: Tally() for place in targets}
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me about capstans."}],
        "max_tokens": TOKENS,
        "stream": True,
    }
    requests = {place: target.request("/v1/chat/completions", body) for place, target in targets.items()}

    async def live(number: int) -> None:
        drawn = random.Random(number)  # noqa: S311 - nothing secret
        connections = {place: Client(target, tallies[place]) for place, target in targets.items()}
        for _ in range(pairs):
            for place in drawn.sample(PLACES, 2):
                await connections[place].stream(requests[place])
        for connection in connections.values():
            await connection.close()

    await asyncio.gather(*(live(number) for number in range(clients)))
    return tallies


def row(name: str, seen: dict[str, list[float]]) -> str:
    """Write medians in both places, how they differ, and a 95 % interval of that, in ms."""
    disk, memory = (1e3 * statistics.median(seen[place]) for place in PLACES)
    drawn = random.Random(0)  # noqa: S311 - nothing secret
    differences = sorted(
        statistics.median(drawn.choices(seen["disk"], k=len(seen["disk"])))
        - statistics.median(drawn.choices(seen["memory"], k=len(seen["memory"])))
        for _ in range(400)
    )
    low, high = (1e3 * differences[place] for place in (10, 389))
    return (
        f"    {name}: p50 {disk:.2f} ms on disk, {memory:.2f} ms in memory: "
        f"{disk - memory:+.3f} ms [{low:+.3f}, {high:+.3f}]"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print a block for each speed of the replica and number of clients."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.first_token", description=__doc__)
    parser.add_argument("--pairs", type=int, default=400, help="requests to each gateway in a block (default 400)")
    parser.add_argument("--folder", type=Path, help="where the disk is (default: that of temporary files)")
    args = parser.parse_args(argv)
    print(f"load average {', '.join(f'{value:.1f}' for value in os.getloadavg())}")
    for first_token_s in FIRST_TOKEN_S:
        settings = {
            "CAPSTAN_INFERENCE_SIM_TTFT_S": str(first_token_s),
            "CAPSTAN_INFERENCE_SIM_TOKENS_PER_S": "1000",
            "CAPSTAN_INFERENCE_SIM_ANSWER_TOKENS": "1000",
        }
        with ExitStack() as stack:
            suite = stack.enter_context(running_suite(settings))
            targets = {}
            for place in PLACES:
                path = stack.enter_context(journal_at(place, args.folder))
                targets[place] = stack.enter_context(another_gateway(suite, {"JOURNAL_PATH": str(path)}))
            for clients in (1, 8):
                asyncio.run(load(targets, suite.model, clients, WARM))
                tallies = asyncio.run(load(targets, suite.model, clients, args.pairs // clients))
                failed = sum(tally.failures for tally in tallies.values())
                print(
                    f"replica's first token after {1e3 * first_token_s:.0f} ms, {clients} clients, {failed} failed",
                    row("first token", {place: tally.first_event_s for place, tally in tallies.items()}),
                    row("whole stream", {place: tally.latencies_s for place, tally in tallies.items()}),
                    sep="\n",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
