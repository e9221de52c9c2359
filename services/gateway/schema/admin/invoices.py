"""A month's statement. Capstan's own; amounts are text, because they are exact."""

from __future__ import annotations

from typing import Literal

from services.gateway.schema.answers import AnswerModel


class InvoiceLine(AnswerModel):
    """One position."""

    period: str
    """Month of the requests: the statement's, or an earlier one whose statement was out."""
    project_id: str
    item: str
    """What was sold: the model and the API, and batch and tier where they are not the usual."""
    requests: int
    input_tokens: int
    """Cached ones included."""
    input_cached_tokens: int
    output_tokens: int
    amount_nanousd: str
    """1 USD is 1,000,000,000."""


class InvoiceCorrection(AnswerModel):
    """What changes what earlier entries came to."""

    id: str
    refers_to: str
    """Id of the request or statement that it corrects."""
    reason: str
    amount_nanousd: str
    """Negative: in the organization's favour."""


class Invoice(AnswerModel):
    """A statement."""

    object: Literal["invoice"] = "invoice"
    id: str | None
    """Null: a preview, which may change until it is issued."""
    organization_id: str
    period: str
    """The month, such as `2026-11`."""
    issue_time: str
    """ISO 8601."""
    currency: Literal["usd"] = "usd"
    lines: list[InvoiceLine]
    corrections: list[InvoiceCorrection]
    total_nanousd: str
    total_usd: str
    """The same in dollars."""
