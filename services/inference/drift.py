"""Are all tokens charged that the engine made? Its own counter, beside the sum of what answers counted.

Billing compares what gateways and replicas say of each request, and both go by what answers counted here: a token that
no answer saw would be missing in both. So each replica holds that sum against the engine's counter since its start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.inference.answer import Tally
from services.inference.engine import EngineLoad

TOLERATED = 0.001
LEAST_TOKENS = 10_000
"""Generated since the start, before a ratio means anything."""
STEPS = 4
"""By so many of a sequence's tokens the engine's counter may be ahead of what has arrived."""


class CounterDrift:
    """Says by how much they differ; `look` is called now and then and raises the alarm."""

    def __init__(self, load: Callable[[], EngineLoad], given: Callable[[], int], log: logging.Logger) -> None:
        """`load`: the engine's, with its counter. `given`: tokens of answers that run."""
        self._load = load
        self._given = given
        self._log = log
        self._ended = 0
        self._drifting = False

    def ended(self, tally: Tally) -> None:
        """An answer ended, however."""
        self._ended += tally.generated

    def ratio(self) -> float:
        """Answer what share of the engine's tokens no answer counted; negative: answers counted more than it made."""
        load = self._load()
        return self._missing(load) / load.generated_tokens if load.generated_tokens else 0.0

    def look(self) -> None:
        """Log an error when it begins to be more than is tolerated."""
        load = self._load()
        generated, missing = load.generated_tokens, self._missing(load)
        drifting = generated >= LEAST_TOKENS and abs(missing) > TOLERATED * generated + STEPS * load.running
        if drifting and not self._drifting:
            self._log.error(
                "the engine's counter and the answers disagree: of %d tokens that it generated, answers counted %d",
                generated,
                generated - missing,
            )
        self._drifting = drifting

    def _missing(self, load: EngineLoad) -> int:
        return load.generated_tokens - self._ended - self._given()
