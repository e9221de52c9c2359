"""`Idempotency-Key`: a request with a key is done once, however often it is sent.

An extension: OpenAI's SDKs send none by themselves, and can be told to send one with each request.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable

from services.gateway import request_errors
from services.gateway.answer import Answer, Whole
from services.gateway.caller import Caller
from services.gateway.replays import Replays
from services.gateway.stream import EventStream

LONGEST_KEY = 255
REPLAYED = (b"idempotent-replayed", b"true")


async def once(
    replays: Replays,
    caller: Caller,
    key: bytes,
    body: bytes,
    run: Callable[[], Awaitable[Answer]],
    *,
    recorded: Callable[[], bool],
    streamed: bool,
    path: str,
) -> Answer:
    """Answer `run`, or what it answered before. `body` is the client's own bytes: another order is another body.

    A stream runs once and is not kept. `recorded` says whether `run` may have charged something by now. Raises
    `ApiError` when the key is none, or is in use for something else.
    """
    if not 0 < len(key) <= LONGEST_KEY or not all(0x20 < byte < 0x7F for byte in key):
        raise request_errors.idempotency_key_malformed(LONGEST_KEY)
    name = key.decode("ascii")
    fingerprint = hashlib.sha256(path.encode() + b"\0" + body).digest()
    if streamed:
        begun: Answer | None = None
        try:
            async with replays.used_up(caller, name, fingerprint):
                begun = await run()
        except BaseException as error:
            if isinstance(begun, EventStream):
                await begun.drop(error)  # its client left while others were told
            raise
        return begun

    async def whole() -> Whole:
        answer = await run()
        assert isinstance(answer, Whole)
        return answer

    answer, replayed = await replays.answer(caller, name, fingerprint, whole, recorded)
    if not replayed:
        return answer
    # The limits have moved on since, and a replay is not counted.
    headers = [pair for pair in answer.headers if not pair[0].startswith(b"x-ratelimit-")]
    return dataclasses.replace(answer, headers=[*headers, REPLAYED])
