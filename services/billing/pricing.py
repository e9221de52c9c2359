"""What usage costs: integers from end to end.

A price is pico-dollars per token, because a token can cost less than a nano-dollar; an amount is nano-dollars, rounded
half to even once per event. The whole rule is `amount_nanousd`; everything it needs is stored with the event.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.billing.events import Endpoint, Outcome, UsageEvent

PICO_PER_NANO = 1000
PERMILLE = 1000
ANY_MODEL = "*"
TUNED = "ft:"
"""A fine-tuned model is named `ft:base:…` and costs what its base does, unless it has a price of its own."""

FREE = frozenset({Endpoint.MODERATIONS})
"""What costs nothing, whatever the price book says."""

CHARGED: dict[Outcome, bool] = {
    Outcome.OK: True,
    # The work was done; a free early hang-up would be a way to use without paying.
    Outcome.CLIENT_CLOSED: True,
    Outcome.TRUNCATED: True,
    # Its gateway died: what the engine did, or what was delivered by the last checkpoint, is charged as if cut by us.
    Outcome.RECOVERED: True,
    # Our faults are free, also when something was delivered.
    Outcome.ENGINE_ERROR: False,
    Outcome.SERVER_ERROR: False,
}


class NoPriceError(LookupError):
    """The price book has nothing for this model at this time."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost in one version of the price book. Amounts are pico-dollars per token, 0 or greater."""

    version: int
    model: str
    """Served name, or "*" for every model without a price of its own."""
    effective_time: datetime
    input_picousd: int
    cached_input_picousd: int
    output_picousd: int
    batch_permille: int = PERMILLE
    """What a request of a batch costs of the above."""
    tier_permilles: tuple[tuple[str, int], ...] = ()
    """What a request in a service tier costs, by the tier's name, ascending; a tier that is not here costs 1,000."""

    def permille(self, tier: str) -> int:
        """Answer the multiplier of a tier."""
        return dict(self.tier_permilles).get(tier, PERMILLE)


FREE_OF_CHARGE = Price(0, "", datetime.min, 0, 0, 0)
"""Stands for the price of what is free; it is in no version of the book."""


class PriceBook:
    """All versions. The one in force at a time is the latest effective by then, of equally late ones the highest."""

    def __init__(self, prices: Iterable[Price]) -> None:
        versions: dict[tuple[datetime, int], dict[str, Price]] = {}
        for price in prices:
            versions.setdefault((price.effective_time, price.version), {})[price.model] = price
        ordered = sorted(versions.items())
        self._starts = [start for (start, _), _ in ordered]
        self._versions = [by_model for _, by_model in ordered]
        self._numbered = {number: by_model for (_, number), by_model in ordered}

    def __bool__(self) -> bool:
        return bool(self._versions)

    def at(self, model: str, time: datetime, version: int = 0) -> Price:
        """Answer what `model` costs for a request admitted at `time`, or at `version` where that has a price for it.

        Raises `NoPriceError`.
        """
        price = _found(self._numbered.get(version, {}), model) or _found(self._in_force(time), model)
        if price is None:
            raise NoPriceError(f"no price for model {model!r} at {time.isoformat()}")
        return price

    def in_force(self, time: datetime) -> list[Price]:
        """Answer every price in force at `time`, by model."""
        return [price for _, price in sorted(self._in_force(time).items())]

    def _in_force(self, time: datetime) -> dict[str, Price]:
        place = bisect_right(self._starts, time)
        return self._versions[place - 1] if place else {}


def _found(prices: dict[str, Price], model: str) -> Price | None:
    base = model.split(":")[1] if model.startswith(TUNED) else ""
    return prices.get(model) or prices.get(base) or prices.get(ANY_MODEL)


def amount_nanousd(price: Price, event: UsageEvent) -> int:
    """Compute what `event` costs at `price`, in nano-dollars."""
    if not CHARGED[event.outcome] or event.endpoint in FREE:
        return 0
    picousd = (
        (event.prompt_tokens - event.cached_prompt_tokens) * price.input_picousd
        + event.cached_prompt_tokens * price.cached_input_picousd
        + event.completion_tokens * price.output_picousd
    )
    batch = price.batch_permille if event.batch else PERMILLE
    return rounded_half_even(picousd * batch * price.permille(event.service_tier), PICO_PER_NANO * PERMILLE**2)


def rounded_half_even(value: int, unit: int) -> int:
    """Divide `value` (0 or greater) by `unit`, exact halves to the even neighbour."""
    whole, rest = divmod(value, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2 == 1))
