"""What an organization paid in advance. Capstan's own; amounts are text, because they are exact."""

from __future__ import annotations

from typing import Literal

from services.gateway.schema.answers import AnswerModel


class Credit(AnswerModel):
    """How the credit stands."""

    object: Literal["credit"] = "credit"
    organization_id: str
    prepaid: bool
    """True: nothing is served beyond the credit."""
    granted_nanousd: str
    """All that was paid in advance. 1 USD is 1,000,000,000."""
    used_nanousd: str
    """All that was used ever."""
    remaining_nanousd: str
    """Of what was paid in advance; negative where more was used, as by who does not pay in advance."""
