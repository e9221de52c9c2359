"""Rights over what is spent. Limits, alerts and numbers are billing's; who may see and change them is judged here."""

from __future__ import annotations

from capstan.auth.v1 import spending_pb2 as pb
from services.auth import fields
from services.auth.admin.call import Call


async def get_usage_access(call: Call, request: pb.GetUsageAccessRequest) -> pb.GetUsageAccessResponse:
    """See spending.proto: whoever comes here may."""
    return pb.GetUsageAccessResponse()


async def get_spending_access(call: Call, request: pb.GetSpendingAccessRequest) -> pb.GetSpendingAccessResponse:
    """See spending.proto."""
    if request.project_id:
        await call.project(request.project_id)
    return pb.GetSpendingAccessResponse()


async def record_spending_change(
    call: Call, request: pb.RecordSpendingChangeRequest
) -> pb.RecordSpendingChangeResponse:
    """See spending.proto. OpenAI's log has no event for it: it is a change of the project or of the organisation."""
    setting = fields.name("setting", request.setting)
    if request.project_id:
        await call.project(request.project_id, active=True)
    noun, object_id = ("project", request.project_id) if request.project_id else ("organization", call.organization_id)
    # As text, because amounts are larger than what every reader of JSON has exactly.
    threshold = str(request.threshold_nanousd) if request.HasField("threshold_nanousd") else None
    soft = str(request.soft_nanousd) if request.HasField("soft_nanousd") else None
    await call.log(
        f"{noun}.updated",
        object_id,
        project_id=request.project_id or None,
        changes_requested={"spending": {"setting": setting, "threshold_nanousd": threshold, "soft_nanousd": soft}},
    )
    return pb.RecordSpendingChangeResponse()
