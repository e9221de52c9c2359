"""Keys of projects, the service accounts that own some of them, and keys of the administration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.schema.admin.members import Id
from services.gateway.schema.admin.projects import ModelName, Name
from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

Lifetime = Annotated[int, Field(ge=1, le=31_536_000)]
"""Seconds, at most a year."""
Scopes = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=64)]
Models = Annotated[list[ModelName], Field(max_length=100)]
Networks = Annotated[list[Annotated[str, Field(min_length=2, max_length=49)]], Field(max_length=100)]


class Restrictions(RequestModel):
    """What a key may do less than its owner."""

    scopes: Scopes | None = None
    """Such as `model.request` or `api.all.read`; an empty list: all that its owner may."""
    expires_in_seconds: Lifetime | None = None
    """From now. Unset: never."""
    allowed_models: Models | None = None
    """Capstan's own. Only these models; an empty list: all that its project may use."""
    allowed_ips: Networks | None = None
    """Capstan's own. Only from these networks (`10.0.0.0/8`, `2001:db8::1`); an empty list: from everywhere."""


class ProjectKeyCreate(Restrictions):
    """Capstan's own. A key to make for a user."""

    name: Name
    user_id: Id | None = None
    """Whose key. Unset: that of the calling key's owner."""


class ProjectKeyUpdate(Restrictions):
    """What to change of a key; what is not given stays."""

    name: Name | None = None
    """Capstan's own."""


class ProjectKeyRotate(RequestModel):
    """Capstan's own. A key to follow up by a new one with the same restrictions."""

    overlap_seconds: Annotated[int, Field(ge=0, le=2_592_000)] | None = None
    """How long the former goes on working, at most 30 days. Unset: it ends at once."""


class KeyUser(AnswerModel):
    """A user who owns a key."""

    id: str
    email: str
    """Empty when it is not known."""
    name: str
    created_at: int
    role: str


class KeyServiceAccount(AnswerModel):
    """A service account that owns a key."""

    id: str
    name: str
    created_at: int
    role: str


class UserOwner(AnswerModel):
    """A key of a user."""

    type: Literal["user"] = "user"
    user: KeyUser


class ServiceAccountOwner(AnswerModel):
    """A key of a service account."""

    type: Literal["service_account"] = "service_account"
    service_account: KeyServiceAccount


class ProjectKey(AnswerModel):
    """A key of a project, without the key itself."""

    object: Literal["organization.project.api_key"] = "organization.project.api_key"
    id: str
    """"key_…"."""
    redacted_value: str
    """Its first and last characters."""
    name: str
    created_at: int
    """Unix seconds."""
    last_used_at: int | None
    """Unix seconds, to some ten; null: never."""
    expires_at: int | None
    """Unix seconds; null: never."""
    owner_project_access: Literal["active", "inactive"]
    """Whether the owner may use the project now: the key works only then."""
    owner: UserOwner | ServiceAccountOwner
    scopes: list[str]
    """Capstan's own. Empty: all that its owner may."""
    allowed_models: list[str]
    """Capstan's own. Empty: all that its project may use."""
    allowed_ips: list[str]
    """Capstan's own. Empty: from everywhere."""


class ProjectKeyWithValue(ProjectKey):
    """A key that was just made."""

    value: str
    """The key itself: shown here and never again."""


class ServiceAccountCreate(RequestModel):
    """A service account to make."""

    name: Name
    create_service_account_only: bool | None = None
    """No key is made."""
    expires_in_seconds: Lifetime | None = None
    """Of the key, from now. Unset: never."""


class ServiceAccountUpdate(RequestModel):
    """What to change of a service account."""

    name: Name | None = None
    role: Literal["member", "owner"] | None = None


class ServiceAccount(AnswerModel):
    """A user of a project that is no person."""

    object: Literal["organization.project.service_account"] = "organization.project.service_account"
    id: str
    """"user-svc…"."""
    name: str
    role: Literal["owner", "member", "none"]
    created_at: int
    """Unix seconds."""


class ServiceAccountKey(AnswerModel):
    """A key of a service account that was just made."""

    object: Literal["organization.project.service_account.api_key"] = "organization.project.service_account.api_key"
    id: str
    """"key_…"."""
    value: str
    """The key itself: shown here and never again."""
    name: str
    created_at: int
    """Unix seconds."""


class ServiceAccountWithKey(AnswerModel):
    """A service account that was just made."""

    object: Literal["organization.project.service_account"] = "organization.project.service_account"
    id: str
    name: str
    role: Literal["member", "none"]
    created_at: int
    api_key: ServiceAccountKey | None
    """Null when none was asked for."""


class ServiceAccountKeyCreate(Restrictions):
    """A further key of a service account."""

    name: Name | None = None
    """Unset: "Secret key"."""


class AdminKeyCreate(RequestModel):
    """A key of the administration to make. It may do what the calling key may."""

    name: Name
    expires_in_seconds: Lifetime | None = None
    """From now. Unset: never."""
    scopes: Scopes | None = None
    """Capstan's own. Such as `api.projects.read`; unset: those of the calling key."""
    allowed_ips: Networks | None = None
    """Capstan's own."""


class AdminKeyOwner(AnswerModel):
    """Whose rights an admin key has."""

    type: Literal["user", "service_account"]
    object: Literal["organization.user", "organization.service_account"]
    id: str
    name: str
    created_at: int
    role: str


class AdminKey(AnswerModel):
    """A key of the administration, without the key itself."""

    object: Literal["organization.admin_api_key"] = "organization.admin_api_key"
    id: str
    """"key_…"."""
    name: str
    redacted_value: str
    created_at: int
    expires_at: int | None
    """Unix seconds; null: never."""
    last_used_at: int | None
    """Unix seconds, to some ten; null: never."""
    owner: AdminKeyOwner
    scopes: list[str]
    """Capstan's own."""
    allowed_ips: list[str]
    """Capstan's own. Empty: from everywhere."""
    operator: bool
    """Capstan's own. Whether it may administer organisations (`/v1/organizations`)."""


class AdminKeyWithValue(AdminKey):
    """An admin key that was just made."""

    value: str
    """The key itself: shown here and never again."""
