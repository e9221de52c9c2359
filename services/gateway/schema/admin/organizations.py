"""Capstan's own: organisations, for those who operate the installation."""

from __future__ import annotations

from typing import Literal

from services.gateway.schema.admin.keys import AdminKeyWithValue
from services.gateway.schema.admin.members import Email
from services.gateway.schema.admin.projects import Name
from services.gateway.schema.answers import AnswerModel
from services.gateway.schema.base import RequestModel

Tier = Literal["free", "1", "2", "3", "4", "5", "local"]


class OrganizationCreate(RequestModel):
    """An organisation to make, with a first owner and an admin key."""

    name: Name
    tier: Tier | None = None
    """Unset: "free"."""
    owner_email: Email | None = None
    owner_name: Name | None = None


class OrganizationUpdate(RequestModel):
    """What to change of an organisation."""

    name: Name | None = None
    tier: Tier | None = None


class Organization(AnswerModel):
    """An organisation: nobody in it sees anything of another."""

    object: Literal["organization"] = "organization"
    id: str
    """"org-…"."""
    name: str
    tier: Tier
    """How much it may use."""
    created_at: int
    """Unix seconds."""


class OrganizationWithKey(Organization):
    """An organisation that was just made."""

    admin_api_key: AdminKeyWithValue
    """Of its first owner."""
