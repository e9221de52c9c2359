"""One gateway among several does the work of a keyed request; the others wait for its answer.

Whoever gets a key's claim works, and renews the claim meanwhile, so that a gateway that dies holds nobody up for longer
than a lease. While the place where claims are kept is away, each gateway knows only what it did itself: the request is
served, because it would be served without a key, and may be done by two gateways.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from chassis.clock import Clock
from chassis.errors import CapstanError
from services.gateway import request_errors
from services.gateway.answer import Whole
from services.gateway.caller import Caller

LEASE_S = 30.0
RENEWAL_S = 10.0
FIRST_LOOK_S, LONGEST_LOOK_S = 0.02, 0.5
"""How often to ask for what another gateway does: at first, and in the end."""
LARGEST_BYTES = 256 * 2**10
"""Answers that are worth sending to be kept for others; ratelimit takes no larger ones."""
CONCLUSIONS = 3
"""How often to try to say what came of it."""


class State(enum.Enum):
    """How a key stands; see answers.proto."""

    GRANTED = enum.auto()
    RUNNING = enum.auto()
    KEPT = enum.auto()
    USED = enum.auto()
    OTHER = enum.auto()


@dataclass(frozen=True, slots=True)
class Standing:
    """A key's state, and the answer if that is kept."""

    state: State
    answer: Whole | None = None


class Shared(Protocol):
    """What all gateways see. Both raise `CapstanError` when it is away."""

    async def claim(self, caller: Caller, key: str, fingerprint: bytes, claimant: str, lease_s: float) -> Standing:
        """Ask for the work, or renew the claim of the same `claimant`."""

    async def conclude(self, caller: Caller, key: str, claimant: str, state: State, answer: Whole | None) -> None:
        """Say what came of the work: KEPT with its answer, USED, or GRANTED when nothing was done."""


class Held:
    """A claim, or what another gateway answered. Without a conclusion the claim lapses with its lease."""

    def __init__(self, answer: Whole | None = None) -> None:
        self.answer = answer
        """Set when another gateway did the work."""
        self.conclusion: Standing | None = None

    def kept(self, answer: Whole) -> None:
        """The work was done; an answer that is too large is not kept."""
        self.conclusion = Standing(State.KEPT, answer) if len(answer.body) <= LARGEST_BYTES else Standing(State.USED)

    def used(self) -> None:
        """The work was done, or may have been charged, and there is nothing to tell again."""
        self.conclusion = Standing(State.USED)

    def free(self) -> None:
        """Nothing was done."""
        self.conclusion = Standing(State.GRANTED)


class Claims:
    """Those of one gateway."""

    def __init__(
        self, shared: Shared, clock: Clock, new_claimant: Callable[[], str], log: logging.Logger, *, patience_s: float
    ) -> None:
        """`patience_s`: longest wait for another gateway's work."""
        self._shared = shared
        self._clock = clock
        self._new_claimant = new_claimant
        self._log = log
        self._patience_s = patience_s

    @asynccontextmanager
    async def held(self, caller: Caller, key: str, fingerprint: bytes, *, wait: bool) -> AsyncIterator[Held]:
        """Have the claim while the block lasts, or the answer that another gateway gave.

        Raises `ApiError`: 400 when the key came with another body; 409 when its answer is not kept, or when another
        gateway is at work and that lasts longer than the patience, or than no time at all without `wait`.
        """
        claimant = self._new_claimant()
        try:
            standing = await self._standing(caller, key, fingerprint, claimant, wait=wait)
        except CapstanError as error:
            self._log.warning("keyed requests are not shared", extra={"reason": error.reason.name.lower()})
            yield Held()
            return
        match standing.state:
            case State.OTHER:
                raise request_errors.idempotency_key_reused()
            case State.USED:
                raise request_errors.idempotency_key_used()
            case State.RUNNING:
                raise request_errors.idempotency_key_in_use()
            case State.KEPT:
                yield Held(standing.answer)
                return
        held = Held()
        renewal = asyncio.get_running_loop().create_task(
            self._renew(caller, key, fingerprint, claimant), name="renew a claim"
        )
        try:
            yield held
        finally:
            renewal.cancel()
            if held.conclusion is not None:
                await self._conclude(caller, key, claimant, held.conclusion)

    async def _standing(self, caller: Caller, key: str, fingerprint: bytes, claimant: str, *, wait: bool) -> Standing:
        """Claim, and while another gateway works, wait. Raises `CapstanError` when the first call fails."""
        standing = await self._shared.claim(caller, key, fingerprint, claimant, LEASE_S)
        deadline = self._clock.monotonic() + self._patience_s
        pause_s = FIRST_LOOK_S
        while wait and standing.state is State.RUNNING and self._clock.monotonic() < deadline:
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)
            # That another gateway works is known: while nobody can be asked, it still does.
            with suppress(CapstanError):
                standing = await self._shared.claim(caller, key, fingerprint, claimant, LEASE_S)
        return standing

    async def _renew(self, caller: Caller, key: str, fingerprint: bytes, claimant: str) -> None:
        while True:
            await self._clock.sleep(RENEWAL_S)
            with suppress(CapstanError):
                await self._shared.claim(caller, key, fingerprint, claimant, LEASE_S)

    async def _conclude(self, caller: Caller, key: str, claimant: str, conclusion: Standing) -> None:
        for attempt in range(1, CONCLUSIONS + 1):
            try:
                await self._shared.conclude(caller, key, claimant, conclusion.state, conclusion.answer)
            except CapstanError as error:
                if attempt == CONCLUSIONS:
                    self._log.warning("a keyed answer is not shared", extra={"reason": error.reason.name.lower()})
                else:
                    await self._clock.sleep(attempt * FIRST_LOOK_S)
            else:
                return
