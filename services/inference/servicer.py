"""The inference service on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import grpc

from capstan.inference.v1 import inference_pb2, inference_pb2_grpc
from capstan.usage.v1 import usage_pb2
from chassis.clock import Clock
from chassis.errors import CapstanError, Reason, unavailable
from chassis.rpc_server import rich_status
from chassis.supervise import Tasks
from services.inference.answer import Tally
from services.inference.embedding import MAX_INPUTS, check_dimensions, check_inputs, little_endian, shortened
from services.inference.engine import FinishReason
from services.inference.errors import EngineError, InvalidRequestError
from services.inference.failures import RETRY_AFTER_MS, capstan_error
from services.inference.health import Health
from services.inference.request import EmbeddingRequest
from services.inference.session import Session, Shared
from services.inference.tokenizer import NoChatTemplateError, TemplateRefusedError
from services.inference.wire import read_conversation

OPEN_WITHIN_S = 10.0
LEAST_INTERVAL_S = 0.1
LONGEST_INTERVAL_S = 60.0

Context = grpc.aio.ServicerContext[Any, Any]


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Sessions, vectors, adapters and the state of one replica."""

    def __init__(
        self, *, model: str, shared: Shared, health: Health, clock: Clock, tasks: Tasks, ready_at: float
    ) -> None:
        """`model`: the name clients use. `ready_at`: unix seconds."""
        self._model = model
        self._shared = shared
        self._health = health
        self._clock = clock
        self._tasks = tasks
        self._ready_at = ready_at
        self._sessions: set[Session] = set()

    @property
    def sessions(self) -> int:
        """Open sessions."""
        return len(self._sessions)

    @property
    def generated(self) -> int:
        """Tokens given so far to requests that run."""
        return sum(session.generated for session in self._sessions)

    def tend(self) -> None:
        """Look after all sessions. Called several times a second."""
        now = self._shared.now()
        for session in list(self._sessions):
            session.tend(now)

    def dismiss(self) -> None:
        """End all that runs, since its time is over: gateways go on elsewhere with what can go on."""
        for session in list(self._sessions):
            session.dismiss()

    async def Session(
        self, requests: AsyncIterator[inference_pb2.SessionRequest], context: Context
    ) -> AsyncIterator[inference_pb2.SessionResponse]:
        """See inference.proto."""
        await self._opened(requests)
        task = asyncio.current_task()
        assert task is not None
        session = Session(self._shared, lambda: self._tasks.once("cut off a session", _cut_off(context, task)))
        reader = asyncio.get_running_loop().create_task(_read(session, requests), name="session reader")
        self._sessions.add(session)

        def over(_: object = None) -> None:
            reader.cancel()
            session.close()
            self._sessions.discard(session)

        # Whatever ends the call, also while a frame is being written, ends what runs for it at once: this generator
        # itself is told only when it is collected. (The stubs want an instance of a class of their own here.)
        context.add_done_callback(cast("Any", over))
        try:
            async for frame in session.frames():
                yield frame
        finally:
            over()

    async def Embed(self, request: inference_pb2.EmbedRequest, context: Context) -> inference_pb2.EmbedResponse:
        """See inference.proto."""
        self._shared.use()
        try:
            model = self._shared.engine.model
            if not model.embeds:
                raise InvalidRequestError("this model makes no vectors", param="model")
            dimensions = check_dimensions(request.dimensions, model)
            inputs = await asyncio.to_thread(self._tokens, request)
            tokens = check_inputs(inputs)
            vectors = await self._shared.engine.embed(EmbeddingRequest(request.request_id, inputs))
            if self._shared.witness is not None:
                tally = Tally(prompt_tokens=tokens, finish=FinishReason.STOP.value)
                self._shared.witness.ended(request.request_id, request.admission, tally)
        except EngineError as error:
            raise capstan_error(error) from error
        finally:
            self._shared.use()
        return inference_pb2.EmbedResponse(
            embeddings=[little_endian(shortened(vector, dimensions)) for vector in vectors],
            usage=usage_pb2.TokenUsage(prompt_tokens=tokens),
        )

    def _tokens(self, request: inference_pb2.EmbedRequest) -> list[list[int]]:
        if len(request.inputs) > MAX_INPUTS:
            raise InvalidRequestError(f"a request embeds at most {MAX_INPUTS} inputs", param="input")
        inputs = []
        for item in request.inputs:
            if item.WhichOneof("input") is None or (item.HasField("text") and not item.text):
                raise InvalidRequestError("an input is empty", param="input")
            text = self._shared.preparation.text_tokens
            inputs.append(text(item.text) if item.HasField("text") else list(item.tokens.token_ids))
        return inputs

    async def CountTokens(
        self, request: inference_pb2.CountTokensRequest, context: Context
    ) -> inference_pb2.CountTokensResponse:
        """See inference.proto."""
        shared = self._shared
        shared.use()
        if shared.preparing >= shared.limits.preparing:
            raise CapstanError(Reason.OVERLOADED, "too many prompts are being read", retry_after_ms=RETRY_AFTER_MS)
        shared.preparing += 1
        try:
            if shared.engine.model.embeds:
                raise InvalidRequestError("this model reads no conversations", param="model")
            conversation = read_conversation(request.chat)
            count = await asyncio.to_thread(shared.preparation.chat_tokens, conversation)
        except (EngineError, NoChatTemplateError, TemplateRefusedError) as error:
            raise capstan_error(error) from error
        finally:
            shared.preparing -= 1
        return inference_pb2.CountTokensResponse(token_count=count)

    async def DescribeModel(
        self, request: inference_pb2.DescribeModelRequest, context: Context
    ) -> inference_pb2.DescribeModelResponse:
        """See inference.proto."""
        engine = self._shared.engine
        model = engine.model
        answer = inference_pb2.DescribeModelResponse(
            model=self._model,
            generates=not model.embeds,
            embeds=model.embeds,
            max_model_tokens=model.max_model_tokens,
            fingerprint=model.fingerprint,
            embedding_dimensions=model.embedding_dimensions,
            adapters=engine.adapters,
            vocabulary_size=model.vocabulary_size,
            max_adapter_count=model.max_adapters,
        )
        answer.start_time.FromNanoseconds(int(self._ready_at * 1e9))
        return answer

    async def WatchLoad(
        self, request: inference_pb2.WatchLoadRequest, context: Context
    ) -> AsyncIterator[inference_pb2.WatchLoadResponse]:
        """See inference.proto."""
        longest = request.max_interval.ToNanoseconds() / 1e9 if request.HasField("max_interval") else 1.0
        if not LEAST_INTERVAL_S <= longest <= LONGEST_INTERVAL_S:
            raise CapstanError(
                Reason.INVALID_ARGUMENT,
                f"an interval has {LEAST_INTERVAL_S:g} to {LONGEST_INTERVAL_S:g} seconds",
                param="max_interval",
            )
        told, told_at = None, 0.0
        while True:
            load = self._health.load()
            now = self._clock.monotonic()
            load.idle_for.FromNanoseconds(int(max(0.0, now - self._shared.used_at) * 1e9))
            if told is None or _news(load, told) or now - told_at >= longest:
                yield load
                told, told_at = load, now
            if self._shared.draining:
                return
            await self._clock.sleep(LEAST_INTERVAL_S)

    async def LoadAdapter(
        self, request: inference_pb2.LoadAdapterRequest, context: Context
    ) -> inference_pb2.LoadAdapterResponse:
        """See inference.proto."""
        _named(request.name)
        try:
            await self._shared.engine.load_adapter(request.name, request.path)
        except EngineError as error:
            raise capstan_error(error) from error
        return inference_pb2.LoadAdapterResponse()

    async def UnloadAdapter(
        self, request: inference_pb2.UnloadAdapterRequest, context: Context
    ) -> inference_pb2.UnloadAdapterResponse:
        """See inference.proto."""
        _named(request.name)
        try:
            await self._shared.engine.unload_adapter(request.name)
        except EngineError as error:
            raise capstan_error(error) from error
        return inference_pb2.UnloadAdapterResponse()

    async def _opened(self, requests: AsyncIterator[inference_pb2.SessionRequest]) -> str:
        """Wait for `open`; answer the gateway's name."""
        first = None
        with suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(OPEN_WITHIN_S):
                first = await anext(aiter(requests))
        if first is None or first.WhichOneof("message") != "open":
            raise CapstanError(Reason.INVALID_ARGUMENT, "a session begins with `open`", param="open")
        return first.open.gateway_id


async def _read(session: Session, requests: AsyncIterator[inference_pb2.SessionRequest]) -> None:
    """Do what the gateway says until it has nothing more to say."""
    try:
        async for request in requests:
            match request.WhichOneof("message"):
                case "start":
                    session.start(request.start)
                case "abort":
                    session.abort(request.abort.slot)
                case None:  # what only a newer gateway says
                    pass
                case _:
                    raise CapstanError(Reason.INVALID_ARGUMENT, "a session is opened once", param="open")
    except CapstanError as error:
        session.fail(error)
    else:
        session.leave()


def _news(load: inference_pb2.WatchLoadResponse, told: inference_pb2.WatchLoadResponse) -> bool:
    """Whether anything but the passing of time has changed."""
    now = inference_pb2.WatchLoadResponse()
    now.CopyFrom(load)
    now.idle_for.CopyFrom(told.idle_for)
    if load.HasField("stalled_for") and told.HasField("stalled_for"):
        now.stalled_for.CopyFrom(told.stalled_for)
    return now != told


async def _cut_off(context: Context, handler: asyncio.Task[Any]) -> None:
    """End a call whose frames are not read. Cancelling alone would not tell the gateway, once it does read."""
    error = unavailable("inference", "the gateway does not read its session")
    status = rich_status(error)
    telling = asyncio.ensure_future(context.abort(status.code, status.details, status.trailing_metadata))
    await asyncio.sleep(0)
    handler.cancel()
    with suppress(grpc.aio.AbortError):
        await telling


def _named(name: str) -> None:
    if not name:
        raise CapstanError(Reason.INVALID_ARGUMENT, "an adapter needs a name", param="name")
