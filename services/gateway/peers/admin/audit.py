"""What was done, by whom, from where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from capstan.auth.v1 import audit_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, instant, page
from services.gateway.schema.admin.audit import AuditActor, AuditEntry, AuditProject
from services.gateway.schema.admin.lists import Listing, listing


@dataclass(frozen=True, slots=True)
class Sought:
    """Which entries are wanted; times in unix seconds, None and empty: all."""

    after: int | None = None
    since: int | None = None
    before: int | None = None
    until: int | None = None
    project_ids: Sequence[str] = field(default=())
    types: Sequence[str] = field(default=())
    actor_ids: Sequence[str] = field(default=())
    actor_emails: Sequence[str] = field(default=())
    object_ids: Sequence[str] = field(default=())


class AuditLog:
    """Auth's log. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted, sought: Sought) -> Listing[AuditEntry]:
        """Answer a page, latest first."""
        request = audit_pb2.ListAuditLogsRequest(
            actor=acting(actor),
            page=page(wanted),
            project_ids=sought.project_ids,
            types=sought.types,
            actor_ids=sought.actor_ids,
            actor_emails=sought.actor_emails,
            object_ids=sought.object_ids,
        )
        bounds = (sought.after, sought.since, sought.before, sought.until)
        for name, bound in zip(("after_time", "from_time", "before_time", "until_time"), bounds, strict=True):
            if bound is not None:
                getattr(request, name).CopyFrom(instant(bound))
        answer: audit_pb2.ListAuditLogsResponse = await self._at.ask(self._at.stub.ListAuditLogs, request)
        return listing([_entry(entry) for entry in answer.entries], has_more=answer.has_more)


def _entry(message: audit_pb2.AuditEntry) -> AuditEntry:
    project = AuditProject(id=message.project_id, name=message.project_name) if message.project_id else None
    details: Any = orjson.loads(message.details or b"{}")
    return AuditEntry(
        id=message.id,
        type=message.type,
        effective_at=message.effective_time.seconds,
        actor=_actor(message.actor),
        project=project,
        **{message.type: details},
    )


def _actor(message: audit_pb2.AuditActor) -> AuditActor:
    ip_address, request_id = message.ip_address or None, message.request_id or None
    if not message.key_id:
        return AuditActor(type="session", session={}, ip_address=ip_address, request_id=request_id)
    key: dict[str, Any] = {"id": message.key_id, "type": "service_account" if message.service_account else "user"}
    key[key["type"]] = {"id": message.user_id} | ({} if message.service_account else {"email": message.email})
    return AuditActor(type="api_key", api_key=key, ip_address=ip_address, request_id=request_id)
