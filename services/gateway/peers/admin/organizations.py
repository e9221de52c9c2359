"""Organisations, for those who operate the installation."""

from __future__ import annotations

from typing import Any

from capstan.auth.v1 import organizations_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, page
from services.gateway.peers.admin.keys import shown_admin_key
from services.gateway.schema.admin.lists import Listing, listing
from services.gateway.schema.admin.organizations import (
    Organization,
    OrganizationCreate,
    OrganizationUpdate,
    OrganizationWithKey,
)


class Organizations:
    """Auth's organisations. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted) -> Listing[Organization]:
        """Answer a page."""
        request = organizations_pb2.ListOrganizationsRequest(actor=acting(actor), page=page(wanted))
        answer: organizations_pb2.ListOrganizationsResponse = await self._at.ask(
            self._at.stub.ListOrganizations, request
        )
        return listing([_organization(one) for one in answer.organizations], has_more=answer.has_more)

    async def create(self, actor: Actor, wish: OrganizationCreate) -> OrganizationWithKey:
        """Make one."""
        request = organizations_pb2.CreateOrganizationRequest(
            actor=acting(actor),
            name=wish.name,
            tier=wish.tier or "",
            owner_email=wish.owner_email or "",
            owner_name=wish.owner_name or "",
        )
        answer: organizations_pb2.CreateOrganizationResponse = await self._at.ask(
            self._at.stub.CreateOrganization, request
        )
        made = _organization(answer.organization)
        return OrganizationWithKey(
            id=made.id,
            name=made.name,
            tier=made.tier,
            created_at=made.created_at,
            admin_api_key=shown_admin_key(answer.admin_key, answer.key),
        )

    async def get(self, actor: Actor, organization_id: str) -> Organization:
        """Answer one; without an id the caller's own."""
        request = organizations_pb2.GetOrganizationRequest(actor=acting(actor), organization_id=organization_id)
        return _organization((await self._at.ask(self._at.stub.GetOrganization, request)).organization)

    async def update(self, actor: Actor, organization_id: str, wish: OrganizationUpdate) -> Organization:
        """Change one."""
        request = organizations_pb2.UpdateOrganizationRequest(
            actor=acting(actor), organization_id=organization_id, name=wish.name, tier=wish.tier or ""
        )
        return _organization((await self._at.ask(self._at.stub.UpdateOrganization, request)).organization)


def _organization(message: organizations_pb2.Organization) -> Organization:
    tier: Any = message.tier
    return Organization(id=message.id, name=message.name, tier=tier, created_at=message.create_time.seconds)
