"""An organisation with one of everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .administrator import Administrator, administrator
from .conftest import Client


@dataclass(frozen=True)
class World:
    """Ids of one of everything, and somebody who may do everything with it."""

    owner: Administrator
    organization_id: str
    project_id: str
    user_id: str
    service_account_id: str
    key_id: str
    admin_key_id: str
    group_id: str
    role_id: str
    project_role_id: str
    invite_id: str
    key: str

    @property
    def ids(self) -> set[str]:
        """All of them."""
        return {value for name, value in vars(self).items() if name.endswith("_id")}


async def world(client: Client, operator: Administrator, name: str) -> World:
    """Make an organisation with one of everything."""
    made = await operator("CreateOrganization", name=name, owner_email=f"owner@{name}.example")
    owner = await administrator(client, made.key)
    project = (await owner("CreateProject", name=name)).project
    where = {"project_id": project.id}
    accepted = (await owner("CreateInvite", email=f"user@{name}.example", role="reader")).invite
    user = (await owner("AcceptInvite", invite_id=accepted.id)).user
    await owner("AddProjectUser", **where, user_id=user.id, role="member")
    account = await owner("CreateServiceAccount", **where, name=name)
    key = await owner("CreateProjectKey", **where, user_id=user.id, name=name)
    group = (await owner("CreateGroup", name=name)).group
    await owner("AddGroupUser", group_id=group.id, user_id=user.id)
    role = (await owner("CreateRole", name=name, permissions=["api.groups.read"])).role
    project_role = (await owner("CreateRole", **where, name=name, permissions=["model.request"])).role
    await owner("AddProjectGroup", **where, group_id=group.id, role_id=project_role.id)
    grantees: list[dict[str, Any]] = [{"user_id": user.id}, {"group_id": group.id}]
    for grantee in grantees:
        await owner("AssignRole", grantee=grantee, role_id=role.id)
        await owner("AssignRole", **where, grantee=grantee, role_id=project_role.id)
    invite = (await owner("CreateInvite", email=f"next@{name}.example", role="reader")).invite
    return World(
        owner=owner,
        organization_id=owner.organization_id,
        project_id=project.id,
        user_id=user.id,
        service_account_id=account.service_account.id,
        key_id=key.api_key.id,
        admin_key_id=owner.key_id,
        group_id=group.id,
        role_id=role.id,
        project_role_id=project_role.id,
        invite_id=invite.id,
        key=key.key,
    )
