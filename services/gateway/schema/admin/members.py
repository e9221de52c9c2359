"""Users as members of projects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

Id = Annotated[str, Field(min_length=1, max_length=200)]
Email = Annotated[str, Field(min_length=3, max_length=254)]
ProjectRole = Literal["owner", "member"]


class ProjectUserCreate(RequestModel):
    """Who becomes a member, by id or by address."""

    role: ProjectRole
    user_id: Id | None = None
    email: Email | None = None


class ProjectUserUpdate(RequestModel):
    """What the member shall be."""

    role: ProjectRole | None = None


class ProjectUser(AnswerModel):
    """A member of a project."""

    object: Literal["organization.project.user"] = "organization.project.user"
    id: str
    """"user-…"."""
    name: str | None
    email: str | None
    role: str
    """"owner" or "member"."""
    added_at: int
    """Unix seconds."""
