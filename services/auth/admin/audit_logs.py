"""The audit log, read."""

from __future__ import annotations

import asyncpg

from capstan.auth.v1 import audit_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call
from services.auth.admin.paging import part
from services.auth.wire import instant, timestamp

MOST_WORDS = 100

# A filter that holds nothing lets everything through.
_LIST = """
SELECT a.*, p.name AS project_name, u.email, u.role AS actor_role
FROM auth.audit_log a
LEFT JOIN auth.projects p ON p.organization_id = a.organization_id AND p.project_id = a.project_id
LEFT JOIN auth.users u ON u.organization_id = a.organization_id AND u.user_id = a.actor_id
WHERE a.organization_id = $1
AND ($2::timestamptz IS NULL OR a.happened_at > $2) AND ($3::timestamptz IS NULL OR a.happened_at >= $3)
AND ($4::timestamptz IS NULL OR a.happened_at < $4) AND ($5::timestamptz IS NULL OR a.happened_at <= $5)
AND (cardinality($6::text[]) = 0 OR a.project_id = ANY($6))
AND (cardinality($7::text[]) = 0 OR a.action = ANY($7))
AND (cardinality($8::text[]) = 0 OR a.actor_id = ANY($8))
AND (cardinality($9::text[]) = 0 OR lower(u.email) = ANY($9))
AND (cardinality($10::text[]) = 0 OR a.object_ids && $10)
"""
_TIMES = ("after_time", "from_time", "before_time", "until_time")
_WORDS = ("project_ids", "types", "actor_ids", "actor_emails", "object_ids")


async def list_audit_logs(call: Call, request: pb.ListAuditLogsRequest) -> pb.ListAuditLogsResponse:
    """See audit.proto."""
    times, words = [], []
    for name in _TIMES:
        try:
            times.append(instant(getattr(request, name)) if request.HasField(name) else None)  # type: ignore[arg-type] # one of four
        except (ValueError, OverflowError):
            raise fields.invalid(name, "is no time") from None
    for name in _WORDS:
        found = list(getattr(request, name))
        if len(found) > MOST_WORDS or any("\0" in word for word in found):
            raise fields.invalid(name, f"must be at most {MOST_WORDS}")
        words.append([word.lower() for word in found] if name == "actor_emails" else found)
    rows, more = await part(call, _LIST, "a.audit_id", request.page, *times, *words, descending=True)
    return pb.ListAuditLogsResponse(entries=map(_entry, rows), has_more=more)


def _entry(row: asyncpg.Record) -> pb.AuditEntry:
    return pb.AuditEntry(
        id=row["audit_id"],
        type=row["action"],
        effective_time=timestamp(row["happened_at"]),
        actor=pb.AuditActor(
            key_id=row["actor_key_id"] or "",
            user_id=row["actor_id"] or "",
            email=row["email"] or "",
            service_account=row["actor_role"] == "service_account",
            ip_address=row["ip_address"],
            request_id=row["request_id"],
        ),
        project_id=row["project_id"] or "",
        project_name=row["project_name"] or "",
        object_ids=row["object_ids"],
        details=row["details"],
    )
