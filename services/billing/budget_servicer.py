"""BudgetService on the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from capstan.billing.v1 import budgets_pb2, budgets_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.ids import Ids
from services.billing.budget_store import BudgetStore
from services.billing.budgets import MOST_NANOUSD, Alert, Budget, Kind, Limit
from services.billing.events import LONGEST_TEXT

MOST_ITEMS = 1000
MOST_RECIPIENTS = 100

KINDS: dict[Kind, budgets_pb2.BudgetKind.ValueType] = {
    Kind.CREDIT: budgets_pb2.BUDGET_KIND_CREDIT,
    Kind.ORGANIZATION: budgets_pb2.BUDGET_KIND_ORGANIZATION,
    Kind.PROJECT: budgets_pb2.BUDGET_KIND_PROJECT,
}


class BudgetServicer(budgets_pb2_grpc.BudgetServiceServicer):
    """See budgets.proto."""

    def __init__(self, store: BudgetStore, ids: Ids, now: Callable[[], datetime]) -> None:
        self._store = store
        self._ids = ids
        self._now = now

    async def CheckBudgets(
        self, request: budgets_pb2.CheckBudgetsRequest, context: object
    ) -> budgets_pb2.CheckBudgetsResponse:
        """Answer what binds projects."""
        if not 1 <= len(request.items) <= MOST_ITEMS:
            raise _invalid("items", f"1 to {MOST_ITEMS} items, please")
        asked = [
            (_id(item.organization_id, "organization_id"), _id(item.project_id, "project_id")) for item in request.items
        ]
        period = self._store.period
        response = budgets_pb2.CheckBudgetsResponse(
            results=[
                budgets_pb2.SpendingTerms(
                    budgets=[_budget(budget) for budget in standing.budgets(period)],
                    prepaid=standing.prepaid,
                    max_exposure_nanousd=standing.max_exposure_nanousd,
                    recovered=[
                        budgets_pb2.RecoveredRequest(request_id=request_id, token_count=tokens)
                        for request_id, tokens in standing.recovered
                    ],
                )
                for standing in await self._store.standings(asked)
            ]
        )
        response.time.FromDatetime(self._now())
        return response

    async def GetPosted(self, request: budgets_pb2.GetPostedRequest, context: object) -> budgets_pb2.GetPostedResponse:
        """Answer what is posted to a budget."""
        subject, period = _id(request.subject_id, "subject_id"), _id(request.period_id, "period_id")
        return budgets_pb2.GetPostedResponse(posted_nanousd=await self._store.posted(subject, period))

    async def SetSpendLimit(
        self, request: budgets_pb2.SetSpendLimitRequest, context: object
    ) -> budgets_pb2.SetSpendLimitResponse:
        """Replace a limit."""
        limit = Limit(
            _amount(request.hard_nanousd, "hard_nanousd") if request.HasField("hard_nanousd") else None,
            _amount(request.soft_nanousd, "soft_nanousd") if request.HasField("soft_nanousd") else None,
        )
        await self._store.set_limit(
            _id(request.organization_id, "organization_id"), _text(request.project_id, "project_id"), limit
        )
        return budgets_pb2.SetSpendLimitResponse()

    async def GetSpendLimit(
        self, request: budgets_pb2.GetSpendLimitRequest, context: object
    ) -> budgets_pb2.GetSpendLimitResponse:
        """Answer a limit and how it stands."""
        organization, project = _id(request.organization_id, "organization_id"), _text(request.project_id, "project_id")
        (standing,) = await self._store.standings([(organization, project)])
        limit = standing.project if project else standing.organization
        return budgets_pb2.GetSpendLimitResponse(
            hard_nanousd=limit.hard_nanousd,
            soft_nanousd=limit.soft_nanousd,
            period_id=self._store.period,
            posted_nanousd=standing.project_posted if project else standing.organization_posted,
        )

    async def SetPaymentTerms(
        self, request: budgets_pb2.SetPaymentTermsRequest, context: object
    ) -> budgets_pb2.SetPaymentTermsResponse:
        """Say how an organisation pays."""
        exposure = request.max_exposure_nanousd if request.HasField("max_exposure_nanousd") else None
        await self._store.set_terms(
            _id(request.organization_id, "organization_id"),
            prepaid=request.prepaid,
            max_exposure_nanousd=None if exposure is None else _amount(exposure, "max_exposure_nanousd"),
        )
        return budgets_pb2.SetPaymentTermsResponse()

    async def GrantCredit(
        self, request: budgets_pb2.GrantCreditRequest, context: object
    ) -> budgets_pb2.GrantCreditResponse:
        """Enter a payment in advance."""
        amount = _amount(request.amount_nanousd, "amount_nanousd")
        if amount == 0:
            raise _invalid("amount_nanousd", "nothing was paid")
        new = await self._store.grant(
            _id(request.grant_id, "grant_id"),
            _id(request.organization_id, "organization_id"),
            amount,
            _text(request.note, "note"),
        )
        return budgets_pb2.GrantCreditResponse(duplicate=not new)

    async def GetCredit(self, request: budgets_pb2.GetCreditRequest, context: object) -> budgets_pb2.GetCreditResponse:
        """Answer what is left."""
        (standing,) = await self._store.standings([(_id(request.organization_id, "organization_id"), "")])
        return budgets_pb2.GetCreditResponse(
            prepaid=standing.prepaid, granted_nanousd=standing.granted, used_nanousd=standing.used
        )

    async def CreateSpendAlert(
        self, request: budgets_pb2.CreateSpendAlertRequest, context: object
    ) -> budgets_pb2.CreateSpendAlertResponse:
        """Add an alert."""
        alert = _alert(request.alert, self._ids.new("alert_"), self._now())
        await self._store.create_alert(alert)
        return budgets_pb2.CreateSpendAlertResponse(alert=_alert_message(alert))

    async def ListSpendAlerts(
        self, request: budgets_pb2.ListSpendAlertsRequest, context: object
    ) -> budgets_pb2.ListSpendAlertsResponse:
        """Answer an owner's alerts."""
        alerts = await self._store.alerts(
            _id(request.organization_id, "organization_id"), _text(request.project_id, "project_id")
        )
        return budgets_pb2.ListSpendAlertsResponse(alerts=map(_alert_message, alerts))

    async def UpdateSpendAlert(
        self, request: budgets_pb2.UpdateSpendAlertRequest, context: object
    ) -> budgets_pb2.UpdateSpendAlertResponse:
        """Replace an alert."""
        alert = _alert(request.alert, _id(request.alert.alert_id, "alert_id"), self._now())
        return budgets_pb2.UpdateSpendAlertResponse(alert=_alert_message(await self._store.update_alert(alert)))

    async def DeleteSpendAlert(
        self, request: budgets_pb2.DeleteSpendAlertRequest, context: object
    ) -> budgets_pb2.DeleteSpendAlertResponse:
        """Take an alert away."""
        await self._store.delete_alert(
            _id(request.organization_id, "organization_id"),
            _text(request.project_id, "project_id"),
            _id(request.alert_id, "alert_id"),
        )
        return budgets_pb2.DeleteSpendAlertResponse()


def _budget(budget: Budget) -> budgets_pb2.SpendingBudget:
    return budgets_pb2.SpendingBudget(
        subject_id=budget.subject_id,
        kind=KINDS[budget.kind],
        period_id=budget.period_id,
        cap_nanousd=min(budget.cap_nanousd, MOST_NANOUSD),
        posted_nanousd=budget.posted_nanousd,
        soft=budget.soft,
    )


def _alert(message: budgets_pb2.SpendAlert, alert_id: str, now: datetime) -> Alert:
    if len(message.recipients) > MOST_RECIPIENTS:
        raise _invalid("recipients", f"at most {MOST_RECIPIENTS}")
    return Alert(
        alert_id,
        _id(message.organization_id, "organization_id"),
        _text(message.project_id, "project_id"),
        _amount(message.threshold_nanousd, "threshold_nanousd"),
        tuple(_text(recipient, "recipients") for recipient in message.recipients),
        _text(message.subject_prefix, "subject_prefix"),
        now,
    )


def _alert_message(alert: Alert) -> budgets_pb2.SpendAlert:
    message = budgets_pb2.SpendAlert(
        alert_id=alert.alert_id,
        organization_id=alert.organization_id,
        project_id=alert.project_id,
        threshold_nanousd=alert.threshold_nanousd,
        recipients=alert.recipients,
        subject_prefix=alert.subject_prefix,
    )
    message.create_time.FromDatetime(alert.create_time)
    return message


def _amount(value: int, field: str) -> int:
    if not 0 <= value <= MOST_NANOUSD:
        raise _invalid(field, f"0 to {MOST_NANOUSD} nano-dollars")
    return value


def _text(value: str, field: str) -> str:
    if len(value) > LONGEST_TEXT or "\0" in value:
        raise _invalid(field, f"at most {LONGEST_TEXT} characters, without NUL")
    return value


def _id(value: str, field: str) -> str:
    if not value:
        raise _invalid(field, "it is required")
    return _text(value, field)


def _invalid(field: str, message: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, message, param=field)
