"""What was spent, in buckets of a day."""

from __future__ import annotations

from typing import Literal

from services.gateway.schema.answers import AnswerModel


class Amount(AnswerModel):
    """Money."""

    value: float
    """US dollars, as close as a number of JSON comes."""
    currency: Literal["usd"] = "usd"
    value_nanousd: str
    """Capstan's own. Nano-dollars (1 USD is 1,000,000,000), exactly: what was billed."""


class Costs(AnswerModel):
    """Of one group on one day: null for what was not asked for in `group_by`."""

    object: Literal["organization.costs.result"] = "organization.costs.result"
    amount: Amount
    line_item: str | None = None
    """What was sold: the model and the API, and batch and tier where they are not the usual."""
    project_id: str | None = None
    api_key_id: str | None = None
    quantity: int | None = None
    """By `line_item`: tokens, those of the prompt and the generated ones."""
    quantity_unit: Literal["tokens"] | None = None
