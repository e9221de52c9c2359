"""Roles, and who has them. A project's id is empty for what belongs to the organisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from capstan.auth.v1 import roles_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, page, seconds
from services.gateway.schema.admin.lists import NextListing, next_listing
from services.gateway.schema.admin.roles import AssignedRole, AssignmentSource, Role, RoleCreate, RoleUpdate


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has roles."""

    kind: Literal["user", "group"]
    id: str


class Roles:
    """Auth's roles. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted, project_id: str) -> NextListing[Role]:
        """Answer a page."""
        request = roles_pb2.ListRolesRequest(actor=acting(actor), page=page(wanted), project_id=project_id)
        answer: roles_pb2.ListRolesResponse = await self._at.ask(self._at.stub.ListRoles, request)
        roles = [_role(role) for role in answer.roles]
        return next_listing(roles, roles[-1].id if roles else "", has_more=answer.has_more)

    async def create(self, actor: Actor, project_id: str, wish: RoleCreate) -> Role:
        """Make one."""
        request = roles_pb2.CreateRoleRequest(
            actor=acting(actor),
            project_id=project_id,
            name=wish.role_name,
            description=wish.description or "",
            permissions=wish.permissions,
        )
        return _role((await self._at.ask(self._at.stub.CreateRole, request)).role)

    async def get(self, actor: Actor, project_id: str, role_id: str) -> Role:
        """Answer one."""
        request = roles_pb2.GetRoleRequest(actor=acting(actor), project_id=project_id, role_id=role_id)
        return _role((await self._at.ask(self._at.stub.GetRole, request)).role)

    async def update(self, actor: Actor, project_id: str, role_id: str, wish: RoleUpdate) -> Role:
        """Change one."""
        request = roles_pb2.UpdateRoleRequest(
            actor=acting(actor),
            project_id=project_id,
            role_id=role_id,
            name=wish.role_name,
            description=wish.description,
            permissions=wish.permissions or (),
        )
        return _role((await self._at.ask(self._at.stub.UpdateRole, request)).role)

    async def delete(self, actor: Actor, project_id: str, role_id: str) -> None:
        """End one."""
        request = roles_pb2.DeleteRoleRequest(actor=acting(actor), project_id=project_id, role_id=role_id)
        await self._at.ask(self._at.stub.DeleteRole, request)

    async def held(self, actor: Actor, wanted: Wanted, project_id: str, holder: Holder) -> NextListing[AssignedRole]:
        """Answer a page of what somebody has."""
        request = roles_pb2.ListRoleAssignmentsRequest(
            actor=acting(actor), page=page(wanted), project_id=project_id, grantee=_grantee(holder)
        )
        answer: roles_pb2.ListRoleAssignmentsResponse = await self._at.ask(self._at.stub.ListRoleAssignments, request)
        roles = [_assigned(assignment) for assignment in answer.assignments]
        return next_listing(roles, roles[-1].id if roles else "", has_more=answer.has_more)

    async def one_held(self, actor: Actor, project_id: str, holder: Holder, role_id: str) -> AssignedRole:
        """Answer one that somebody has."""
        request = roles_pb2.GetRoleAssignmentRequest(
            actor=acting(actor), project_id=project_id, grantee=_grantee(holder), role_id=role_id
        )
        return _assigned((await self._at.ask(self._at.stub.GetRoleAssignment, request)).assignment)

    async def assign(self, actor: Actor, project_id: str, holder: Holder, role_id: str) -> Role:
        """Give one to somebody."""
        request = roles_pb2.AssignRoleRequest(
            actor=acting(actor), project_id=project_id, grantee=_grantee(holder), role_id=role_id
        )
        return _role((await self._at.ask(self._at.stub.AssignRole, request)).assignment.role)

    async def unassign(self, actor: Actor, project_id: str, holder: Holder, role_id: str) -> None:
        """Take one from somebody."""
        request = roles_pb2.UnassignRoleRequest(
            actor=acting(actor), project_id=project_id, grantee=_grantee(holder), role_id=role_id
        )
        await self._at.ask(self._at.stub.UnassignRole, request)


def _grantee(holder: Holder) -> roles_pb2.Grantee:
    if holder.kind == "user":
        return roles_pb2.Grantee(user_id=holder.id)
    return roles_pb2.Grantee(group_id=holder.id)


def _role(message: roles_pb2.Role) -> Role:
    return Role(
        id=message.id,
        name=message.name,
        description=message.description or None,
        permissions=list(message.permissions),
        resource_type=message.resource_type,
        predefined_role=message.predefined,
    )


def _assigned(message: roles_pb2.RoleAssignment) -> AssignedRole:
    role, grantee = message.role, message.grantee
    source = AssignmentSource(
        principal_id=grantee.user_id or grantee.group_id,
        principal_type="user" if grantee.user_id else "group",
    )
    return AssignedRole(
        id=role.id,
        name=role.name,
        permissions=list(role.permissions),
        resource_type=role.resource_type,
        predefined_role=role.predefined,
        description=role.description or None,
        created_at=seconds(role, "create_time"),
        updated_at=seconds(role, "update_time"),
        metadata={},
        assignment_sources=[source],
    )
