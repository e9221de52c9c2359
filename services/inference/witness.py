"""The second witness: tells billing what the engine counted for each request, apart from the gateway that asked for it.

In the background and bounded: no request waits for billing, and when billing is away for long the oldest reports are
dropped and counted; the gateway's own records do not depend on them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import grpc

from capstan.billing.v1 import witness_pb2, witness_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.clock import Clock
from chassis.errors import Reason
from chassis.kit import Kit
from chassis.outbox import Outbox
from chassis.rpc_client import call
from services.inference.answer import Tally
from services.inference.engine import FinishReason
from services.inference.failures import REFUSALS

TIMEOUT_S = 5.0
LINGER_S = 0.1
LAST_WORDS_S = 3.0
CAPACITY = 100_000
BATCH = 500

ENDS = frozenset({*(reason.value for reason in FinishReason), "tool_calls", Reason.DEADLINE_EXCEEDED.name.lower()})
"""How requests end that did not fail: who runs out of time pays for what was made."""

REFUSED = frozenset(reason.name.lower() for reason in REFUSALS)


class Witness:
    """Says what was counted; `run` has to be running."""

    def __init__(self, channel: grpc.aio.Channel, replica_id: str, clock: Clock, log: logging.Logger) -> None:
        self._stub = witness_pb2_grpc.WitnessServiceStub(channel)
        self._replica_id = replica_id
        self._clock = clock
        self.outbox: Outbox[witness_pb2.EngineUsage] = Outbox(
            "engine usage", self._send, clock, log, capacity=CAPACITY, max_batch=BATCH, linger_s=LINGER_S
        )

    def ended(self, part_id: str, admission: bytes, tally: Tally) -> None:
        """Tell how a request ended that the engine had taken in.

        What it refused is passed over, as gateways do, or billing would take a refusal for a fault.
        """
        is_refused = tally.finish in REFUSED and not tally.generated
        if admission and tally.prompt_tokens and not is_refused:
            usage = usage_pb2.TokenUsage(
                prompt_tokens=tally.prompt_tokens,
                cached_prompt_tokens=tally.cached_tokens,
                completion_tokens=tally.completion_tokens,
                reasoning_tokens=tally.reasoning_tokens,
            )
            told = witness_pb2.EngineUsage(
                part_id=part_id, admission=admission, usage=usage, failed=tally.finish not in ENDS
            )
            told.finish_time.FromNanoseconds(int(self._clock.now() * 1e9))
            self.outbox.put(told)

    async def _send(self, usages: Sequence[witness_pb2.EngineUsage]) -> None:
        request = witness_pb2.ReportEngineUsageRequest(replica_id=self._replica_id, usages=usages)
        await call(self._stub.ReportEngineUsage, request, timeout_s=TIMEOUT_S, peer="billing")


@asynccontextmanager
async def witness(address: str, kit: Kit) -> AsyncIterator[Witness]:
    """Tell billing at `address` as long as the block lasts, and what is left for a moment after it."""
    async with kit.connect(address) as channel:
        made = Witness(channel, kit.instance, kit.clock, kit.log)
        telling = asyncio.get_running_loop().create_task(made.outbox.run(), name="engine usage")
        try:
            yield made
            await made.outbox.drained(LAST_WORDS_S)
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
