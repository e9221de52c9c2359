"""What is answered when something is gone."""

from __future__ import annotations

from typing import Literal

from services.gateway.schema.answers import AnswerModel


class ProjectUserDeleted(AnswerModel):
    """The user is no member any more."""

    object: Literal["organization.project.user.deleted"] = "organization.project.user.deleted"
    id: str
    deleted: Literal[True] = True


class ServiceAccountDeleted(AnswerModel):
    """The account is gone, and with it its keys."""

    object: Literal["organization.project.service_account.deleted"] = "organization.project.service_account.deleted"
    id: str
    deleted: Literal[True] = True


class ProjectKeyDeleted(AnswerModel):
    """The key works no more."""

    object: Literal["organization.project.api_key.deleted"] = "organization.project.api_key.deleted"
    id: str
    deleted: Literal[True] = True


class AdminKeyDeleted(AnswerModel):
    """The key works no more."""

    object: Literal["organization.admin_api_key.deleted"] = "organization.admin_api_key.deleted"
    id: str
    deleted: Literal[True] = True


class RateLimitDeleted(AnswerModel):
    """Capstan's own. The numbers of the organisation hold again."""

    object: Literal["project.rate_limit.deleted"] = "project.rate_limit.deleted"
    id: str
    deleted: Literal[True] = True


class UserDeleted(AnswerModel):
    """The user is out of the organisation."""

    object: Literal["organization.user.deleted"] = "organization.user.deleted"
    id: str
    deleted: Literal[True] = True


class InviteDeleted(AnswerModel):
    """The invite cannot be accepted any more."""

    object: Literal["organization.invite.deleted"] = "organization.invite.deleted"
    id: str
    deleted: Literal[True] = True


class GroupDeleted(AnswerModel):
    """The group is gone."""

    object: Literal["group.deleted"] = "group.deleted"
    id: str
    deleted: Literal[True] = True


class GroupUserDeleted(AnswerModel):
    """The user is no member of the group any more."""

    object: Literal["group.user.deleted"] = "group.user.deleted"
    deleted: Literal[True] = True


class ProjectGroupDeleted(AnswerModel):
    """The group is out of the project."""

    object: Literal["project.group.deleted"] = "project.group.deleted"
    deleted: Literal[True] = True


class RoleDeleted(AnswerModel):
    """The role is gone, from whoever had it."""

    object: Literal["role.deleted"] = "role.deleted"
    id: str
    deleted: Literal[True] = True


class AssignmentDeleted(AnswerModel):
    """The role is taken away."""

    object: Literal["user.role.deleted", "group.role.deleted"]
    deleted: Literal[True] = True
