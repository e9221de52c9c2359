"""Alerts at thresholds of a month's spending. A project's id is empty for the organisation's own."""

from __future__ import annotations

from collections.abc import Sequence

from capstan.billing.v1 import budgets_pb2
from chassis.errors import CapstanError, Reason
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.bookkeeper import Bookkeeper
from services.gateway.peers.admin.spend_limits import NANO_PER_CENT
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.schema.admin.lists import Listing, listing
from services.gateway.schema.admin.spending import SpendAlert, SpendAlertDeleted, SpendAlertWrite, ToldBy

NEW = "spend_alert"
"""What the audit log calls an alert that has no id yet."""


class SpendAlerts:
    """Billing's alerts. What the methods raise is what `Authority.ask` and `Bookkeeper.ask` raise."""

    def __init__(self, books: Bookkeeper, rights: SpendingRights) -> None:
        self._books = books
        self._rights = rights

    async def list(self, actor: Actor, wanted: Wanted, project_id: str = "") -> Listing[SpendAlert]:
        """Answer a page; an empty one when the alert that it follows or comes before is not there."""
        await self._rights.see(actor, project_id)
        alerts = await self._all(actor, project_id)
        if wanted.order == "desc":
            alerts = alerts[::-1]
        places = {alert.id: place for place, alert in enumerate(alerts)}
        if not places.keys() >= {*filter(None, (wanted.after, wanted.before))}:
            return listing([], has_more=False)
        begin = places[wanted.after] + 1 if wanted.after else 0
        end = places[wanted.before] if wanted.before else len(alerts)
        found = alerts[begin:end]
        page = found[-wanted.limit :] if wanted.before and not wanted.after else found[: wanted.limit]
        return listing(page, has_more=len(found) > wanted.limit)

    async def create(self, actor: Actor, wish: SpendAlertWrite, project_id: str = "") -> SpendAlert:
        """Make one."""
        wanted = _message(actor, wish, project_id)
        await self._rights.change(actor, project_id, NEW, wanted.threshold_nanousd)
        request = budgets_pb2.CreateSpendAlertRequest(alert=wanted)
        return _alert((await self._books.ask(self._books.budgets.CreateSpendAlert, request)).alert)

    async def get(self, actor: Actor, alert_id: str, project_id: str = "") -> SpendAlert:
        """Answer one."""
        await self._rights.see(actor, project_id)
        for alert in await self._all(actor, project_id):
            if alert.id == alert_id:
                return alert
        raise _gone(alert_id)

    async def update(self, actor: Actor, alert_id: str, wish: SpendAlertWrite, project_id: str = "") -> SpendAlert:
        """Replace one."""
        await self.get(actor, alert_id, project_id)  # so that the log has no change of what is not there
        wanted = _message(actor, wish, project_id, alert_id)
        await self._rights.change(actor, project_id, alert_id, wanted.threshold_nanousd)
        request = budgets_pb2.UpdateSpendAlertRequest(alert=wanted)
        return _alert((await self._books.ask(self._books.budgets.UpdateSpendAlert, request)).alert)

    async def delete(self, actor: Actor, alert_id: str, project_id: str = "") -> SpendAlertDeleted:
        """Take one away."""
        await self.get(actor, alert_id, project_id)
        await self._rights.change(actor, project_id, alert_id)
        request = budgets_pb2.DeleteSpendAlertRequest(
            organization_id=actor.organization_id, project_id=project_id, alert_id=alert_id
        )
        await self._books.ask(self._books.budgets.DeleteSpendAlert, request)
        return SpendAlertDeleted(
            id=alert_id, object="project.spend_alert.deleted" if project_id else "organization.spend_alert.deleted"
        )

    async def _all(self, actor: Actor, project_id: str) -> Sequence[SpendAlert]:
        request = budgets_pb2.ListSpendAlertsRequest(organization_id=actor.organization_id, project_id=project_id)
        answer: budgets_pb2.ListSpendAlertsResponse = await self._books.ask(
            self._books.budgets.ListSpendAlerts, request
        )
        return [_alert(alert) for alert in answer.alerts]


def _gone(alert_id: str) -> CapstanError:
    return CapstanError(Reason.OBJECT_NOT_FOUND, "no such alert", object="spend alert", id=alert_id)


def _message(actor: Actor, wish: SpendAlertWrite, project_id: str, alert_id: str = "") -> budgets_pb2.SpendAlert:
    return budgets_pb2.SpendAlert(
        alert_id=alert_id,
        organization_id=actor.organization_id,
        project_id=project_id,
        threshold_nanousd=wish.threshold_amount * NANO_PER_CENT,
        recipients=wish.notification_channel.recipients,
        subject_prefix=wish.notification_channel.subject_prefix or "",
    )


def _alert(message: budgets_pb2.SpendAlert) -> SpendAlert:
    return SpendAlert(
        id=message.alert_id,
        object="project.spend_alert" if message.project_id else "organization.spend_alert",
        threshold_amount=message.threshold_nanousd // NANO_PER_CENT,
        notification_channel=ToldBy(recipients=list(message.recipients), subject_prefix=message.subject_prefix or None),
    )
