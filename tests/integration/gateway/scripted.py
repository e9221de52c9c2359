"""Small real services for gateway tests: each answers as its knobs say, and remembers what it was told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from capstan.auth.v1 import auth_pb2, auth_pb2_grpc
from capstan.billing.v1 import billing_pb2, billing_pb2_grpc
from capstan.errors.v1 import errors_pb2
from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from capstan.moderation.v1 import moderation_pb2, moderation_pb2_grpc
from capstan.ratelimit.v1 import ratelimit_pb2, ratelimit_pb2_grpc
from capstan.router.v1 import router_pb2, router_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis import keys
from services.gateway.settings import Settings

KEY = keys.mint("proj", lambda count: b"\x11" * count)
STRANGER = keys.mint("proj", lambda count: b"\x22" * count)
MODEL = "demo"


def principal() -> auth_pb2.Principal:
    made = auth_pb2.Principal(
        organization_id="org-1",
        project_id="proj_1",
        key_id="key_1",
        owner_id="user-1",
        scopes=["*"],
        rate_limits=[
            auth_pb2.RateLimit(scope=auth_pb2.LIMIT_SCOPE_PROJECT, requests_per_minute=100, tokens_per_minute=10_000)
        ],
    )
    made.cache_ttl.FromSeconds(60)
    return made


@dataclass
class Auth(auth_pb2_grpc.AuthServiceServicer):
    """Knows one key, and those of `others`."""

    principal: auth_pb2.Principal = field(default_factory=principal)
    others: dict[str, auth_pb2.Principal] = field(default_factory=dict)
    """By key."""
    lookups: list[int] = field(default_factory=list)
    changes: asyncio.Queue[auth_pb2.WatchResponse] = field(default_factory=asyncio.Queue)

    async def Authenticate(self, request, context):
        self.lookups.append(len(request.key_digests))
        unknown = errors_pb2.Failure(reason=errors_pb2.ERROR_REASON_KEY_INVALID)
        known = {keys.digest(key): who for key, who in (self.others | {KEY: self.principal}).items()}
        return auth_pb2.AuthenticateResponse(
            results=[
                auth_pb2.AuthenticateResult(principal=known[digest])
                if digest in known
                else auth_pb2.AuthenticateResult(refusal=unknown)
                for digest in request.key_digests
            ]
        )

    async def Watch(self, request, context):
        yield auth_pb2.WatchResponse()
        while True:
            yield await self.changes.get()


@dataclass
class Ratelimit(ratelimit_pb2_grpc.RatelimitServiceServicer):
    """Admits all, or refuses all."""

    refuse: bool = False
    reserved: dict[str, list[ratelimit_pb2.Charge]] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    renewed: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    async def Reserve(self, request, context):
        self.calls += 1
        return ratelimit_pb2.ReserveResponse(results=[self._reserve(item) for item in request.items])

    def _reserve(self, item):
        meters = []
        for charge in item.charges:
            meter = ratelimit_pb2.MeterState(
                dimension=charge.dimension, limit=charge.limit, remaining=max(0, charge.limit - charge.cost)
            )
            meter.reset.FromMilliseconds(600)
            meters.append(meter)
        result = ratelimit_pb2.ReserveResult(meters=meters)
        if self.refuse:
            result.refusal.reason = errors_pb2.ERROR_REASON_RATE_LIMITED
            words = {"dimension": "requests_per_minute", "limit": "100", "used": "100", "requested": "1"}
            result.refusal.metadata.update({**words, "retry_after_ms": "600"})
        else:
            self.reserved[item.request_id] = list(item.charges)
        return result

    async def Settle(self, request, context):
        self.settled |= {item.request_id: item.tokens for item in request.items}
        return ratelimit_pb2.SettleResponse(results=[ratelimit_pb2.SettleResult(settled=True)] * len(request.items))

    async def Renew(self, request, context):
        self.renewed |= {item.request_id: item.tokens for item in request.items}
        return ratelimit_pb2.RenewResponse(results=[ratelimit_pb2.RenewResult()] * len(request.items))

    async def Heartbeat(self, request, context):
        return ratelimit_pb2.HeartbeatResponse(gateway_count=1)


@dataclass
class Router(router_pb2_grpc.RouterServiceServicer):
    """Hands out replicas in order, leaving out the excluded ones."""

    replicas: dict[str, str] = field(default_factory=dict)
    items: list[router_pb2.PlaceItem] = field(default_factory=list)
    room: asyncio.Event | None = None
    """Set: what comes waits for it in the queue."""
    waited: list[float] = field(default_factory=list)
    """What was allowed, seconds."""
    released: dict[str, list[int]] = field(default_factory=dict)
    deaf: bool = False
    """Set: it cannot be told of releases."""
    full: bool = False
    """Set: its queue is full."""

    async def Place(self, request, context):
        return router_pb2.PlaceResponse(results=[self._place(item) for item in request.items])

    async def Queue(self, request, context):
        self.waited.append(request.max_wait.ToNanoseconds() / 1e9)
        if self.full:
            refusal = errors_pb2.Failure(reason=errors_pb2.ERROR_REASON_OVERLOADED)
            refusal.metadata["retry_after_ms"] = "5000"
            return router_pb2.QueueResponse(result=router_pb2.PlaceResult(refusal=refusal))
        if self.room is not None:
            await self.room.wait()
            self.room = None
        return router_pb2.QueueResponse(result=self._place(request.item))

    def _place(self, item):
        if self.full or self.room is not None:
            full = errors_pb2.Failure(reason=errors_pb2.ERROR_REASON_NO_CAPACITY)
            return router_pb2.PlaceResult(refusal=full)
        self.items.append(item)
        for name, address in self.replicas.items():
            if name not in item.excluded_replica_ids:
                return router_pb2.PlaceResult(placement=self._placement(name, address))
        refusal = errors_pb2.Failure(reason=errors_pb2.ERROR_REASON_NO_CAPACITY)
        return router_pb2.PlaceResult(refusal=refusal)

    def _placement(self, name, address):
        return router_pb2.Placement(
            replica_id=name, address=address, model=MODEL, max_model_tokens=2048, fingerprint="fp_demo"
        )

    async def Release(self, request, context):
        if self.deaf:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "deaf")
        for item in request.items:
            self.released.setdefault(item.request_id, []).append(item.outcome)
        return router_pb2.ReleaseResponse()

    async def ListModels(self, request, context):
        kinds = {MODEL: router_pb2.MODEL_KIND_GENERATE, "vectors": router_pb2.MODEL_KIND_EMBED}
        models = [router_pb2.Model(name=name, served_name=name, kind=kind) for name, kind in kinds.items()]
        models[0].replicas.extend(self._placement(*known) for known in self.replicas.items())
        return router_pb2.ListModelsResponse(
            models=[*models, router_pb2.Model(name="gpt-4o", served_name=MODEL, kind=1)]
        )


@dataclass
class Inference(inference_pb2_grpc.InferenceServiceServicer):
    """Says `words` and ends; `before` and `after` them something else may happen: "fail", "break", "hang",
    "dismiss" (it stops and says so) or "wait" (for `go_on`)."""

    words: tuple[str, ...] = ("Hello", " there", "!")
    before: str = ""
    after: str = ""
    calls: tuple[str, ...] = ()
    """Functions that it calls after its words, each without arguments."""
    ending: int = 1
    """Finish reason."""
    thought: str = ""
    """What it thinks before its words."""
    counts: bool = True
    """False: it ends without a word about what it used."""
    started: list[inference_pb2.Start] = field(default_factory=list)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    waiting: set[asyncio.Task[None]] = field(default_factory=set)
    embedding: list[inference_pb2.EmbedRequest] = field(default_factory=list)
    embeds: bool = True

    async def Session(self, requests, context):
        frames: asyncio.Queue[inference_pb2.SessionResponse | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(requests, frames))
        yield inference_pb2.SessionResponse()
        try:
            while (frame := await frames.get()) is not None:
                yield frame
        finally:
            reader.cancel()

    async def _read(self, requests, frames) -> None:
        async for request in requests:
            if request.HasField("start"):
                self.started.append(request.start)
                self.running += 1
                self._run(request.start, frames)
            elif request.HasField("abort"):
                self.running -= 1
                self.aborted.set()
                self._say(frames, inference_pb2.Delta(slot=request.abort.slot, finish_reason=4, finish=self._finish(1)))

    def _run(self, start, frames) -> None:
        if self.before == "wait":
            self._later(lambda: self._speak(start, frames))
        elif not self._event(self.before, start.slot, frames):
            self._speak(start, frames)

    def _later(self, act) -> None:
        async def wait() -> None:
            await self.go_on.wait()
            act()

        self.waiting.add(asyncio.create_task(wait()))

    def _speak(self, start, frames) -> None:
        if self.thought:
            self._say(frames, inference_pb2.Delta(slot=start.slot, reasoning=self.thought, token_count=1))
        for choice in range(max(1, start.sampling.choice_count)):
            for word in self._words_after(start.continuation.text):
                self._say(frames, inference_pb2.Delta(slot=start.slot, choice=choice, text=word, token_count=1))
        for index, name in enumerate(self.calls):
            part = inference_pb2.ToolCallDelta(index=index, call_id=f"call_{index}", name=name, arguments="{}")
            self._say(frames, inference_pb2.Delta(slot=start.slot, tool_calls=[part], token_count=1))
        if self.after == "wait":
            self._later(lambda: self._end(start, frames))
        elif not self._event(self.after, start.slot, frames):
            self._end(start, frames)

    def _words_after(self, said: str):
        """What is left to say; fails when that is not how it began."""
        whole = "".join(self.words)
        assert whole.startswith(said)
        words = list(self.words)
        while said:
            said = said.removeprefix(words.pop(0))
        return words

    def _end(self, start, frames) -> None:
        count = max(1, start.sampling.choice_count)
        for choice in range(count):
            delta = inference_pb2.Delta(slot=start.slot, choice=choice, finish_reason=self.ending)
            if choice == count - 1:
                delta.finish.CopyFrom(self._finish(count * len(self.words)) if self.counts else inference_pb2.Finish())
            self._say(frames, delta)
        self.running -= 1

    def _event(self, script: str, slot: int, frames) -> bool:
        if script == "break":
            frames.put_nowait(None)
        elif script == "dismiss":
            stopping = errors_pb2.Failure(reason=errors_pb2.ERROR_REASON_UNAVAILABLE)
            stopping.metadata.update({"service": "inference", "stopping": "true"})
            self._say(frames, inference_pb2.Delta(slot=slot, failure=stopping))
        elif script in ("fail", "refuse"):
            failed, refused = errors_pb2.ERROR_REASON_ENGINE_FAILED, errors_pb2.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED
            failure = errors_pb2.Failure(reason=failed if script == "fail" else refused)
            failure.metadata.update({"limit_tokens": "2048", "prompt_tokens": "3000"})
            self._say(frames, inference_pb2.Delta(slot=slot, failure=failure))
        return bool(script)

    def _finish(self, completion: int) -> inference_pb2.Finish:
        return inference_pb2.Finish(usage=usage_pb2.TokenUsage(prompt_tokens=7, completion_tokens=completion))

    def _say(self, frames, delta) -> None:
        frames.put_nowait(inference_pb2.SessionResponse(deltas=[delta]))

    async def CountTokens(self, request, context):
        return inference_pb2.CountTokensResponse(token_count=sum(len(m.content) for m in request.chat.messages))

    async def Embed(self, request, context):
        self.embedding.append(request)
        if self.before == "wait":
            await self.go_on.wait()
        if not self.embeds:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
        vector = b"\x00\x00\x80\x3f" + b"\x00" * 4  # (1.0, 0.0)
        usage = usage_pb2.TokenUsage(prompt_tokens=len(request.inputs))
        return inference_pb2.EmbedResponse(embeddings=[vector] * len(request.inputs), usage=usage)


@dataclass
@dataclass
class Moderation(moderation_pb2_grpc.ModerationServiceServicer):
    """Flags what contains "bad", once there is `room`."""

    room: asyncio.Event | None = None
    asked: int = 0
    given_up: int = 0

    async def Classify(self, request, context):
        self.asked += 1
        if self.room is not None:
            try:
                await self.room.wait()
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        verdicts = []
        for item in request.items:
            flagged = any("bad" in text for text in item.texts)
            scores = [
                moderation_pb2.CategoryScore(
                    category=category,
                    score=float(flagged and category == moderation_pb2.CATEGORY_HATE),
                    flagged=flagged and category == moderation_pb2.CATEGORY_HATE,
                )
                for category in moderation_pb2.Category.values()[1:]
            ]
            verdicts.append(moderation_pb2.Verdict(flagged=flagged, scores=scores))
        return moderation_pb2.ClassifyResponse(verdicts=verdicts, classifier="scripted")


@dataclass
class Billing(billing_pb2_grpc.BillingServiceServicer):
    """Keeps events by request id."""

    events: dict[str, billing_pb2.UsageEvent] = field(default_factory=dict)
    contradictions: list[billing_pb2.UsageEvent] = field(default_factory=list)
    """Events of requests that were told otherwise before."""

    async def Ingest(self, request, context):
        receipts = []
        for event in request.events:
            known = event.request_id in self.events
            if self.events.setdefault(event.request_id, event) != event:
                self.contradictions.append(event)
            status = billing_pb2.RECEIPT_STATUS_DUPLICATE if known else billing_pb2.RECEIPT_STATUS_RECORDED
            receipts.append(billing_pb2.Receipt(request_id=event.request_id, status=status))
        return billing_pb2.IngestResponse(receipts=receipts)


ADDERS = {
    Auth: auth_pb2_grpc.add_AuthServiceServicer_to_server,
    Ratelimit: ratelimit_pb2_grpc.add_RatelimitServiceServicer_to_server,
    Router: router_pb2_grpc.add_RouterServiceServicer_to_server,
    Inference: inference_pb2_grpc.add_InferenceServiceServicer_to_server,
    Moderation: moderation_pb2_grpc.add_ModerationServiceServicer_to_server,
    Billing: billing_pb2_grpc.add_BillingServiceServicer_to_server,
}


@dataclass
class Peers:
    """All scripted services, each on a socket of its own; any of them can be killed and brought back."""

    folder: Path
    auth: Auth = field(default_factory=Auth)
    ratelimit: Ratelimit = field(default_factory=Ratelimit)
    router: Router = field(default_factory=Router)
    moderation: Moderation = field(default_factory=Moderation)
    billing: Billing = field(default_factory=Billing)
    inference: Inference = field(default_factory=Inference)
    spare: Inference = field(default_factory=Inference)
    servers: dict[str, grpc.aio.Server] = field(default_factory=dict)
    beside: dict[str, list[tuple[object, Callable[..., None]]]] = field(default_factory=dict)
    """Other services on the same sockets, with what registers them."""

    NAMES = ("auth", "ratelimit", "router", "moderation", "billing", "inference", "spare")

    def address(self, name: str) -> str:
        return f"unix:{self.folder}/{name}.sock"

    async def start(self, name: str) -> None:
        servicer = getattr(self, name)
        server = self.servers[name] = grpc.aio.server()
        for kind, add in ADDERS.items():
            if isinstance(servicer, kind):
                add(servicer, server)
        for more, add in self.beside.get(name, ()):
            add(more, server)
        server.add_insecure_port(self.address(name))
        await server.start()

    async def kill(self, name: str) -> None:
        await self.servers.pop(name).stop(0)


@contextlib.asynccontextmanager
async def peers(folder: Path, **others: Any) -> AsyncIterator[Peers]:
    made = Peers(folder, **others)
    made.router.replicas = {name: made.address(name) for name in ("inference", "spare")}
    for name in Peers.NAMES:
        await made.start(name)
    try:
        yield made
    finally:
        for name in list(made.servers):
            await made.kill(name)


def settings(scripted: Peers, **changes: object) -> Settings:
    addresses = {
        f"{name}_address": scripted.address(name)
        for name in ("auth", "ratelimit", "router", "moderation", "billing", "jobs")
    }
    return Settings(
        **addresses,
        http_listen=f"unix:{scripted.folder}/http.sock",
        journal_path=scripted.folder / "journal.db",
        **{"grace_s": 2.0, "ratelimit_timeout_s": 5.0, **changes},
    )
