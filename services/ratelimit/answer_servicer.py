"""Keyed requests: wire in, wire out."""

from __future__ import annotations

from capstan.ratelimit.v1 import answers_pb2, answers_pb2_grpc
from chassis.errors import CapstanError, Reason
from services.ratelimit.answers import LARGEST_ANSWER_BYTES, Answers, Place

LONGEST_NAME = 256
SHORTEST_LEASE_MS, LONGEST_LEASE_MS = 1_000, 900_000
FINGERPRINT_BYTES = 32

GRANTED, KEPT, USED = answers_pb2.CLAIM_STATE_GRANTED, answers_pb2.CLAIM_STATE_KEPT, answers_pb2.CLAIM_STATE_USED


class AnswerServicer(answers_pb2_grpc.AnswerServiceServicer):
    """See answers.proto."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def Claim(self, request: answers_pb2.ClaimRequest, context: object) -> answers_pb2.ClaimResponse:
        """See answers.proto."""
        place = _place(request)
        lease_ms = request.lease.ToMilliseconds()
        if not SHORTEST_LEASE_MS <= lease_ms <= LONGEST_LEASE_MS:
            raise _invalid("lease", f"must be {SHORTEST_LEASE_MS} to {LONGEST_LEASE_MS} ms")
        if len(request.fingerprint) != FINGERPRINT_BYTES:
            raise _invalid("fingerprint", f"must have {FINGERPRINT_BYTES} bytes")
        state, kept = await self._answers.claim(place, request.fingerprint, request.claimant, lease_ms)
        response = answers_pb2.ClaimResponse(state=answers_pb2.ClaimState.ValueType(state))
        if kept:
            response.answer.MergeFromString(kept)
        return response

    async def Conclude(self, request: answers_pb2.ConcludeRequest, context: object) -> answers_pb2.ConcludeResponse:
        """See answers.proto."""
        place = _place(request)
        state, kept = request.state, b""
        if state not in (GRANTED, KEPT, USED):
            raise _invalid("state", "must be GRANTED, KEPT or USED")
        if (state == KEPT) != request.HasField("answer"):
            raise _invalid("answer", "belongs to KEPT")
        if state == KEPT and len(kept := request.answer.SerializeToString()) > LARGEST_ANSWER_BYTES:
            state, kept = USED, b""
        concluded = await self._answers.conclude(place, request.claimant, state, kept)
        return answers_pb2.ConcludeResponse(concluded=concluded)


def _place(request: answers_pb2.ClaimRequest | answers_pb2.ConcludeRequest) -> Place:
    for name in ("organization_id", "project_id", "key", "claimant"):
        if not 1 <= len(getattr(request, name)) <= LONGEST_NAME:
            raise _invalid(name, f"must have 1 to {LONGEST_NAME} characters")
    return Place(request.organization_id, request.project_id, request.key)


def _invalid(param: str, message: str) -> CapstanError:
    return CapstanError(Reason.INVALID_ARGUMENT, f"{param} {message}", param=param)
