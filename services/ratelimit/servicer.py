"""Wire in, wire out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized

from google.protobuf.duration_pb2 import Duration

from capstan.ratelimit.v1 import ratelimit_pb2, ratelimit_pb2_grpc
from chassis.errors import CapstanError, Reason, failure
from services.ratelimit import meters
from services.ratelimit.meters import Charge, Dimension, MeterState, Outcome, Reservation, Settlement
from services.ratelimit.metrics import Metrics
from services.ratelimit.store import Store

MOST_ITEMS = 1000

_DIMENSIONS = {
    ratelimit_pb2.DIMENSION_REQUESTS_PER_MINUTE: Dimension.REQUESTS_PER_MINUTE,
    ratelimit_pb2.DIMENSION_TOKENS_PER_MINUTE: Dimension.TOKENS_PER_MINUTE,
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
        results = [_result(next(outcomes) if isinstance(one, Reservation) else Outcome(one, ())) for one in judged]
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


def _check_count(items: Sized) -> None:
    if not 1 <= len(items) <= MOST_ITEMS:
        raise CapstanError(Reason.INVALID_ARGUMENT, f"there must be 1 to {MOST_ITEMS} items", param="items")


def _reservation(item: ratelimit_pb2.ReserveItem) -> Reservation | CapstanError:
    try:
        reservation = Reservation(
            item.request_id,
            item.organization_id,
            tuple(map(_charge, item.charges)),
            item.hold.ToMilliseconds() if item.HasField("hold") else meters.DEFAULT_HOLD_MS,
        )
        meters.check(reservation)
    except CapstanError as error:
        return error
    return reservation


def _charge(charge: ratelimit_pb2.Charge) -> Charge:
    dimension = _DIMENSIONS.get(charge.dimension)
    if dimension is None:
        raise CapstanError(Reason.INVALID_ARGUMENT, "dimension must be one of the enum's", param="dimension")
    return Charge(dimension, charge.subject_id, charge.model, charge.limit, charge.cost)


def _settlement(item: ratelimit_pb2.SettleItem) -> Settlement | CapstanError:
    settlement = Settlement(item.request_id, item.organization_id, item.tokens)
    try:
        meters.check_settlement(settlement)
    except CapstanError as error:
        return error
    return settlement


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
    )
