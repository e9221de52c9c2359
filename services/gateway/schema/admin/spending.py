"""What may be spent in a month, and who is told when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

MOST_CENTS = 900_000_000
"""9 million dollars, which is what fits where limits are counted."""

Threshold = Annotated[int, Field(ge=0, le=MOST_CENTS)]
Currency = Literal["USD"]
Interval = Literal["month"]


class SpendLimitUpdate(RequestModel):
    """A limit, which replaces the one there was."""

    threshold_amount: Annotated[int, Field(ge=1, le=MOST_CENTS)]
    """Cents that may be spent in a calendar month (UTC). A request that could exceed it is refused."""
    currency: Currency
    interval: Interval
    soft_threshold_amount: Threshold | None = None
    """Capstan's own. Cents from where on somebody is told, once a month, by the webhook of the installation."""


class Enforcement(AnswerModel):
    """What the limit does now."""

    status: Literal["inactive", "enforcing"]
    """`enforcing`: it is reached, and all that costs is refused until the month ends or the limit is changed."""


class SpendLimit(AnswerModel):
    """A limit."""

    object: Literal["organization.spend_limit", "project.spend_limit"]
    threshold_amount: int
    """Cents."""
    currency: Currency = "USD"
    interval: Interval = "month"
    enforcement: Enforcement
    soft_threshold_amount: int | None
    """Capstan's own. Cents; null: nobody is told."""
    period: str
    """Capstan's own. The month, such as `2026-11`."""
    spent_nanousd: str
    """Capstan's own. What was spent in it, as far as it is recorded; nano-dollars (1 USD is 1,000,000,000)."""


class SpendLimitDeleted(AnswerModel):
    """There is no limit any more."""

    object: Literal["organization.spend_limit.deleted", "project.spend_limit.deleted"]
    deleted: Literal[True] = True


class Channel(RequestModel):
    """Whom to tell. The installation's webhook gets it, and whoever receives that writes the mails."""

    type: Literal["email"]
    recipients: Annotated[list[Annotated[str, Field(min_length=1, max_length=254)]], Field(max_length=100)]
    """Addresses."""
    subject_prefix: Annotated[str, Field(max_length=256)] | None = None
    """How a mail's subject begins."""


class SpendAlertWrite(RequestModel):
    """An alert, whole."""

    threshold_amount: Threshold
    """Cents spent in a calendar month (UTC) from where on somebody is told, once a month."""
    currency: Currency
    interval: Interval
    notification_channel: Channel


class ToldBy(AnswerModel):
    """Who is told."""

    type: Literal["email"] = "email"
    recipients: list[str]
    subject_prefix: str | None


class SpendAlert(AnswerModel):
    """An alert."""

    id: str
    object: Literal["organization.spend_alert", "project.spend_alert"]
    threshold_amount: int
    """Cents."""
    currency: Currency = "USD"
    interval: Interval = "month"
    notification_channel: ToldBy


class SpendAlertDeleted(AnswerModel):
    """The alert is gone."""

    id: str
    object: Literal["organization.spend_alert.deleted", "project.spend_alert.deleted"]
    deleted: Literal[True] = True
