"""Limits on what an organisation or a project may spend in a month. A project's id is empty for the organisation."""

from __future__ import annotations

from capstan.billing.v1 import budgets_pb2
from chassis.errors import CapstanError, Reason
from services.gateway.actor import Actor
from services.gateway.peers.admin.bookkeeper import Bookkeeper
from services.gateway.peers.admin.spending_rights import SpendingRights
from services.gateway.schema.admin.spending import Enforcement, SpendLimit, SpendLimitDeleted, SpendLimitUpdate

NANO_PER_CENT = 10**7
SETTING = "spend_limit"


class SpendLimits:
    """Billing's limits. What the methods raise is what `Authority.ask` and `Bookkeeper.ask` raise."""

    def __init__(self, books: Bookkeeper, rights: SpendingRights) -> None:
        self._books = books
        self._rights = rights

    async def get(self, actor: Actor, project_id: str = "") -> SpendLimit:
        """Answer a limit and how it stands. Raises OBJECT_NOT_FOUND when there is none."""
        await self._rights.see(actor, project_id)
        return await self._get(actor, project_id)

    async def set(self, actor: Actor, wish: SpendLimitUpdate, project_id: str = "") -> SpendLimit:
        """Replace a limit."""
        hard = wish.threshold_amount * NANO_PER_CENT
        soft = None if wish.soft_threshold_amount is None else wish.soft_threshold_amount * NANO_PER_CENT
        await self._rights.change(actor, project_id, SETTING, hard, soft)
        request = budgets_pb2.SetSpendLimitRequest(
            organization_id=actor.organization_id, project_id=project_id, hard_nanousd=hard, soft_nanousd=soft
        )
        await self._books.ask(self._books.budgets.SetSpendLimit, request)
        return await self._get(actor, project_id)

    async def delete(self, actor: Actor, project_id: str = "") -> SpendLimitDeleted:
        """Take a limit away. Raises OBJECT_NOT_FOUND when there is none."""
        await self.get(actor, project_id)
        await self._rights.change(actor, project_id, SETTING)
        request = budgets_pb2.SetSpendLimitRequest(organization_id=actor.organization_id, project_id=project_id)
        await self._books.ask(self._books.budgets.SetSpendLimit, request)
        return SpendLimitDeleted(
            object="project.spend_limit.deleted" if project_id else "organization.spend_limit.deleted"
        )

    async def _get(self, actor: Actor, project_id: str) -> SpendLimit:
        request = budgets_pb2.GetSpendLimitRequest(organization_id=actor.organization_id, project_id=project_id)
        found: budgets_pb2.GetSpendLimitResponse = await self._books.ask(self._books.budgets.GetSpendLimit, request)
        if not found.HasField("hard_nanousd"):
            owner = project_id or actor.organization_id
            raise CapstanError(Reason.OBJECT_NOT_FOUND, "no limit is set", object="spend limit", id=owner)
        reached = found.posted_nanousd >= found.hard_nanousd
        return SpendLimit(
            object="project.spend_limit" if project_id else "organization.spend_limit",
            threshold_amount=found.hard_nanousd // NANO_PER_CENT,
            enforcement=Enforcement(status="enforcing" if reached else "inactive"),
            soft_threshold_amount=found.soft_nanousd // NANO_PER_CENT if found.HasField("soft_nanousd") else None,
            period=found.period_id,
            spent_nanousd=str(found.posted_nanousd),
        )
