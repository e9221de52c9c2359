"""May they see or change what is spent? The objects are billing's, the rights over them are auth's."""

from __future__ import annotations

from capstan.auth.v1 import spending_pb2
from services.gateway.actor import Actor
from services.gateway.peers.admin.authority import Authority, acting


class SpendingRights:
    """Auth's word on it. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def see_usage(self, actor: Actor) -> None:
        """Insist on the right to see what the organisation uses."""
        request = spending_pb2.GetUsageAccessRequest(actor=acting(actor))
        await self._at.ask(self._at.stub.GetUsageAccess, request)

    async def see(self, actor: Actor, project_id: str) -> None:
        """Insist on the right to see limits and alerts; without a project those of the organisation."""
        request = spending_pb2.GetSpendingAccessRequest(actor=acting(actor), project_id=project_id)
        await self._at.ask(self._at.stub.GetSpendingAccess, request)

    async def change(
        self,
        actor: Actor,
        project_id: str,
        setting: str,
        threshold_nanousd: int | None = None,
        soft_nanousd: int | None = None,
    ) -> None:
        """Insist on the right to change something, and have it written down; no threshold: it is taken away."""
        request = spending_pb2.RecordSpendingChangeRequest(
            actor=acting(actor),
            project_id=project_id,
            setting=setting,
            threshold_nanousd=threshold_nanousd,
            soft_nanousd=soft_nanousd,
        )
        await self._at.ask(self._at.stub.RecordSpendingChange, request)
