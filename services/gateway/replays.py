"""Answers kept for clients that ask again: the memory behind `Idempotency-Key`.

A key belongs to a project and to one body. Whoever asks first has the work done, apart from his connection: when he
leaves, it goes on, and is there when he asks again, so that a lost connection never pays twice. Whoever asks again
meanwhile waits for the same work. An answer that costs nothing (an error, but for one that was charged) frees its key.
So does work that is cut short because the gateway stops, which costs nothing either.

Kept in this process for a day and within a bound of memory: beyond it the organisation that keeps most loses its oldest
answers first. What a key means to other gateways is `claims`' business: it is asked once per piece of work.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from chassis.errors import CapstanError, Reason
from services.gateway import request_errors
from services.gateway.answer import Whole
from services.gateway.caller import Caller
from services.gateway.cancellation import UNHEARD
from services.gateway.claims import Claims, Held

OVERHEAD_BYTES = 1024
"""What a key costs beside the body of its answer."""

CHARGED = frozenset({Reason.DEADLINE_EXCEEDED})
"""Failures after which something may have been charged: they are the key's answer. All others charge nothing."""


@dataclass(eq=False, slots=True)
class _Entry:
    """One key. Without work, answer and failure it was used up by an answer that is not kept, such as a stream."""

    organization_id: str
    place: tuple[str, str]
    fingerprint: bytes
    expires_at: float
    work: asyncio.Task[tuple[Whole, bool]] | None = None
    stop: Callable[[], object] | None = None
    """Stops what `work` does by itself, and not what it tells other gateways of that."""
    answer: Whole | None = None
    failure: CapstanError | None = None
    size_bytes: int = OVERHEAD_BYTES


@contextmanager
def _freed(held: Held) -> Iterator[None]:
    """What fails in the block and charged nothing frees the claim; what may have been charged uses it up."""
    try:
        yield
    except CapstanError as error:
        held.used() if error.reason in CHARGED else held.free()
        raise
    except asyncio.CancelledError as error:
        held.free() if error.args == (UNHEARD,) else held.used()
        raise
    except Exception:
        held.free()
        raise


class Replays:
    """Keys of all organisations."""

    def __init__(
        self, monotonic: Callable[[], float], claims: Claims, *, max_bytes: int, lifetime_s: float = 86_400.0
    ) -> None:
        self._monotonic = monotonic
        self._claims = claims
        self._max_bytes = max_bytes
        self._lifetime_s = lifetime_s
        self._entries: dict[str, OrderedDict[tuple[str, str], _Entry]] = {}
        self._sizes: dict[str, int] = {}

    @property
    def size_bytes(self) -> int:
        """What is kept, all in all."""
        return sum(self._sizes.values())

    async def answer(
        self,
        caller: Caller,
        key: str,
        fingerprint: bytes,
        run: Callable[[], Awaitable[Whole]],
        recorded: Callable[[], bool] = lambda: False,
    ) -> tuple[Whole, bool]:
        """Answer what `run` answers, or what it answered when this key was first used, and whether it is the latter.

        `run` goes on when the caller is cancelled; `recorded` says whether it may have charged something by now, so
        that it is too late to stop it. Raises what `run` raised, or `ApiError`: 400 when the key came with another
        body, 409 when its answer is not kept, or not there yet.
        """
        entry = self._known(caller, key, fingerprint)
        known = entry is not None
        if entry is None:
            entry = self._claim(caller, key, fingerprint)
            entry.work = asyncio.get_running_loop().create_task(
                self._work(caller, entry, run, recorded), name="keyed request"
            )
            # Whoever asked may be gone when it fails.
            entry.work.add_done_callback(lambda work: None if work.cancelled() else work.exception())
        if entry.work is not None:
            answer, replayed = await asyncio.shield(entry.work)
            return answer, known or replayed
        if entry.failure is not None:
            raise CapstanError(entry.failure.reason, entry.failure.message, **entry.failure.metadata)
        if entry.answer is None:
            raise request_errors.idempotency_key_used()
        return entry.answer, known

    @asynccontextmanager
    async def used_up(self, caller: Caller, key: str, fingerprint: bytes) -> AsyncIterator[None]:
        """Let something that cannot be kept begin once. What fails inside the block has not begun: the key is free.

        Raises `ApiError`: 400 when the key came with another body, 409 when it was used or is in use.
        """
        if self._known(caller, key, fingerprint) is not None:
            raise request_errors.idempotency_key_used()
        entry = self._claim(caller, key, fingerprint)
        try:
            async with self._claims.held(caller, key, fingerprint, wait=False) as held:
                if held.answer is not None:
                    raise request_errors.idempotency_key_used()
                with _freed(held):
                    yield
                held.used()
        except Exception:
            self._drop(entry)
            raise

    async def close(self, grace_s: float, hurried: asyncio.Event) -> None:
        """Let what still runs for clients that left end within `grace_s`, or until `hurried`; then stop it.

        What is stopped charges nothing and frees its key. What is recorded is not stopped: it has its answer.
        """
        running = [(entry, entry.work) for kept in self._entries.values() for entry in kept.values() if entry.work]
        if not running:
            return
        ended = asyncio.gather(*(work for _, work in running), return_exceptions=True)
        hurry = asyncio.get_running_loop().create_task(hurried.wait(), name="hurry")
        waiting: set[asyncio.Future[Any]] = {ended, hurry}
        await asyncio.wait(waiting, timeout=max(0.0, grace_s), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        for entry, work in running:
            entry.stop() if entry.stop is not None else work.cancel(UNHEARD)
        await ended

    def _known(self, caller: Caller, key: str, fingerprint: bytes) -> _Entry | None:
        kept = self._entries.get(caller.organization_id)
        if kept is None:
            return None
        now = self._monotonic()
        for oldest in list(kept.values()):
            if oldest.expires_at > now:
                break
            if oldest.work is None:
                self._drop(oldest)
        entry = kept.get((caller.project_id, key))
        if entry is not None and entry.fingerprint != fingerprint:
            raise request_errors.idempotency_key_reused()
        return entry

    def _claim(self, caller: Caller, key: str, fingerprint: bytes) -> _Entry:
        entry = _Entry(
            caller.organization_id, (caller.project_id, key), fingerprint, self._monotonic() + self._lifetime_s
        )
        self._entries.setdefault(entry.organization_id, OrderedDict())[entry.place] = entry
        self._grow(entry.organization_id, entry.size_bytes)
        return entry

    async def _work(
        self, caller: Caller, entry: _Entry, run: Callable[[], Awaitable[Whole]], recorded: Callable[[], bool]
    ) -> tuple[Whole, bool]:
        """Do the work, or find that another gateway did; answer which of both."""
        try:
            async with self._claims.held(caller, entry.place[1], entry.fingerprint, wait=True) as held:
                if replayed := held.answer is not None:
                    answer = held.answer
                else:
                    doing = asyncio.ensure_future(run())
                    entry.stop = lambda: recorded() or doing.cancel(UNHEARD)
                    with _freed(held):
                        answer = await doing
                    held.kept(answer)
        except CapstanError as error:
            if error.reason in CHARGED:
                entry.failure = error
            else:
                self._drop(entry)
            raise
        except BaseException:
            self._drop(entry)
            raise
        finally:
            entry.work = entry.stop = None
        # One answer may not push out all others; one that is too large for that is told once.
        if len(answer.body) <= self._max_bytes // 4:
            entry.answer = answer
            entry.size_bytes += len(answer.body)
            self._grow(entry.organization_id, len(answer.body))
        return answer, replayed

    def _grow(self, organization_id: str, size_bytes: int) -> None:
        self._sizes[organization_id] = self._sizes.get(organization_id, 0) + size_bytes
        while self.size_bytes > self._max_bytes and self._drop_oldest():
            pass

    def _drop_oldest(self) -> bool:
        """Forget the oldest answer of the organisation that keeps most; answer whether there was one."""
        for organization_id in sorted(self._sizes, key=lambda each: self._sizes[each], reverse=True):
            for entry in self._entries[organization_id].values():
                if entry.work is None:
                    self._drop(entry)
                    return True
        return False

    def _drop(self, entry: _Entry) -> None:
        kept: Any = self._entries.get(entry.organization_id, {})
        if kept.get(entry.place) is not entry:
            return
        del kept[entry.place]
        self._sizes[entry.organization_id] -= entry.size_bytes
        if not kept:
            del self._entries[entry.organization_id], self._sizes[entry.organization_id]
