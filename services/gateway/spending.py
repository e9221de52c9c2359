"""May this be spent? The budgets that a request is charged against, and what it holds of them.

Whether money fits is decided in the one script that knows all that is held; here is only what it needs to know: which
budgets there are, what billing has posted to them, and the most that the request can cost. While billing is away, what
it said last is believed; of whom it never said anything, as much is served as it trusts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chassis.clock import TOLERATED_SKEW_S, Clock
from chassis.errors import CapstanError, Reason
from services.gateway.charges import Budget
from services.gateway.exposure import Exposure, Trust
from services.gateway.money import UNKNOWN_PRICE, Price, most_prompt_tokens, price_of
from services.gateway.peers.treasury import Cap, PaymentTerms, Recovered, Treasury
from services.gateway.remembered import Remembered

FRESH_S, USABLE_S = 3.0, 30.0
PRICES_FRESH_S, PRICES_USABLE_S = 30.0, 600.0

LONGEST_ANSWER = 131_072
"""Of a request without a maximum, while no replica has told the model's context."""

CREDIT_PERIOD = "credit"

MOST_SETTLED = 10_000
"""Recovered requests that are remembered as settled. Settling one again changes nothing."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a request is, and can get."""

    prompt_tokens: int
    """Estimated."""
    texts: Callable[[], Sequence[str]]
    """What it says; called only when there is a budget."""
    completion_tokens: int
    """Over all answers: the client's own maximum where `bounded`, else an estimate."""
    bounded: bool
    answer_count: int
    context_tokens: int
    """The model's; 0: not known."""
    batch: bool = False
    service_tier: str = "default"
    prompt_count: int = 1
    """Prompts or inputs, each with a context of its own."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a request may cost."""

    price: Price | None
    """None: the price book was never seen, and nothing needs it."""
    budgets: tuple[Budget, ...] = ()
    most_completion_tokens: int | None = None
    """Of one answer, as held and to be told to the engine; None: the client's own maximum, or no budget, bounds it."""
    recovered: tuple[Recovered, ...] = ()
    """Requests that `budgets` have posted already and may hold as well: to be settled once those are reserved."""


class Spending:
    """Knows terms and prices."""

    def __init__(
        self, treasury: Treasury, clock: Clock, trust: Trust, *, capped_completion_tokens: int | None = None
    ) -> None:
        """`capped_completion_tokens`: of an answer without a maximum of its own, where a budget binds."""
        self._treasury = treasury
        self._trust = trust
        self._clock = clock
        self._capped_completion_tokens = capped_completion_tokens
        self._terms: Remembered[tuple[str, str], PaymentTerms] = Remembered(
            lambda key: treasury.terms(*key), clock.monotonic, fresh_s=FRESH_S, usable_s=USABLE_S
        )
        self._prices: Remembered[None, dict[str, Price]] = Remembered(
            lambda _: treasury.prices(), clock.monotonic, fresh_s=PRICES_FRESH_S, usable_s=PRICES_USABLE_S
        )
        self._exposure = Exposure(trust)
        self._settled: OrderedDict[str, None] = OrderedDict()

    async def quote(self, organization_id: str, project_id: str, model: str, size: Size, start: float) -> Quote:
        """Say what a request that starts at `start` (unix seconds) is charged against, and how much it holds.

        Raises:
            CapstanError: QUOTA_EXHAUSTED when a budget is spent; BUDGET_UNKNOWN when nobody can tell.
        """
        price = await self._price(model)
        try:
            terms = await self._terms.get((organization_id, project_id))
        except CapstanError as error:
            self._expose(organization_id, project_id, price or UNKNOWN_PRICE, size, error)
            return Quote(price)
        self._exposure.over(organization_id)
        self._trust.told(organization_id, project_id, terms.max_exposure_nanousd, bound=terms.bound)
        if not terms.caps:
            return Quote(price)
        if price is None:
            raise CapstanError(Reason.BUDGET_UNKNOWN, f"no price of {model} is known")
        return self._bound(terms, price, size, self._month(start, terms))

    async def posted(self, subject_id: str, period_id: str) -> int:
        """Answer what billing has posted to a budget. Raises `CapstanError` when it does not tell."""
        return await self._treasury.posted(subject_id, period_id)

    def forget_recovered(self, recovered: Sequence[Recovered]) -> None:
        """These need not be settled again."""
        for one in recovered:
            self._settled[one.request_id] = None
            if len(self._settled) > MOST_SETTLED:
                self._settled.popitem(last=False)

    def doubt(self) -> None:
        """Ask for everybody's terms anew: what was spent meanwhile was settled nowhere but in billing."""
        self._terms.age()

    async def close(self) -> None:
        """Ask nothing more."""
        await self._terms.close()
        await self._prices.close()

    async def _price(self, model: str) -> Price | None:
        try:
            return price_of(await self._prices.get(None), model)
        except CapstanError:
            return None

    def _month(self, start: float, terms: PaymentTerms) -> str:
        """Answer the month in which billing will post it: by its own clock, where ours is too wrong to be believed."""
        theirs = start if terms.epoch_s is None else terms.epoch_s + self._clock.monotonic()
        believed = start if abs(start - theirs) <= TOLERATED_SKEW_S else theirs
        return datetime.fromtimestamp(believed, UTC).strftime("%Y-%m")

    def _bound(self, terms: PaymentTerms, price: Price, size: Size, month: str) -> Quote:
        prompt = most_prompt_tokens(size.texts(), 3 * size.prompt_tokens)
        if size.context_tokens:
            prompt = min(prompt, size.prompt_count * size.context_tokens)
        ceiling = None
        completion = size.completion_tokens
        if not size.bounded:
            # Not less for a long prompt: of it only a bound is known, which may be several times its tokens.
            known = [bound for bound in (self._capped_completion_tokens, size.context_tokens) if bound]
            ceiling = min(known, default=LONGEST_ANSWER)
            completion = size.answer_count * ceiling
        most = price.most_nanousd(prompt, completion, batch=size.batch, tier=size.service_tier)
        budgets = []
        for cap in terms.caps:
            period = cap.period_id if cap.period_id == CREDIT_PERIOD else month
            posted = cap.posted_nanousd if cap.period_id == period else 0
            if not cap.soft and cap.period_id == period and posted >= cap.cap_nanousd:
                raise _exhausted(cap)
            budgets.append(Budget(cap.subject_id, period, cap.kind, cap.cap_nanousd, most, cap.soft, posted))
        recovered = tuple(one for one in terms.recovered if one.request_id not in self._settled)
        return Quote(price, tuple(budgets), ceiling, recovered)

    def _expose(self, organization_id: str, project_id: str, price: Price, size: Size, error: CapstanError) -> None:
        """Let somebody unknown in, up to a point. Raises BUDGET_UNKNOWN beyond it."""
        likely = price.most_nanousd(
            size.prompt_tokens, size.completion_tokens, batch=size.batch, tier=size.service_tier
        )
        try:
            self._exposure.add(organization_id, project_id, likely)
        except CapstanError as beyond:
            raise beyond from error


def _exhausted(cap: Cap) -> CapstanError:
    return CapstanError(Reason.QUOTA_EXHAUSTED, f"{cap.subject_id} has spent what it may", budget=cap.kind)
