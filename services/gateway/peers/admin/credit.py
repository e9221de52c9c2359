"""What an organisation paid in advance, as billing says."""

from __future__ import annotations

from dataclasses import dataclass

from capstan.billing.v1 import budgets_pb2
from services.gateway.actor import Actor
from services.gateway.peers.admin.bookkeeper import Bookkeeper
from services.gateway.peers.admin.spending_rights import SpendingRights


@dataclass(frozen=True, slots=True)
class Standing:
    """Nano-dollars."""

    prepaid: bool
    granted_nanousd: int
    used_nanousd: int


class Credits:
    """Billing's word. What the method raises is what `Authority.ask` and `Bookkeeper.ask` raise."""

    def __init__(self, books: Bookkeeper, rights: SpendingRights) -> None:
        self._books = books
        self._rights = rights

    async def standing(self, actor: Actor) -> Standing:
        """Answer how the actor's organisation stands."""
        await self._rights.see_usage(actor)
        request = budgets_pb2.GetCreditRequest(organization_id=actor.organization_id)
        answer: budgets_pb2.GetCreditResponse = await self._books.ask(self._books.budgets.GetCredit, request)
        return Standing(answer.prepaid, answer.granted_nanousd, answer.used_nanousd)
