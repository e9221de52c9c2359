"""What the router may know of a prompt: hashes of its beginnings, so that like prompts meet where they are cached.

Salted per organisation: nobody learns from another's placement, and equal prompts of two tenants are two, as they are
in the engine's cache.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence

from capstan.inference.v1 import inference_pb2

BEGINNINGS = tuple(256 << step for step in range(8))
"""Lengths in bytes, 256 to 32,768: each twice the last, so that a growing conversation keeps all it had."""

_END = b"\x1e"
_PART = b"\x1f"


def prefix_hashes(start: inference_pb2.Start, organization_id: str) -> list[int]:
    """Hash the prompt's beginnings, shortest first; empty for a prompt shorter than the first of them."""
    text = bytearray()
    for part in _parts(start):
        text += part
        if len(text) >= BEGINNINGS[-1]:
            break
    found = []
    running = hashlib.blake2b(digest_size=8, key=_key(organization_id))
    begin = 0
    for end in BEGINNINGS:
        if end > len(text):
            break
        running.update(text[begin:end])
        found.append(int.from_bytes(running.digest(), "big"))
        begin = end
    return found


def body_hash(starts: Sequence[inference_pb2.Start], organization_id: str) -> int:
    """Hash all that a replica is asked; never 0. The starts must not have their ids yet."""
    whole = hashlib.blake2b(digest_size=8, key=_key(organization_id))
    for start in starts:
        whole.update(start.SerializeToString(deterministic=True))
    return int.from_bytes(whole.digest(), "big") or 1


def inputs_hash(inputs: Sequence[str | Sequence[int]], organization_id: str) -> int:
    """Hash what vectors are asked of; never 0."""
    whole = hashlib.blake2b(digest_size=8, key=_key(organization_id))
    for each in inputs:
        if isinstance(each, str):
            whole.update(each.encode("utf-8", "surrogatepass") + _PART)
        else:
            whole.update(array("I", each).tobytes() + _END)
    return int.from_bytes(whole.digest(), "big") or 1


def session_hash(session: bytes, start: inference_pb2.Start, organization_id: str) -> int:
    """Hash the client's name for its session or, without one, all up to the first question of a conversation under way.

    0 for neither: what begins has no past that it could meet.
    """
    whole = hashlib.blake2b(session, digest_size=8, key=_key(organization_id))
    if not session:
        messages = start.chat.messages
        if not any(message.role == "assistant" for message in messages):
            return 0
        for message in messages:
            whole.update(message.role.encode() + _PART + _beginning(message.content) + _END)
            if message.role == "user":
                break
    return int.from_bytes(whole.digest(), "big") or 1


def _key(organization_id: str) -> bytes:
    return organization_id.encode()[:64]


def _parts(start: inference_pb2.Start) -> Iterator[bytes]:
    """The prompt in about the order in which a chat template writes it: functions, then messages."""
    kind = start.WhichOneof("prompt")
    if kind == "chat":
        for tool in start.chat.tools:
            yield tool.name.encode() + _PART + tool.description.encode() + _PART + tool.parameters_json.encode() + _END
        for message in start.chat.messages:
            yield message.role.encode() + _PART + _beginning(message.content)
            for call in message.tool_calls:
                yield _PART + call.name.encode() + _PART + call.arguments.encode()
            yield _END
    elif kind == "text":
        yield _beginning(start.text)
    elif kind == "tokens":
        yield array("I", start.tokens.token_ids[: BEGINNINGS[-1]]).tobytes()


def _beginning(text: str) -> bytes:
    return text[: BEGINNINGS[-1]].encode("utf-8", "surrogatepass")
