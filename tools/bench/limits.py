"""`python -m tools.bench.limits`: what two gateways let in over a minute, while Valkey is killed, frozen or emptied.

Each run has clients that never stop asking, half of them at each gateway, for one limit of which a share may come at
once. Printed is what was let in beside what may be; the exit status is 1 when it was more.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from prometheus_client import CollectorRegistry

from chassis.clock import SystemClock
from chassis.errors import CapstanError
from chassis.rpc_client import connect
from services.gateway.caller import Caller, Limit
from services.gateway.metrics import LimitMetrics
from services.gateway.peers.ratelimit import Limiter, Settlement
from services.gateway.standings import RateLimited
from tools.bench.meters import Meters, running_meters

GATEWAYS = 2
FAULTS = ("none", "restart", "freeze", "kill")
PAUSE_S = 2.0
"""A second and a bit until the second gateway has heard that Valkey is back: until then two meters drain."""


class Crowd:
    """Clients that never stop asking."""

    def __init__(self, rpm: int, burst_percent: int) -> None:
        limit = Limit("organization", "", rpm, None, burst_percent=burst_percent)
        scopes: frozenset[str] = frozenset("*")
        self._who = Caller("org-1", "proj_1", "key_1", "user-1", scopes, frozenset(), "off", (limit,), None)
        self._numbers = itertools.count()
        self.admitted = 0
        self.slowest_s = 0.0

    async def live(self, limiter: Limiter, until: float) -> None:
        """Ask until then."""
        while (begun := time.monotonic()) < until:
            name = f"req_{next(self._numbers)}"
            try:
                await limiter.reserve(name, self._who, "model", 0)
            except RateLimited:
                pass
            else:
                self.admitted += 1
                if (told := limiter.ended(Settlement(name, "org-1", 0))) is not None:
                    with suppress(CapstanError):
                        await limiter.settle([told])
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            await asyncio.sleep(0.002)


async def hurt(meters: Meters, fault: str, seconds: float, freeze_s: float) -> None:
    """Do it after a third of the time."""
    await asyncio.sleep(seconds / 3)
    if fault == "restart":
        meters.signal_valkey(signal.SIGKILL)
        meters.start_valkey()
    elif fault == "freeze":
        meters.signal_valkey(signal.SIGSTOP)
        await asyncio.sleep(freeze_s)
        meters.signal_valkey(signal.SIGCONT)
    elif fault == "kill":
        meters.signal_valkey(signal.SIGKILL)


async def run(meters: Meters, crowd: Crowd, args: argparse.Namespace, fault: str) -> float:
    """Let everybody ask for so long; answer how long it was."""
    async with AsyncExitStack() as stack:
        limiters = []
        for number in range(GATEWAYS):
            channel = connect(meters.address)
            stack.push_async_callback(channel.close)
            await asyncio.wait_for(channel.channel_ready(), 30)
            limiters.append(
                Limiter(
                    channel,
                    clock=SystemClock(),
                    log=logging.getLogger("capstan.bench"),
                    metrics=LimitMetrics(CollectorRegistry()),
                    gateway_id=f"gateway-{number}",
                    timeout_s=args.timeout_s,
                )
            )
        background = [asyncio.create_task(work()) for one in limiters for work in (one.attend, one.keep)]
        await asyncio.sleep(3)  # they have counted each other
        begun = time.monotonic()
        clients = (
            crowd.live(limiter, begun + args.seconds) for limiter in limiters for _ in range(args.clients // GATEWAYS)
        )
        await asyncio.gather(hurt(meters, fault, args.seconds, args.freeze_s), *clients)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        return time.monotonic() - begun


def main(argv: Sequence[str] | None = None) -> int:
    """Run every fault, or those named."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.limits", description=__doc__)
    parser.add_argument("faults", nargs="*", help=f"of {', '.join(FAULTS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a run (default 60)")
    parser.add_argument("--freeze-s", type=float, default=10.0, help="length of the freeze (default 10)")
    parser.add_argument("--clients", type=int, default=8, help="of all gateways together (default 8)")
    parser.add_argument("--rpm", type=int, default=600, help="the limit, requests a minute (default 600)")
    parser.add_argument("--burst-percent", type=int, default=10, help="of it at once (default 10)")
    parser.add_argument("--timeout-s", type=float, default=0.1, help="a gateway's patience (default 0.1)")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    status = 0
    for fault in args.faults or FAULTS:
        if fault not in FAULTS:
            parser.error(f"no such fault: {fault}")
        with running_meters(args.timeout_s / 2) as meters:
            crowd = Crowd(args.rpm, args.burst_percent)
            elapsed_s = asyncio.run(run(meters, crowd, args, fault))
        burst, rate_s = args.rpm * args.burst_percent // 100, args.rpm / 60
        bursts, pause_s = (1, 0.0) if fault == "none" else (2, PAUSE_S)
        bound = bursts * burst + rate_s * (elapsed_s + pause_s) + 1
        share = crowd.admitted / (burst + rate_s * elapsed_s)
        print(
            f"{fault:8} {elapsed_s:5.1f} s: {crowd.admitted} let in, at most {bound:.0f}; "
            f"{share:.1%} of burst and rate; slowest decision {crowd.slowest_s * 1e3:.0f} ms",
            flush=True,
        )
        status |= crowd.admitted > bound
    return status


if __name__ == "__main__":
    raise SystemExit(main())
