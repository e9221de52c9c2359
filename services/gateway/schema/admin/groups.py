"""Groups of users, and the projects they are in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.admin.members import Id
from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

GroupName = Annotated[str, Field(min_length=1, max_length=255)]


class GroupWrite(RequestModel):
    """A group to make or to rename."""

    name: GroupName


class Group(AnswerModel):
    """A group of users."""

    id: str
    """"group_…"."""
    name: str
    created_at: int
    is_scim_managed: bool = False
    group_type: Literal["group"] = "group"
    member_count: int
    """Capstan's own."""


class GroupRenamed(AnswerModel):
    """A group of users."""

    id: str
    name: str
    created_at: int
    is_scim_managed: bool = False


class GroupUserAdd(RequestModel):
    """Whom to put in."""

    user_id: Id


class GroupMembership(AnswerModel):
    """A user is in a group."""

    object: Literal["group.user"] = "group.user"
    user_id: str
    group_id: str


class GroupUser(AnswerModel):
    """A user in a group."""

    id: str
    name: str
    email: str | None


class GroupUserDetails(GroupUser):
    """A user in a group."""

    picture: None = None
    is_service_account: bool
    user_type: Literal["user"] = "user"


class ProjectGroupAdd(RequestModel):
    """Which group becomes part of a project, and what its users are there."""

    group_id: Id
    role: Id
    """Id of a role of projects."""


class ProjectGroup(AnswerModel):
    """A group in a project."""

    object: Literal["project.group"] = "project.group"
    project_id: str
    group_id: str
    group_name: str
    group_type: Literal["group"] = "group"
    created_at: int
