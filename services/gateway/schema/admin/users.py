"""Users of an organisation, and those who are invited to become one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.admin.members import Email, Id, ProjectRole
from services.gateway.schema.admin.projects import Name
from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

OrganizationRole = Literal["owner", "reader"]


class UserUpdate(RequestModel):
    """What to change of a user."""

    role: OrganizationRole | None = None
    name: Name | None = None
    """Capstan's own."""
    disabled: bool | None = None
    """Capstan's own. Whether none of their keys works."""
    role_id: None = None
    """Not served: only null. Roles are given at `/users/{id}/roles`."""
    technical_level: None = None
    """Not served: only null."""
    developer_persona: None = None
    """Not served: only null."""


class UserDetails(AnswerModel):
    """A user as a person."""

    object: Literal["user"] = "user"
    id: str
    email: str | None
    name: str | None
    picture: None = None
    enabled: bool
    banned: bool
    banned_at: None = None


class User(AnswerModel):
    """A person in an organisation."""

    object: Literal["organization.user"] = "organization.user"
    id: str
    """"user-…"."""
    name: str | None
    email: str | None
    role: OrganizationRole
    added_at: int
    """Unix seconds."""
    created: int
    """Unix seconds."""
    user: UserDetails
    is_default: bool = False
    is_service_account: bool = False
    is_scim_managed: bool = False
    is_scale_tier_authorized_purchaser: None = None
    api_key_last_used_at: int | None
    """Unix seconds, to some ten; null: never."""
    technical_level: None = None
    developer_persona: None = None
    projects: None = None
    disabled: bool
    """Capstan's own."""


class InvitedProject(RequestModel):
    """A membership that comes with an invite."""

    id: Id
    role: ProjectRole


class InviteCreate(RequestModel):
    """Whom to invite."""

    email: Email
    role: OrganizationRole
    projects: Annotated[list[InvitedProject], Field(max_length=100)] | None = None
    """Unset: none."""


class InviteAccept(RequestModel):
    """Capstan's own. Who accepts: there is no web login, so an administrator does it for the person."""

    name: Name | None = None
    """Of the user. Unset: the address."""


class InviteProject(AnswerModel):
    """A membership that comes with an invite."""

    id: str
    role: ProjectRole


class Invite(AnswerModel):
    """Somebody who shall become a user."""

    object: Literal["organization.invite"] = "organization.invite"
    id: str
    """"invite-…"."""
    email: str
    role: OrganizationRole
    status: Literal["accepted", "expired", "pending"]
    created_at: int
    expires_at: int | None
    accepted_at: int | None
    projects: list[InviteProject]
    user_id: str | None
    """Capstan's own. Who they became; null: not yet."""
