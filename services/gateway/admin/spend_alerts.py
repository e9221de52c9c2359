"""`/v1/organization/spend_alerts` and a project's: who is told at which spending."""

# Annotations are needed while they are made: what they name is local. So they are not postponed here.
from typing import Annotated

from fastapi import APIRouter, Depends

from services.gateway.admin.office import Office
from services.gateway.admin.paging import OrderedPageBothWays
from services.gateway.admin.route import Acting, AdminRoute
from services.gateway.admin.scope import scope_of
from services.gateway.peers.admin.spend_alerts import SpendAlerts
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.schema.admin.lists import Listing
from services.gateway.schema.admin.spending import SpendAlert, SpendAlertDeleted, SpendAlertWrite


def router(office: Office) -> APIRouter:
    """Build the routes of both."""
    made = APIRouter()
    made.include_router(_alerts(office, "/v1/organization/spend_alerts", "organization", in_project=False))
    made.include_router(
        _alerts(office, "/v1/organization/projects/{project_id}/spend_alerts", "project", in_project=True)
    )
    return made


def _alerts(office: Office, prefix: str, noun: str, *, in_project: bool) -> APIRouter:
    alerts = SpendAlerts(office.bookkeeper, SpendingRights(office.authority))
    made = APIRouter(prefix=prefix, tags=["Spend alerts"], route_class=AdminRoute)
    place = scope_of(in_project=in_project)

    @made.get("", operation_id=f"list-{noun}-spend-alerts", summary="List the alerts")
    async def list_alerts(
        actor: Acting, page: OrderedPageBothWays, project_id: Annotated[str, Depends(place)]
    ) -> Listing[SpendAlert]:
        return await alerts.list(actor, page, project_id)

    @made.post("", operation_id=f"create-{noun}-spend-alert", summary="Make an alert")
    async def create(actor: Acting, project_id: Annotated[str, Depends(place)], body: SpendAlertWrite) -> SpendAlert:
        return await alerts.create(actor, body, project_id)

    @made.get("/{alert_id}", operation_id=f"retrieve-{noun}-spend-alert", summary="Show an alert")
    async def retrieve(actor: Acting, project_id: Annotated[str, Depends(place)], alert_id: str) -> SpendAlert:
        return await alerts.get(actor, alert_id, project_id)

    @made.post("/{alert_id}", operation_id=f"update-{noun}-spend-alert", summary="Replace an alert")
    async def update(
        actor: Acting, project_id: Annotated[str, Depends(place)], alert_id: str, body: SpendAlertWrite
    ) -> SpendAlert:
        return await alerts.update(actor, alert_id, body, project_id)

    @made.delete("/{alert_id}", operation_id=f"delete-{noun}-spend-alert", summary="End an alert")
    async def delete(actor: Acting, project_id: Annotated[str, Depends(place)], alert_id: str) -> SpendAlertDeleted:
        return await alerts.delete(actor, alert_id, project_id)

    return made
