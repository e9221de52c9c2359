"""Ratelimit: reserve an estimate before the work, settle the truth after it, and go on alone while it is away.

Rates and counts fall back to the gateway's own meters, which are charged to ratelimit when it is back (or, as a limit
says, to nothing, or to a 503); money does not: what may not be exceeded is closed while nobody can tell what is spent.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from capstan.ratelimit.v1 import ratelimit_pb2, ratelimit_pb2_grpc
from chassis.clock import Clock
from chassis.coalesce import Coalescer
from chassis.errors import CapstanError, Reason, from_failure, unavailable
from services.gateway.caller import Caller
from services.gateway.charges import Budget, Charge, charges
from services.gateway.exposure import Exposure
from services.gateway.limits_headers import Meter
from services.gateway.metrics import LimitMetrics
from services.gateway.over_limits import OverLimits
from services.gateway.own_meters import OwnMeters
from services.gateway.peers.calls import call
from services.gateway.peers.ratelimit_wire import reserve_item, standings
from services.gateway.presence import Presence
from services.gateway.running import Held, Running
from services.gateway.seeds import BudgetId, Seed, Seeds
from services.gateway.standings import RateLimited, Standing, meters

HOLD_S, LONGEST_HOLD_S = 900.0, 3600.0
RENEW_S = 10.0
HEARTBEAT_S, AWAY_HEARTBEAT_S = 2.0, 1.0
MOST_ITEMS, MOST_CHARGES = 1000, 16

# What says that ratelimit cannot be relied on now, whatever the request is.
AWAY = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.OVERLOADED, Reason.INTERNAL})


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a request really used."""

    request_id: str
    organization_id: str
    tokens: int
    amount_nanousd: int = 0
    """What is posted to each of its budgets."""


class Limiter:
    """The gateway's view of the meters. `attend` and `keep` are to run in the background."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        clock: Clock,
        log: logging.Logger,
        metrics: LimitMetrics,
        gateway_id: str,
        timeout_s: float,
        seed: Seed | None = None,
        exposure: Exposure | None = None,
        returned: Callable[[], None] = lambda: None,
    ) -> None:
        """`returned` is called when ratelimit is back, before it is asked again; `exposure` bounds what is let in alone
        although nobody can count its money, None: nothing does.
        """
        self._stub = ratelimit_pb2_grpc.RatelimitServiceStub(channel)
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._gateway_id = gateway_id
        self._timeout_s = timeout_s
        self._seeds = Seeds(seed) if seed is not None else None
        self._exposure = exposure
        self._returned = returned
        self._coalescer: Coalescer[ratelimit_pb2.ReserveItem, ratelimit_pb2.ReserveResult] = Coalescer(self._send)
        self._presence = Presence()
        self._over = OverLimits()
        self._own = OwnMeters(lambda meter: self._over.level(meter, self._now_ms()))
        self._running = Running()
        self._debts: list[Held] = []
        self._numbers = itertools.count()

    @property
    def is_away(self) -> bool:
        """Whether the gateway goes by its own meters."""
        return self._presence.is_away

    async def reserve(
        self,
        request_id: str,
        caller: Caller,
        model: str,
        tokens: int,
        budgets: Sequence[Budget] = (),
        hold_s: float = HOLD_S,
    ) -> list[Meter]:
        """Charge one request, `tokens` and `budgets` against every limit that binds `caller` for `model`.

        Money is held for `hold_s`, an hour at the most: the request's deadline and some time for its settlement.
        Answers how the meters stand. Raises `RateLimited`; `CapstanError` UNAVAILABLE when a limit is closed while
        ratelimit is away, BUDGET_UNKNOWN when nobody can tell what is spent. What was reserved is to be `ended`, and so
        is what may have been: whatever this raised, and when it was cancelled.
        """
        made = charges(caller, model, tokens, budgets)
        if not made:
            return []
        now_ms = self._now_ms()
        try:
            self._over.check(made, now_ms)
        except RateLimited:
            self._metrics.over_limit_hits.inc()
            raise
        hold_ms = int(min(hold_s, LONGEST_HOLD_S) * 1000)
        held = Held(request_id, caller.organization_id, made, now_ms, hold_ms, project_id=caller.project_id)
        self._running.begin(held)
        try:
            stand = await self._charged(held)
        except (RateLimited, CapstanError):
            if not held.unanswered:
                self._running.end(request_id)
            raise
        self._running.made(held)
        return meters(stand)

    async def _charged(self, held: Held) -> list[Standing]:
        if self._presence.is_away:
            return self._alone(held)
        held.asked = True
        try:
            result = await self._coalescer.submit(reserve_item(held))
            if result.refusal.reason == Reason.BUDGET_UNKNOWN.value:
                seeds = await self._seeded(held, from_failure(result.refusal))
                result = await self._coalescer.submit(reserve_item(held, seeds=seeds))
        except CapstanError as error:
            if error.reason not in AWAY:
                raise
            held.unanswered = True
            return self._alone(held)
        stand = standings(held.charges, result.meters)
        refused = result.HasField("refusal")
        self._over.learn(stand, self._now_ms())
        if refused:
            refusal = from_failure(result.refusal)
            if refusal.reason is Reason.BUDGET_UNKNOWN:
                raise refusal
            raise RateLimited(refusal, meters(stand))
        return stand

    async def _seeded(self, held: Held, error: CapstanError) -> dict[BudgetId, int]:
        """Find out what is posted of the budgets that ratelimit does not know (any more)."""
        if self._seeds is None:
            raise error

        async def restore() -> None:
            await self._restore(one for one in self._running if one.organization_id == held.organization_id)

        # If the store was lost, what is being spent right now has to be held again before anything else is let in.
        unknown = [tuple(name.split("/", 1)) for name in error.metadata.get("budgets", "").split(",")]
        try:
            return await self._seeds.of([(subject, period) for subject, period in unknown], restore)
        except CapstanError as cause:
            self._log.warning("what is posted of a budget cannot be told: %s", cause)
            raise error from None

    def _alone(self, held: Held) -> list[Standing]:
        """Let a request in, or not, by the gateway's own meters."""
        for charge in held.charges:
            if charge.failure_mode == "closed" and not charge.shadow:
                self._metrics.alone.labels("closed").inc()
                if charge.budget is not None:
                    raise CapstanError(Reason.BUDGET_UNKNOWN, "ratelimit is away", budgets=charge.subject_id)
                raise unavailable("ratelimit", "away, and a limit must not go on without it")
        now_ms = self._now_ms()
        self._expose(held)
        try:
            stand = self._own.reserve(
                held.charges, self._presence.gateways, now_ms, self._clock.now(), self._running.count
            )
        except RateLimited:
            self._metrics.alone.labels("refused").inc()
            self._corrected(held, 0)
            raise
        self._metrics.alone.labels("reserved").inc()
        held.own, held.since_ms = True, now_ms
        return stand

    def _expose(self, held: Held) -> None:
        """Count money that nobody else can count now. Raises BUDGET_UNKNOWN when it is too much."""
        budgets = [charge.budget for charge in held.charges if charge.budget is not None]
        if budgets and self._exposure is not None:
            held.exposed_nanousd = max(budget.amount_nanousd for budget in budgets)
            self._exposure.add(held.organization_id, held.project_id, held.exposed_nanousd)

    def _corrected(self, held: Held, spent_nanousd: int) -> None:
        if held.exposed_nanousd and self._exposure is not None:
            self._exposure.correct(held.organization_id, spent_nanousd - held.exposed_nanousd)
            held.exposed_nanousd = 0

    def follow(self, request_id: str, tokens: Callable[[], int]) -> None:
        """From now on `tokens` says what a running request has used so far, so that it is charged while it runs."""
        if (held := self._running.get(request_id)) is not None:
            held.tokens = tokens

    def ended(self, settlement: Settlement) -> Settlement | None:
        """A request ended, or was cancelled on its way in; answers what is to be told to `settle`, None: nothing."""
        held = self._running.end(settlement.request_id)
        if held is None:
            return None
        self._over.settled(held.charges)
        if not any(charge.budget is not None for charge in held.charges):
            settlement = dataclasses.replace(settlement, amount_nanousd=0)
        if not held.own:
            return settlement
        self._corrected(held, settlement.amount_nanousd)
        self._own.settle(held.charges, settlement.tokens, held.since_ms, self._now_ms())
        # Ratelimit may have taken a reservation whose answer came too late; here it was charged a second time.
        return dataclasses.replace(settlement, tokens=0) if held.asked else None

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Replace reservations by what was used. Raises `CapstanError` when ratelimit is away."""
        items = [
            ratelimit_pb2.SettleItem(
                request_id=s.request_id,
                organization_id=s.organization_id,
                tokens=s.tokens,
                amount_nanousd=s.amount_nanousd,
            )
            for s in settlements
        ]
        await self._call(self._stub.Settle, ratelimit_pb2.SettleRequest(items=items))

    async def attend(self) -> None:
        """Say every other second that this gateway lives, and notice when ratelimit is away or back. For ever."""
        while True:
            try:
                await self._beat()
            except CapstanError as error:
                level = logging.DEBUG if self.is_away else logging.WARNING
                self._log.log(level, "ratelimit does not answer: %s", error)
                self._presence.failed()
            await self._clock.sleep(AWAY_HEARTBEAT_S if self.is_away else HEARTBEAT_S)

    async def _beat(self) -> None:
        request = ratelimit_pb2.HeartbeatRequest(gateway_id=self._gateway_id)
        answer: ratelimit_pb2.HeartbeatResponse = await self._call(self._stub.Heartbeat, request)
        self._presence.gateways = max(1, answer.gateway_count)
        self._debts += self._owed()
        while self._debts:
            await self._grant(self._debts[:MOST_ITEMS])
            del self._debts[:MOST_ITEMS]
        if self.is_away:
            self._log.info("ratelimit is back; %d gateways share the limits", self._presence.gateways)
            self._returned()
            if self._exposure is not None:
                self._exposure.over()
        self._presence.back()

    def _owed(self) -> list[Held]:
        """What was let in alone: the levels of the own meters, and the requests that still run."""
        now_ms, owed = self._now_ms(), []
        by_organization: dict[str, list[Charge]] = {}
        for charge in self._own.debts(now_ms):
            by_organization.setdefault(charge.organization_id, []).append(charge)
        for organization_id, owing in by_organization.items():
            for start in range(0, len(owing), MOST_CHARGES):
                name = f"debt_{self._gateway_id}_{now_ms}_{next(self._numbers)}"
                owed.append(Held(name, organization_id, owing[start : start + MOST_CHARGES], now_ms, 1000))
        for held in self._running:
            leases = [charge for charge in held.charges if charge.dimension == "concurrent_requests"]
            if held.own and held.made and not held.leased and leases:
                owed.append(Held(held.request_id, held.organization_id, leases, now_ms, held.hold_ms))
                held.asked = held.leased = True
        return owed

    async def keep(self) -> None:
        """Renew every ten seconds what runs, and reserve again what was lost. For ever."""
        while True:
            await self._clock.sleep(RENEW_S)
            if not self.is_away:
                try:
                    await self._renew([held for held in self._running if held.made and (held.leased or not held.own)])
                except CapstanError as error:
                    self._log.warning("running requests were not renewed: %s", error)

    async def _renew(self, running: Sequence[Held]) -> None:
        for start in range(0, len(running), MOST_ITEMS):
            some = running[start : start + MOST_ITEMS]
            items = [
                ratelimit_pb2.RenewItem(
                    request_id=held.request_id,
                    organization_id=held.organization_id,
                    tokens=0 if held.own else held.tokens(),
                )
                for held in some
            ]
            answer = await self._call(self._stub.Renew, ratelimit_pb2.RenewRequest(items=items))
            await self._restore(held for held, result in zip(some, answer.results, strict=True) if result.lost)

    async def _restore(self, lost: Iterable[Held]) -> None:
        """Reserve again what runs already; what is known still stays as it is."""
        again = [held for held in lost if held.made and not held.own and self._running.get(held.request_id) is held]
        for start in range(0, len(again), MOST_ITEMS):
            await self._grant(again[start : start + MOST_ITEMS])

    async def _grant(self, some: Sequence[Held]) -> None:
        items = [reserve_item(held, granted=True) for held in some]
        await self._call(self._stub.Reserve, ratelimit_pb2.ReserveRequest(items=items))

    async def _send(self, items: Sequence[ratelimit_pb2.ReserveItem]) -> Sequence[ratelimit_pb2.ReserveResult]:
        if self._presence.is_away:  # since these items were submitted
            raise unavailable("ratelimit")
        try:
            answer = await self._call(self._stub.Reserve, ratelimit_pb2.ReserveRequest(items=items))
        except CapstanError as error:
            self._log.warning("%d reservations were not answered: %s", len(items), error)
            self._presence.failed()
            raise
        self._presence.answered()
        results: Sequence[ratelimit_pb2.ReserveResult] = answer.results
        return results

    async def _call(self, method: Callable[..., Any], request: Any) -> Any:
        return await call(method, request, timeout_s=self._timeout_s, peer="ratelimit")

    def _now_ms(self) -> int:
        return round(self._clock.monotonic() * 1000)
