"""Writes the audit log: in the transaction of the change itself, so that neither is ever without the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chassis.ids import Ids
from chassis.postgres import Connection

_INSERT = """
INSERT INTO auth.audit_log (organization_id, audit_id, action, project_id, object_ids, details, actor_key_id, actor_id,
                            ip_address, request_id)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10)
"""


@dataclass(frozen=True, slots=True)
class By:
    """Who did it, and from where. Without a key it was the installation itself."""

    key_id: str | None = None
    user_id: str | None = None
    ip_address: str = ""
    request_id: str = ""


INSTALLATION = By()


async def record(
    connection: Connection,
    ids: Ids,
    by: By,
    organization_id: str,
    action: str,
    object_ids: Sequence[str],
    *,
    project_id: str | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Add an entry. `action` is one of OpenAI's event types, `details` what their entry has under it; no secrets."""
    await connection.execute(
        _INSERT,
        organization_id,
        ids.new("audit_log-"),
        action,
        project_id,
        list(object_ids),
        json.dumps(details or {}),
        by.key_id,
        by.user_id,
        by.ip_address,
        by.request_id,
    )
