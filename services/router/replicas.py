"""What is known of each replica. Pure: whoever learns something says so, with the time.

Everything that decides whether and how gladly a replica is chosen is worked out when something is learnt, into
`usable_until`, `usable_from` and `score`, so that choosing among a hundred is a hundred comparisons.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from services.router.ejection import Ejection, EjectionRules
from services.router.load import DEFAULT_SLOTS, TYPICAL_TOKENS, Load, pressure

LAST_RESORT = 1000.0
"""Added to the score of a replica whose watch broke: it is asked only when nobody else can take the request."""

NEVER = float("-inf")


class Kind(enum.Enum):
    """What a model can do."""

    GENERATE = "generate"
    EMBED = "embed"


@dataclass(frozen=True, slots=True)
class Description:
    """What a replica serves."""

    model: str
    kinds: frozenset[Kind]
    max_model_tokens: int
    """Longest prompt plus completion."""
    fingerprint: str
    """Changes with engine, weights, precision and parallelism."""
    max_adapters: int = 0
    """Adapters that it can have loaded at once."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a replica is not asked."""

    stale_after_s: float = 5.0
    stalled_after_s: float = 45.0
    queue_share: float = 1.0
    """Requests beyond its slots that it may hold, as a share of the slots."""
    ejection: EjectionRules = field(default_factory=EjectionRules)


class Replica:
    """One replica. Times are monotonic."""

    __slots__ = (
        "_rules",
        "_since_report",
        "_stalled_at",
        "adapters",
        "address",
        "connected",
        "crowds",
        "description",
        "ejection",
        "held_count",
        "held_tokens",
        "id",
        "load",
        "reported_at",
        "requests",
        "score",
        "slots",
        "tokens_per_s",
        "usable_from",
        "usable_until",
        "waiting",
    )

    def __init__(self, replica_id: str, address: str, rules: Rules) -> None:
        self.id = replica_id
        self.address = address
        self.description: Description | None = None
        self.connected = False
        self.ejection = Ejection(rules.ejection)
        self.held_count = 0
        """Requests placed here and not released."""
        self.held_tokens = 0
        """Their tokens: prompt and the most they may generate."""
        self.crowds: dict[int, int] = {}
        """Of those requests, how many have the same session or beginning, by its hash."""
        self.reported_at = NEVER
        self.load: Load | None = None
        """Its last report."""
        self.adapters: frozenset[str] = frozenset()
        """Adapters that it has loaded."""
        self.tokens_per_s = 0.0
        """What it generated between its last two reports."""
        self.requests = 0
        """What it is thought to hold: placed by us or reported, whichever is more."""
        self.waiting = 0
        """Of those, what waits in its engine."""
        self.slots = DEFAULT_SLOTS
        """Requests it runs at once at the most."""
        self.score = 0.0
        """Lower is gladder."""
        self.usable_from = NEVER
        self.usable_until = NEVER
        """When it can be chosen: from the one (ejection), before the other (what is known, and room)."""
        self._rules = rules
        self._since_report = 0
        self._stalled_at: int | None = None

    def is_usable(self, now: float) -> bool:
        """Say whether a request can be placed here now."""
        return self.usable_from <= now < self.usable_until

    def report(self, load: Load, now: float) -> None:
        """Take what the replica says of itself."""
        if self.load is not None and self.connected and now > self.reported_at:
            generated = load.generated_tokens - self.load.generated_tokens
            self.tokens_per_s = max(0, generated) / (now - self.reported_at)
        self.connected = True
        self.reported_at = now
        self.load = load
        self._since_report = 0
        self.adapters = load.adapters
        self._reckon()

    def watch_progress(self, now: float, *, may_shut: bool) -> None:
        """Shut it out when it stalls; a stall is over when it makes tokens again, or a request on trial went well.

        That its requests have left it says nothing: they were given up.
        """
        load = self.load
        if load is None:
            return
        if load.stalled_s is not None and load.stalled_s > self._rules.stalled_after_s:
            if may_shut and not self.ejection.is_open:
                self.ejection.shut(now)
                self._stalled_at = load.generated_tokens
        elif self._stalled_at not in (None, load.generated_tokens):
            self._stalled_at = None
            self.ejection.prove(now)
        self._reckon()

    def lost(self) -> None:
        """Note that the watch broke; what is known ages out by itself."""
        self.connected = False
        self._reckon()

    def hold(self, tokens: int, now: float, key: int = 0) -> int:
        """Count a request that goes there; answer the epoch to give back with its outcome.

        `key`: what it has in common with others (`Wish.key`); 0: nothing.
        """
        if key:
            self.crowds[key] = self.crowds.get(key, 0) + 1
        self.held_count += 1
        self.held_tokens += tokens
        self._since_report += 1
        if self.ejection.is_open:
            self.ejection.tried(now)
        self._reckon()
        return self.ejection.epoch

    def let_go(self, tokens: int, key: int = 0) -> None:
        """Count one that left."""
        if key:
            self.crowds[key] -= 1
            if not self.crowds[key]:
                del self.crowds[key]
        self.held_count -= 1
        self.held_tokens -= tokens
        self._since_report -= 1
        self._reckon()

    def judge(self, *, went_well: bool, epoch: int, now: float, may_open: bool) -> None:
        """Take how a request went that was placed here in `epoch`."""
        if went_well:
            self.ejection.succeeded(epoch, now)
        else:
            self.ejection.failed(epoch, now, may_open=may_open)
        self._reckon()

    def _reckon(self) -> None:
        self.usable_from = self.ejection.retry_at if self.ejection.is_open else NEVER
        load = self.load
        if load is None or self.description is None:
            self.usable_until = NEVER
            return
        self.slots = slots = load.slots or DEFAULT_SLOTS
        self.waiting = load.waiting_count
        # The report is a moment old and knows all routers' requests; what is held here is exact and knows only ours.
        self.requests = requests = max(self.held_count, load.running_count + load.waiting_count + self._since_report)
        stalled = load.stalled_s is not None and load.stalled_s > self._rules.stalled_after_s
        full = requests >= slots * (1 + self._rules.queue_share)
        usable = load.accepting and not stalled and not full
        self.usable_until = self.reported_at + self._rules.stale_after_s if usable else NEVER
        self.score = pressure(
            requests=requests,
            waiting=load.waiting_count,
            tokens=self.held_tokens + max(0, requests - self.held_count) * TYPICAL_TOKENS,
            kv_usage=load.kv_usage,
            slots=slots,
        ) + (0.0 if self.connected else LAST_RESORT)
