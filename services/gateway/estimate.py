"""How many tokens a request will take, before anybody has counted: for reservations and placement, never for a bill."""

from __future__ import annotations

from collections import OrderedDict

CHARACTERS_PER_TOKEN = 3.0
"""Of English in common vocabularies it is 4 and more; estimating high refuses early instead of running over."""

TOKENS_PER_MESSAGE = 4
"""Role and separators that a chat template adds."""


def prompt_tokens(characters: int, messages: int = 0) -> int:
    """Estimate the tokens of a prompt of so many characters in so many messages."""
    return int(characters / CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE * messages + 1


class CompletionForecast:
    """How long answers usually get, per key and model: the running 90th percentile of what was generated.

    A reservation for a request without a maximum takes this, not the model's whole context, or one such request would
    use up a minute's limit. The quantile is followed by stochastic approximation (Robbins and Monro, 1951): each
    observation moves it up by 0.9 steps or down by 0.1, so nine in ten observations end up below.
    """

    FLOOR = 64
    QUANTILE = 0.9

    def __init__(self, initial: int, capacity: int = 10_000) -> None:
        self._initial = float(initial)
        self._capacity = capacity
        self._estimates: OrderedDict[tuple[str, str], float] = OrderedDict()

    def tokens(self, key_id: str, model: str) -> int:
        """Forecast the tokens of one completion."""
        return max(self.FLOOR, round(self._estimates.get((key_id, model), self._initial)))

    def observe(self, key_id: str, model: str, tokens: int) -> None:
        """Learn from a completion that ended by itself."""
        subject = (key_id, model)
        estimate = self._estimates.pop(subject, self._initial)
        step = max(1.0, estimate * 0.1)
        estimate += step * (self.QUANTILE if tokens > estimate else self.QUANTILE - 1)
        self._estimates[subject] = max(1.0, estimate)
        if len(self._estimates) > self._capacity:
            self._estimates.popitem(last=False)
