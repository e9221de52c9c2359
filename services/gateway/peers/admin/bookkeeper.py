"""The link to billing for the administration: what was used, what it cost, what may be spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from capstan.billing.v1 import budgets_pb2_grpc, invoices_pb2_grpc, reports_pb2_grpc
from chassis.errors import CapstanError, Reason
from services.gateway.peers.calls import call

_SAID_AS: Mapping[str, str] = {
    "page_token": "page",
    "period_id": "period",
    "bucket_count": "limit",
    "owner_ids": "user_ids",
    "key_ids": "api_key_ids",
    "hard_nanousd": "threshold_amount",
    "soft_nanousd": "soft_threshold_amount",
    "threshold_nanousd": "threshold_amount",
    "recipients": "notification_channel.recipients",
    "subject_prefix": "notification_channel.subject_prefix",
}
"""What requests call the fields of messages, where it is not the same."""


class Bookkeeper:
    """Billing, as the administration asks it. Whether somebody may ask is auth's to say, and comes before."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self.reports = reports_pb2_grpc.ReportServiceStub(channel)
        self.budgets = budgets_pb2_grpc.BudgetServiceStub(channel)
        self.invoices = invoices_pb2_grpc.InvoiceServiceStub(channel)
        self._timeout_s = timeout_s

    async def ask(self, method: Any, request: Any) -> Any:
        """Call a method of a stub.

        Raises `CapstanError`: OBJECT_NOT_FOUND, PARAMETER_REFUSED, and UNAVAILABLE when billing is away.
        """
        try:
            return await call(method, request, timeout_s=self._timeout_s, peer="billing")
        except CapstanError as error:
            raise _as_asked(error) from None


def _as_asked(error: CapstanError) -> CapstanError:
    """Name a refused field as the request did; billing's sentence about it is fit for clients."""
    field = error.metadata.get("param")
    if error.reason is not Reason.INVALID_ARGUMENT or not field:
        return error
    param = _SAID_AS.get(field, field)
    message = f"Invalid '{param}': {error.message.removeprefix(f'{field}: ')}."
    return CapstanError(Reason.PARAMETER_REFUSED, param=param, message=message)
