"""What a request costs, and the most it can cost: the same integer arithmetic as billing's, which has the last word.

Prices are pico-dollars per token, amounts nano-dollars rounded half to even once per request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.gateway.deltas import Usage

PICO_PER_NANO = 1000
PERMILLE = 1000
ANY_MODEL = "*"
TUNED = "ft:"

TEMPLATE_TOKENS = 256
"""What a chat template may add around all messages: its own words, a default system prompt, the form of tools."""

FRAME_TOKENS = 4
"""What a tokenizer may add around a text of its own: a beginning, an end, a separator."""

MOST_BYTES = 4
"""Of a character in UTF-8, and no tokenizer in use makes more tokens than bytes."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost in the version of the price book that was in force when a request was admitted."""

    version: int
    input_picousd: int
    cached_input_picousd: int
    output_picousd: int
    batch_permille: int = PERMILLE
    tier_permilles: Mapping[str, int] = field(default_factory=dict)

    def amount_nanousd(self, usage: Usage, *, batch: bool, tier: str) -> int:
        """Compute what `usage` costs."""
        picousd = (
            (usage.prompt_tokens - usage.cached_prompt_tokens) * self.input_picousd
            + usage.cached_prompt_tokens * self.cached_input_picousd
            + usage.completion_tokens * self.output_picousd
        )
        unit = PICO_PER_NANO * PERMILLE**2
        whole, rest = divmod(picousd * self._multiplier(batch=batch, tier=tier), unit)
        return whole + (2 * rest > unit or (2 * rest == unit and whole % 2 == 1))

    def most_nanousd(self, prompt_tokens: int, completion_tokens: int, *, batch: bool, tier: str) -> int:
        """Compute what a request of at most so many tokens costs at most, cached or not."""
        picousd = prompt_tokens * max(self.input_picousd, self.cached_input_picousd)
        picousd += completion_tokens * self.output_picousd
        return -(-picousd * self._multiplier(batch=batch, tier=tier) // (PICO_PER_NANO * PERMILLE**2))

    def _multiplier(self, *, batch: bool, tier: str) -> int:
        return (self.batch_permille if batch else PERMILLE) * self.tier_permilles.get(tier, PERMILLE)


UNKNOWN_PRICE = Price(0, 10_000_000, 10_000_000, 10_000_000)
"""Stands in where the price book was never seen, only to bound what is served on trust: 10 USD per million tokens."""


def price_of(prices: Mapping[str, Price], model: str) -> Price | None:
    """Find a model's price, that of the base of a tuned one, or that of all models."""
    base = model.split(":")[1] if model.startswith(TUNED) else ""
    return prices.get(model) or prices.get(base) or prices.get(ANY_MODEL)


def most_prompt_tokens(texts: Sequence[str], estimated_characters: int) -> int:
    """Bound the tokens of a prompt from above, whatever the vocabulary: by its bytes.

    `estimated_characters` counts all that the model reads; what `texts` do not hold of it is taken for four-byte
    characters.
    """
    rest = max(0, estimated_characters - sum(map(len, texts)))
    read = sum(len(text.encode("utf-8", "surrogatepass")) + FRAME_TOKENS for text in texts)
    return read + MOST_BYTES * rest + TEMPLATE_TOKENS
