"""`python -m tools.bench.reserve`: what a reservation costs, with and without coalescing.

One gateway's worth of concurrent requests against one ratelimit process and one Valkey. Each request reserves requests
and tokens of its project and its organisation (four meters). The windows of both ways alternate, so that the ratio of
the two means something on a machine that others use; the rates mean less.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

import grpc

from capstan.ratelimit.v1 import ratelimit_pb2, ratelimit_pb2_grpc
from chassis import rpc_client
from chassis.coalesce import Coalescer
from tools.bench.meters import Meters, running_meters
from tools.bench.processes import sample

WINDOWS = 5
TIMEOUT_S = 10.0
PLENTY = 10**9

Reserve = Callable[[ratelimit_pb2.ReserveItem], Awaitable[ratelimit_pb2.ReserveResult]]


def item(number: int, keys: int) -> ratelimit_pb2.ReserveItem:
    """Make one request's reservation; `keys` projects take turns."""
    who = number % keys
    charges = [
        ratelimit_pb2.Charge(dimension=dimension, subject_id=subject, model="model", limit=PLENTY, cost=cost)
        for subject in (f"proj_{who}", f"org-{who}")
        for dimension, cost in (
            (ratelimit_pb2.DIMENSION_REQUESTS_PER_MINUTE, 1),
            (ratelimit_pb2.DIMENSION_TOKENS_PER_MINUTE, 300),
        )
    ]
    made = ratelimit_pb2.ReserveItem(request_id=f"req_{number}", organization_id=f"org-{who}", charges=charges)
    made.hold.FromSeconds(1)
    return made


async def window(
    reserve: Reserve, numbers: Sequence[int] | itertools.count[int], clients: int, keys: int, seconds: float
) -> int:
    """Let `clients` reserve again and again; answer how often they did."""
    made = 0
    drawn = iter(numbers)
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal made
        while time.perf_counter() < end:
            result = await reserve(item(next(drawn), keys))
            if result.HasField("refusal"):
                raise RuntimeError(f"refused: {result.refusal}")
            made += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return made


async def measure(meters: Meters, clients: int, keys: int, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Answer, per way, a row per window: reservations per second, and microseconds of CPU per reservation."""
    async with grpc.aio.insecure_channel(meters.address) as channel:
        await asyncio.wait_for(channel.channel_ready(), TIMEOUT_S)
        stub = ratelimit_pb2_grpc.RatelimitServiceStub(channel)

        async def send(items: Sequence[ratelimit_pb2.ReserveItem]) -> Sequence[ratelimit_pb2.ReserveResult]:
            request = ratelimit_pb2.ReserveRequest(items=items)
            answer: ratelimit_pb2.ReserveResponse = await rpc_client.call(
                stub.Reserve, request, timeout_s=TIMEOUT_S, peer="ratelimit"
            )
            return answer.results

        async def single(one: ratelimit_pb2.ReserveItem) -> ratelimit_pb2.ReserveResult:
            return (await send([one]))[0]

        coalescer: Coalescer[ratelimit_pb2.ReserveItem, ratelimit_pb2.ReserveResult] = Coalescer(send)
        ways: dict[str, Reserve] = {"one call each": single, "coalesced": coalescer.submit}
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        numbers = itertools.count()
        pids = meters.pids | {"gateway": os.getpid()}
        for reserve in ways.values():
            await window(reserve, numbers, clients, keys, seconds / 4)
        for _ in range(WINDOWS):
            for name, reserve in ways.items():
                before, begun = sample(pids), time.perf_counter()
                count = await window(reserve, numbers, clients, keys, seconds)
                used = sample(pids).since(before)
                row = {who: cpu_s * 1e6 / count for who, cpu_s in used.items()}
                rows[name].append(row | {"rate": count / (time.perf_counter() - begun)})
        return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print a line per way and the ratio."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.reserve", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a window (default 3)")
    parser.add_argument("--clients", type=int, default=64, help="requests at once (default 64)")
    parser.add_argument("--keys", type=int, default=100, help="projects that take turns; 1: a hot key (default 100)")
    args = parser.parse_args(argv)
    with running_meters(TIMEOUT_S) as meters:
        rows = asyncio.run(measure(meters, args.clients, args.keys, args.seconds))
    medians = {
        name: {key: statistics.median(row[key] for row in windows) for key in windows[0]}
        for name, windows in rows.items()
    }
    for name, row in medians.items():
        cpu = ", ".join(f"{who} {row[who]:.0f}" for who in ("gateway", "ratelimit", "valkey"))
        total = sum(row[who] for who in ("gateway", "ratelimit", "valkey"))
        print(f"{name:14} {row['rate']:8,.0f} reservations/s; CPU us each: {cpu}; together {total:.0f}")
    single, coalesced = medians["one call each"], medians["coalesced"]
    ratios = ", ".join(f"{who} {single[who] / coalesced[who]:.1f}" for who in ("gateway", "ratelimit", "valkey"))
    print(
        f"CPU without coalescing over with: {ratios}; rate with over without {coalesced['rate'] / single['rate']:.1f}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
