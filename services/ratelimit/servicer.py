"""Wire in, wire out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized

from google.protobuf.duration_pb2 import Duration

from capstan.ratelimit.v1 import ratelimit_pb2, ratelimit_pb2_grpc
from chassis.errors import CapstanError, Reason, failure
from services.ratelimit.checks import check, check_id, check_renewal, check_settlement
from services.ratelimit.meters import (
    DEFAULT_HOLD_MS,
    Budget,
    Charge,
    Dimension,
    MeterState,
    Outcome,
    Renewal,
    Reservation,
    Settlement,
)
from services.ratelimit.metrics import Metrics
from services.ratelimit.store import Store

MOST_ITEMS = 1000

_DIMENSIONS = {
    ratelimit_pb2.DIMENSION_REQUESTS_PER_MINUTE: Dimension.REQUESTS_PER_MINUTE,
    ratelimit_pb2.DIMENSION_TOKENS_PER_MINUTE: Dimension.TOKENS_PER_MINUTE,
    ratelimit_pb2.DIMENSION_REQUESTS_PER_DAY: Dimension.REQUESTS_PER_DAY,
    ratelimit_pb2.DIMENSION_TOKENS_PER_DAY: Dimension.TOKENS_PER_DAY,
    ratelimit_pb2.DIMENSION_CONCURRENT_REQUESTS: Dimension.CONCURRENT_REQUESTS,
    ratelimit_pb2.DIMENSION_MONEY: Dimension.MONEY,
}
_WIRE_DIMENSIONS = {dimension: wire for wire, dimension in _DIMENSIONS.items()}
_SETTLED = {True: "settled", False: "unknown"}


class RatelimitServicer(ratelimit_pb2_grpc.RatelimitServiceServicer):
    """Items are judged one by one: a wrong one is refused alone, because the others belong to other requests."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def Reserve(self, request: ratelimit_pb2.ReserveRequest, context: object) -> ratelimit_pb2.ReserveResponse:
        """See ratelimit.proto."""
        _check_count(request.items)
        self._metrics.batch.labels("Reserve").observe(len(request.items))
        judged = [_reservation(item) for item in request.items]
        good = [one for one in judged if isinstance(one, Reservation)]
        outcomes = iter(await self._store.reserve(good))
        results = []
        for one in judged:
            outcome = next(outcomes) if isinstance(one, Reservation) else Outcome(one, ())
            if isinstance(one, Reservation):
                self._metrics.observe_shadows(one, outcome)
            results.append(_result(outcome))
        for word, count in Counter(map(_word, results)).items():
            self._metrics.reserved.labels(word).inc(count)
        return ratelimit_pb2.ReserveResponse(results=results)

    async def Settle(self, request: ratelimit_pb2.SettleRequest, context: object) -> ratelimit_pb2.SettleResponse:
        """See ratelimit.proto."""
        _check_count(request.items)
        self._metrics.batch.labels("Settle").observe(len(request.items))
        judged = [_settlement(item) for item in request.items]
        good = [one for one in judged if isinstance(one, Settlement)]
        settled = iter(await self._store.settle(good))
        words = [_SETTLED[next(settled)] if isinstance(one, Settlement) else "invalid" for one in judged]
        for word, count in Counter(words).items():
            self._metrics.settled.labels(word).inc(count)
        results = [ratelimit_pb2.SettleResult(settled=word == "settled") for word in words]
        return ratelimit_pb2.SettleResponse(results=results)

    async def Renew(self, request: ratelimit_pb2.RenewRequest, context: object) -> ratelimit_pb2.RenewResponse:
        """See ratelimit.proto."""
        _check_count(request.items)
        self._metrics.batch.labels("Renew").observe(len(request.items))
        judged = [_renewal(item) for item in request.items]
        known = iter(await self._store.renew([one for one in judged if isinstance(one, Renewal)]))
        lost = [not next(known) if isinstance(one, Renewal) else False for one in judged]
        self._metrics.lost.inc(sum(lost))
        return ratelimit_pb2.RenewResponse(results=[ratelimit_pb2.RenewResult(lost=one) for one in lost])

    async def Heartbeat(
        self, request: ratelimit_pb2.HeartbeatRequest, context: object
    ) -> ratelimit_pb2.HeartbeatResponse:
        """See ratelimit.proto."""
        check_id("gateway_id", request.gateway_id)
        return ratelimit_pb2.HeartbeatResponse(gateway_count=await self._store.heartbeat(request.gateway_id))


def _check_count(items: Sized) -> None:
    if not 1 <= len(items) <= MOST_ITEMS:
        raise CapstanError(Reason.INVALID_ARGUMENT, f"there must be 1 to {MOST_ITEMS} items", param="items")


def _reservation(item: ratelimit_pb2.ReserveItem) -> Reservation | CapstanError:
    try:
        reservation = Reservation(
            item.request_id,
            item.organization_id,
            tuple(map(_charge, item.charges)),
            item.hold.ToMilliseconds() if item.HasField("hold") else DEFAULT_HOLD_MS,
            item.granted,
        )
        check(reservation)
    except CapstanError as error:
        return error
    return reservation


def _charge(charge: ratelimit_pb2.Charge) -> Charge:
    dimension = _DIMENSIONS.get(charge.dimension)
    if dimension is None:
        raise CapstanError(Reason.INVALID_ARGUMENT, "dimension must be one of the enum's", param="dimension")
    return Charge(
        dimension,
        charge.subject_id,
        charge.model,
        charge.limit,
        charge.cost,
        shadow=charge.shadow,
        burst_percent=charge.burst_percent or 100,
        count_rejected=charge.count_rejected,
        budget=_budget(charge.budget) if dimension is Dimension.MONEY and charge.HasField("budget") else None,
    )


def _budget(budget: ratelimit_pb2.Budget) -> Budget:
    seed = budget.seed_nanousd if budget.HasField("seed_nanousd") else None
    return Budget(budget.period_id, budget.kind, seed, budget.floor_nanousd)


def _settlement(item: ratelimit_pb2.SettleItem) -> Settlement | CapstanError:
    settlement = Settlement(item.request_id, item.organization_id, item.tokens, item.amount_nanousd)
    try:
        check_settlement(settlement)
    except CapstanError as error:
        return error
    return settlement


def _renewal(item: ratelimit_pb2.RenewItem) -> Renewal | CapstanError:
    renewal = Renewal(item.request_id, item.organization_id, item.tokens)
    try:
        check_renewal(renewal)
    except CapstanError as error:
        return error
    return renewal


def _result(outcome: Outcome) -> ratelimit_pb2.ReserveResult:
    result = ratelimit_pb2.ReserveResult(meters=map(_state, outcome.meters))
    if outcome.refusal is not None:
        result.refusal.CopyFrom(failure(outcome.refusal))
    return result


def _word(result: ratelimit_pb2.ReserveResult) -> str:
    return Reason(result.refusal.reason).name.lower() if result.HasField("refusal") else "reserved"


def _state(state: MeterState) -> ratelimit_pb2.MeterState:
    seconds, ms = divmod(state.reset_ms, 1000)
    return ratelimit_pb2.MeterState(
        dimension=_WIRE_DIMENSIONS[state.dimension],
        limit=state.limit,
        remaining=state.remaining,
        reset=Duration(seconds=seconds, nanos=ms * 1_000_000),
        exceeded=state.exceeded,
    )
