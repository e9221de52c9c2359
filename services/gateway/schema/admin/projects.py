"""Projects, and the models they may use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

Name = Annotated[str, Field(min_length=1, max_length=100)]
"""What people call something."""
ModerationPolicy = Literal["off", "advisory", "required"]


class ProjectCreate(RequestModel):
    """A project to make."""

    name: Name
    moderation_policy: ModerationPolicy | None = None
    """Capstan's own. What happens to prompts: not classified (the default), classified and served whatever the verdict,
    or refused when flagged."""
    external_key_id: None = None
    """Not served: only null."""
    geography: None = None
    """Not served: only null."""
    residency: None = None
    """Not served: only null."""


class ProjectUpdate(RequestModel):
    """What to change of a project."""

    name: Name | None = None
    moderation_policy: ModerationPolicy | None = None
    """Capstan's own."""
    external_key_id: None = None
    """Not served: only null."""
    geography: None = None
    """Not served: only null."""


class Project(AnswerModel):
    """A project: what keys, limits and usage belong to."""

    id: str
    """"proj_…"."""
    object: Literal["organization.project"] = "organization.project"
    name: str
    created_at: int
    """Unix seconds."""
    archived_at: int | None
    """Unix seconds; null while the project is active. Archiving is for good."""
    status: Literal["active", "archived"]
    moderation_policy: ModerationPolicy
    """Capstan's own."""


ModelName = Annotated[str, Field(min_length=1, max_length=200)]


class ModelPermissionsUpdate(RequestModel):
    """Which models a project may use."""

    mode: Literal["allow_list", "deny_list"]
    model_ids: Annotated[list[ModelName], Field(max_length=1000)]


class ModelPermissions(AnswerModel):
    """Which models a project may use. A project for which nothing was set may use all: a deny list of none."""

    object: Literal["project.model_permissions"] = "project.model_permissions"
    mode: Literal["allow_list", "deny_list"]
    model_ids: list[str]


class ModelPermissionsDeleted(AnswerModel):
    """The project may use all models."""

    object: Literal["project.model_permissions.deleted"] = "project.model_permissions.deleted"
    deleted: Literal[True] = True
