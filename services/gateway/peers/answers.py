"""Ratelimit's other half: who does the work of a keyed request, as all gateways see it."""

from __future__ import annotations

import grpc

from capstan.ratelimit.v1 import answers_pb2, answers_pb2_grpc
from services.gateway.answer import Whole
from services.gateway.caller import Caller
from services.gateway.claims import Standing, State
from services.gateway.peers.calls import call

STATES = {
    answers_pb2.CLAIM_STATE_GRANTED: State.GRANTED,
    answers_pb2.CLAIM_STATE_RUNNING: State.RUNNING,
    answers_pb2.CLAIM_STATE_KEPT: State.KEPT,
    answers_pb2.CLAIM_STATE_USED: State.USED,
    answers_pb2.CLAIM_STATE_OTHER: State.OTHER,
}
_WIRE_STATES = {state: wire for wire, state in STATES.items()}


class SharedAnswers:
    """See `claims.Shared`."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = answers_pb2_grpc.AnswerServiceStub(channel)
        self._timeout_s = timeout_s

    async def claim(self, caller: Caller, key: str, fingerprint: bytes, claimant: str, lease_s: float) -> Standing:
        """See `claims.Shared`."""
        request = answers_pb2.ClaimRequest(
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            key=key,
            fingerprint=fingerprint,
            claimant=claimant,
        )
        request.lease.FromMilliseconds(round(lease_s * 1000))
        response: answers_pb2.ClaimResponse = await call(
            self._stub.Claim, request, timeout_s=self._timeout_s, peer="ratelimit"
        )
        answer = response.answer
        if response.state != answers_pb2.CLAIM_STATE_KEPT:
            return Standing(STATES[response.state])
        headers = [(header.name, header.value) for header in answer.headers]
        return Standing(State.KEPT, Whole(answer.body, headers, answer.status))

    async def conclude(self, caller: Caller, key: str, claimant: str, state: State, answer: Whole | None) -> None:
        """See `claims.Shared`."""
        request = answers_pb2.ConcludeRequest(
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            key=key,
            claimant=claimant,
            state=_WIRE_STATES[state],
        )
        if answer is not None:
            request.answer.status = answer.status
            request.answer.body = answer.body
            for name, value in answer.headers:
                request.answer.headers.add(name=name, value=value)
        await call(self._stub.Conclude, request, timeout_s=self._timeout_s, peer="ratelimit")
