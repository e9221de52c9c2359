"""Roles, and who has them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.admin.members import Id
from services.gateway.schema.admin.projects import Name
from services.gateway.schema.admin.users import User
from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

Permissions = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(min_length=1, max_length=100)]
Description = Annotated[str, Field(max_length=1000)]


class RoleCreate(RequestModel):
    """A role to make."""

    role_name: Name
    permissions: Permissions
    description: Description | None = None


class RoleUpdate(RequestModel):
    """What to change of a role."""

    role_name: Name | None = None
    permissions: Permissions | None = None
    description: Description | None = None


class Role(AnswerModel):
    """What somebody may do, by name."""

    object: Literal["role"] = "role"
    id: str
    """"role-…"."""
    name: str
    description: str | None
    permissions: list[str]
    resource_type: str
    """"api.organization" or "api.project"."""
    predefined_role: bool
    """Made by Capstan: never changes."""


class RoleAssign(RequestModel):
    """Which role to give."""

    role_id: Id


class AssignmentSource(AnswerModel):
    """By whom somebody has a role."""

    principal_id: str
    principal_type: str


class AssignedRole(AnswerModel):
    """A role that somebody has."""

    id: str
    name: str
    permissions: list[str]
    resource_type: str
    predefined_role: bool
    description: str | None
    created_at: int | None
    updated_at: int | None
    created_by: None = None
    created_by_user_obj: None = None
    metadata: dict[str, str]
    assignment_sources: list[AssignmentSource]


class AssignedGroup(AnswerModel):
    """A group that has a role."""

    object: Literal["group"] = "group"
    id: str
    name: str
    created_at: int
    scim_managed: bool = False


class UserAssignment(AnswerModel):
    """A user was given a role."""

    object: Literal["user.role"] = "user.role"
    user: User
    role: Role


class GroupAssignment(AnswerModel):
    """A group was given a role."""

    object: Literal["group.role"] = "group.role"
    group: AssignedGroup
    role: Role
