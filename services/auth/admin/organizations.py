"""Organisations, for those who operate the installation."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import organizations_pb2 as pb
from services.auth import fields
from services.auth.admin.admin_keys import admin_key
from services.auth.admin.call import Call
from services.auth.admin.paging import part
from services.auth.minting import NewKey
from services.auth.tenancy import enter
from services.auth.tiers import TIERS
from services.auth.wire import timestamp

_LIST = "SELECT * FROM auth.organizations WHERE $1 <> ''"
_INSERT = "INSERT INTO auth.organizations (organization_id, name, tier, created_at) VALUES ($1, $2, $3, $4) RETURNING *"
_INSERT_OWNER = """
INSERT INTO auth.users (organization_id, user_id, email, name, role, created_at) VALUES ($1, $2, $3, $4, 'owner', $5)
"""
_UPDATE = """
UPDATE auth.organizations SET name = coalesce($2, name), tier = coalesce($3, tier) WHERE organization_id = $1
"""


async def list_organizations(call: Call, request: pb.ListOrganizationsRequest) -> pb.ListOrganizationsResponse:
    """See organizations.proto."""
    rows, more = await part(call, _LIST, "organization_id", request.page)
    return pb.ListOrganizationsResponse(organizations=map(_organization, rows), has_more=more)


async def create_organization(call: Call, request: pb.CreateOrganizationRequest) -> pb.CreateOrganizationResponse:
    """See organizations.proto."""
    name = fields.name("name", request.name)
    tier = fields.one_of("tier", request.tier or "free", tuple(TIERS))
    email = fields.email("owner_email", request.owner_email) if request.owner_email else None
    owner = fields.name("owner_name", request.owner_name or "Owner")
    organization_id, user_id = call.ids.new("org-"), call.ids.new("user-")
    await enter(call.connection, organization_id)
    call.organization_id = organization_id
    row = await call.row(_INSERT, name, tier, call.now)
    assert row is not None
    await call.run(_INSERT_OWNER, user_id, email, owner, call.now)
    made = await call.mint.make(call.connection, NewKey("admin", organization_id, None, user_id, "First admin key"))
    await call.log("organization.updated", organization_id, changes_requested={"name": name, "tier": tier})
    await call.log("user.added", user_id, data={"role": "owner"})
    await call.log("api_key.created", made.id, user_id)
    return pb.CreateOrganizationResponse(
        organization=_organization(row), admin_key=await admin_key(call, made.id), key=made.key
    )


async def get_organization(call: Call, request: pb.GetOrganizationRequest) -> pb.GetOrganizationResponse:
    """See organizations.proto."""
    return pb.GetOrganizationResponse(organization=_organization(await call.move_to(request.organization_id)))


async def update_organization(call: Call, request: pb.UpdateOrganizationRequest) -> pb.UpdateOrganizationResponse:
    """See organizations.proto."""
    name = fields.name("name", request.name) if request.HasField("name") else None
    tier = fields.one_of("tier", request.tier, tuple(TIERS)) if request.tier else None
    await call.move_to(request.organization_id)
    await call.run(_UPDATE, name, tier)
    changes = {key: value for key, value in (("name", name), ("tier", tier)) if value is not None}
    await call.log("organization.updated", call.organization_id, changes_requested=changes)
    return pb.UpdateOrganizationResponse(organization=_organization(await call.move_to("")))


def _organization(row: asyncpg.Record) -> pb.Organization:
    return pb.Organization(
        id=row["organization_id"], name=row["name"], tier=row["tier"], create_time=timestamp(row["created_at"])
    )
