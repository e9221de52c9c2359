"""The router learns of replicas by watching them, and places accordingly."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from capstan.router.v1 import router_pb2, router_pb2_grpc
from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason, from_failure
from chassis.rpc_client import call, connect
from chassis.testing import running
from services.router.app import build
from services.router.settings import ReplicaAddress, Settings
from tests.certificates import Authority
from tests.integration.router.replica import ScriptedReplica, serving

GENERATE = router_pb2.MODEL_KIND_GENERATE
UNREACHABLE = router_pb2.REPLICA_OUTCOME_UNREACHABLE
FAILED, OK = router_pb2.REPLICA_OUTCOME_FAILED, router_pb2.REPLICA_OUTCOME_OK


class Router:
    """A client of a running router whose clock stands still."""

    def __init__(self, stub: router_pb2_grpc.RouterServiceStub, ops_address: str, clock: ManualClock) -> None:
        self._stub = stub
        self._ops_address = ops_address
        self.clock = clock

    async def place_all(self, *items: router_pb2.PlaceItem) -> list[router_pb2.PlaceResult]:
        request = router_pb2.PlaceRequest(items=items)
        response = await call(self._stub.Place, request, timeout_s=5, peer="router")
        return list(response.results)

    async def place(self, request_id: str, model: str = "chat", *excluded: str) -> router_pb2.Placement:
        item = router_pb2.PlaceItem(
            request_id=request_id, model=model, kind=GENERATE, prompt_tokens=10, excluded_replica_ids=excluded
        )
        (result,) = await self.place_all(item)
        if result.HasField("refusal"):
            raise from_failure(result.refusal)
        return result.placement

    async def release(self, *request_ids: str, outcome: router_pb2.ReplicaOutcome.ValueType = OK) -> None:
        items = [router_pb2.ReleaseItem(request_id=name, outcome=outcome) for name in request_ids]
        await call(self._stub.Release, router_pb2.ReleaseRequest(items=items), timeout_s=5, peer="router")

    async def models(self) -> dict[str, router_pb2.Model]:
        response = await call(self._stub.ListModels, router_pb2.ListModelsRequest(), timeout_s=5, peer="router")
        return {model.name: model for model in response.models}

    async def ready(self, model: str, count: int) -> None:
        """Return when so many replicas of `model` can be placed on."""
        await eventually(lambda: self._has(model, count))

    async def _has(self, model: str, count: int) -> bool:
        models = await self.models()
        return model in models and models[model].ready_replica_count == count

    async def page(self, path: str) -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(uds=self._ops_address.removeprefix("unix:"))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(f"http://router{path}")

    async def metrics(self) -> str:
        return (await self.page("/metrics")).text


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it holds; each question is a round trip, so no time needs to be slept away."""
    async with asyncio.timeout(20):
        while not await holds():
            pass


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, for sockets."""
    with tempfile.TemporaryDirectory(prefix="cap-") as path:
        yield Path(path)


@asynccontextmanager
async def router(settings: Settings) -> AsyncIterator[Router]:
    clock = ManualClock()
    async with running("router", build, settings, clock=clock) as service, connect(service.address) as channel:
        yield Router(router_pb2_grpc.RouterServiceStub(channel), service.ops_address, clock)


def settings(folder: Path, *replica_ids: str, **changes: object) -> Settings:
    replicas = tuple(ReplicaAddress(id=name, address=f"unix:{folder / name}") for name in replica_ids)
    return Settings(replicas=replicas, **changes)  # type: ignore[arg-type]


async def test_requests_go_to_the_replicas_that_report(folder: Path) -> None:
    first, second = ScriptedReplica("chat"), ScriptedReplica("chat")
    async with (
        serving(first, folder / "chat-0") as address,
        serving(second, folder / "chat-1"),
        router(settings(folder, "chat-0", "chat-1", load_interval_s=2.5)) as desk,
    ):
        await desk.ready("chat", 2)
        homes = [await desk.place(f"req_{number}") for number in range(4)]
        assert sorted(home.replica_id for home in homes) == ["chat-0", "chat-0", "chat-1", "chat-1"]
        home = next(home for home in homes if home.replica_id == "chat-0")
        assert (home.address, home.model, home.max_model_tokens, home.fingerprint) == (address, "chat", 4096, "fp_1")
        assert first.intervals == [2.5]


async def test_its_operations_port_says_which_replicas_can_be_placed_on(folder: Path) -> None:
    async with serving(ScriptedReplica("chat"), folder / "chat-0"), router(settings(folder, "chat-0", "gone")) as desk:
        await desk.ready("chat", 1)
        assert (await desk.page("/replicas")).json() == {"chat-0": True, "gone": False}


async def test_a_replica_that_stops_accepting_gets_nothing_more(folder: Path) -> None:
    first, second = ScriptedReplica("chat"), ScriptedReplica("chat")
    async with (
        serving(first, folder / "chat-0"),
        serving(second, folder / "chat-1"),
        router(settings(folder, "chat-0", "chat-1")) as desk,
    ):
        await desk.ready("chat", 2)
        await first.say(accepting=False)
        await second.say(stalled_s=46)
        await desk.ready("chat", 0)
        with pytest.raises(CapstanError) as refusal:
            await desk.place("req_1")
        assert refusal.value.reason is Reason.NO_CAPACITY
        assert refusal.value.metadata == {"model": "chat", "retry_after_ms": "1000"}
        await first.say(accepting=True)
        await desk.ready("chat", 1)
        assert (await desk.place("req_1")).replica_id == "chat-0"


async def test_a_silent_replica_ages_out_and_comes_back_with_a_word(folder: Path) -> None:
    replica = ScriptedReplica("chat")
    async with serving(replica, folder / "chat-0"), router(settings(folder, "chat-0")) as desk:
        await desk.ready("chat", 1)
        await desk.clock.advance(6)
        model = (await desk.models())["chat"]
        assert (model.ready_replica_count, model.staleness.seconds) == (0, 6)
        with pytest.raises(CapstanError, match="NO_CAPACITY"):
            await desk.place("req_1")
        await replica.say(running_count=1)
        await desk.ready("chat", 1)


async def test_a_replica_that_restarts_is_found_again_also_with_another_model(folder: Path) -> None:
    async with router(settings(folder, "chat-0")) as desk:
        with pytest.raises(CapstanError, match="MODEL_NOT_FOUND"):
            await desk.place("req_1")
        async with serving(ScriptedReplica("chat"), folder / "chat-0"):
            await advance_until(desk, "chat", 1)
        await advance_until(desk, "chat", 0)
        async with serving(ScriptedReplica("other", embeds=True), folder / "chat-0"):
            await advance_until(desk, "other", 1)
            models = await desk.models()
            assert models["chat"].ready_replica_count == 0
            assert (await desk.place("req_1", "other")).replica_id == "chat-0"
            with pytest.raises(CapstanError, match="NO_CAPACITY"):
                await desk.place("req_2", "chat")


async def advance_until(desk: Router, model: str, count: int) -> None:
    """Let time pass in steps until so many replicas are ready."""

    async def holds() -> bool:
        await desk.clock.advance(0.5)
        return await desk._has(model, count)

    await eventually(holds)


async def test_a_report_that_ends_makes_a_replica_the_last_resort_until_it_is_heard_again(folder: Path) -> None:
    first, second = ScriptedReplica("chat"), ScriptedReplica("chat")
    async with (
        serving(first, folder / "chat-0"),
        serving(second, folder / "chat-1"),
        router(settings(folder, "chat-0", "chat-1", stale_after_s=1000)) as desk,
    ):
        await desk.ready("chat", 2)
        first.answers = False
        await first.hang_up()
        await eventually(lambda: placed_only_on(desk, "chat-1"))
        assert (await desk.place("req_forced", "chat", "chat-1")).replica_id == "chat-0"
        first.answers = True
        await desk.clock.advance(5)
        await eventually(lambda: can_be_placed_on(desk, "chat-0"))


async def placed_only_on(desk: Router, replica_id: str) -> bool:
    names = [f"probe_{number}" for number in range(6)]
    homes = {(await desk.place(name)).replica_id for name in names}
    await desk.release(*names)
    return homes == {replica_id}


async def can_be_placed_on(desk: Router, replica_id: str) -> bool:
    return not await placed_only_on(desk, {"chat-0": "chat-1", "chat-1": "chat-0"}[replica_id])


async def test_failures_shut_a_replica_out_and_time_brings_a_trial(folder: Path) -> None:
    first, second = ScriptedReplica("chat"), ScriptedReplica("chat")
    async with (
        serving(first, folder / "chat-0"),
        serving(second, folder / "chat-1"),
        router(settings(folder, "chat-0", "chat-1", stale_after_s=1000)) as desk,
    ):
        await desk.ready("chat", 2)
        for number in range(3):
            await desk.place(f"req_{number}", "chat", "chat-1")
        await desk.release("req_0", "req_1", "req_2", outcome=UNREACHABLE)
        await desk.ready("chat", 1)
        assert await placed_only_on(desk, "chat-1")
        assert 'capstan_router_replica_ejected{model="chat",replica_id="chat-0"} 1.0' in await desk.metrics()
        await desk.clock.advance(1.5)
        assert (await desk.place("req_trial", "chat", "chat-1")).replica_id == "chat-0"
        await desk.release("req_trial")
        await desk.ready("chat", 2)


async def test_a_trial_whose_client_left_before_a_word_brings_nobody_back(folder: Path) -> None:
    async with (
        serving(ScriptedReplica("chat"), folder / "chat-0"),
        serving(ScriptedReplica("chat"), folder / "chat-1"),
        router(settings(folder, "chat-0", "chat-1", stale_after_s=1000, ejection_failures=1)) as desk,
    ):
        await desk.ready("chat", 2)
        await desk.place("req_0", "chat", "chat-1")
        await desk.release("req_0", outcome=router_pb2.REPLICA_OUTCOME_TIMED_OUT)
        await desk.ready("chat", 1)
        await desk.clock.advance(1.5)
        assert (await desk.place("req_trial", "chat", "chat-1")).replica_id == "chat-0"
        await desk.release("req_trial", outcome=router_pb2.REPLICA_OUTCOME_ABANDONED)
        assert await placed_only_on(desk, "chat-1")
        await desk.clock.advance(1.5)
        assert (await desk.place("req_again", "chat", "chat-1")).replica_id == "chat-0"
        await desk.release("req_again")
        await desk.ready("chat", 2)


@pytest.mark.parametrize(("second", "refused"), [(FAILED, True), (UNREACHABLE, False)])
async def test_a_request_is_accused_by_the_replicas_that_broke_under_it_and_not_by_those_it_never_reached(
    folder: Path, second: router_pb2.ReplicaOutcome.ValueType, refused: bool
) -> None:
    def item(request_id: str, *excluded: str) -> router_pb2.PlaceItem:
        return router_pb2.PlaceItem(
            request_id=request_id, model="chat", kind=GENERATE, excluded_replica_ids=excluded, body_hash=7
        )

    async with (
        serving(ScriptedReplica("chat"), folder / "chat-0"),
        serving(ScriptedReplica("chat"), folder / "chat-1"),
        router(settings(folder, "chat-0", "chat-1", stale_after_s=1000)) as desk,
    ):
        await desk.ready("chat", 2)
        (first,) = await desk.place_all(item("req_1"))
        await desk.release("req_1", outcome=FAILED)
        await desk.place_all(item("req_1", first.placement.replica_id))
        await desk.release("req_1", outcome=second)
        (its_like,) = await desk.place_all(item("req_2"))
        assert its_like.HasField("refusal") is refused


async def test_what_only_a_newer_gateway_knows_is_passed_over_or_refused_by_name(folder: Path) -> None:
    async with serving(ScriptedReplica("chat"), folder / "chat-0"), router(settings(folder, "chat-0")) as desk:
        await desk.ready("chat", 1)
        newer = router_pb2.PlaceItem(request_id="req_1", model="chat", kind=GENERATE, service_class=99)  # type: ignore[arg-type]
        newer.MergeFromString(b"\x82\xfa\x01\x03new")
        strange = router_pb2.PlaceItem(request_id="req_2", model="chat", kind=99)  # type: ignore[arg-type]
        placed, refused = await desk.place_all(newer, strange)
        assert placed.placement.replica_id == "chat-0"
        assert from_failure(refused.refusal).reason is Reason.INVALID_ARGUMENT
        for _ in range(5):
            await desk.release("req_1", outcome=99)  # type: ignore[arg-type]
            await desk.place("req_1")


async def test_a_placement_nobody_releases_is_forgotten(folder: Path) -> None:
    async with (
        serving(ScriptedReplica("chat"), folder / "chat-0"),
        router(settings(folder, "chat-0", placement_expiry_s=60, stale_after_s=1000)) as desk,
    ):
        await desk.ready("chat", 1)
        await desk.place("req_1")
        assert 'capstan_router_replica_requests{model="chat",replica_id="chat-0"} 1.0' in await desk.metrics()
        await desk.clock.advance(71)
        shown = await desk.metrics()
        assert 'capstan_router_replica_requests{model="chat",replica_id="chat-0"} 0.0' in shown
        assert "capstan_router_placements_expired_total 1.0" in shown


async def test_items_of_a_batch_are_judged_apart(folder: Path) -> None:
    async with (
        serving(ScriptedReplica("chat"), folder / "chat-0"),
        router(settings(folder, "chat-0", aliases={"gpt-4o-mini": "chat"})) as desk,
    ):
        await desk.ready("chat", 1)
        results = await desk.place_all(
            router_pb2.PlaceItem(request_id="req_1", model="gpt-4o-mini", kind=GENERATE),
            router_pb2.PlaceItem(request_id="req_2", model="nope", kind=GENERATE),
            router_pb2.PlaceItem(request_id="req_3", model="chat", kind=router_pb2.MODEL_KIND_EMBED),
            router_pb2.PlaceItem(request_id="req_4", model="chat"),
            router_pb2.PlaceItem(model="chat", kind=GENERATE),
            router_pb2.PlaceItem(request_id="req_6", model="chat", kind=GENERATE, prompt_tokens=-1),
            router_pb2.PlaceItem(request_id="req_7", model="chat", kind=GENERATE),
        )
        reasons = [from_failure(r.refusal).reason if r.HasField("refusal") else None for r in results]
        assert reasons == [
            None,
            Reason.MODEL_NOT_FOUND,
            Reason.MODEL_KIND_MISMATCH,
            Reason.INVALID_ARGUMENT,
            Reason.INVALID_ARGUMENT,
            Reason.INVALID_ARGUMENT,
            None,
        ]
        assert results[0].placement.model == "chat"
        models = await desk.models()
        assert models["gpt-4o-mini"].served_name == "chat"
        assert models["chat"].kind == GENERATE


async def test_an_expected_model_is_waited_for_before_any_replica_came(folder: Path) -> None:
    async with router(settings(folder, "chat-0", expected_models={"chat": "generate"})) as desk:
        model = (await desk.models())["chat"]
        assert (model.kind, model.ready_replica_count, model.HasField("staleness")) == (GENERATE, 0, False)
        with pytest.raises(CapstanError) as refusal:
            await desk.place("req_1")
        assert refusal.value.reason is Reason.NO_CAPACITY
        assert refusal.value.metadata["retry_after_ms"] == "2000"


@pytest.mark.parametrize("count", [0, 1001])
async def test_an_empty_or_oversized_batch_is_refused(folder: Path, count: int) -> None:
    async with router(settings(folder)) as desk:
        with pytest.raises(CapstanError) as refusal:
            await desk.place_all(*(router_pb2.PlaceItem(request_id="req_1") for _ in range(count)))
        assert refusal.value.reason is Reason.INVALID_ARGUMENT
        with pytest.raises(CapstanError, match="INVALID_ARGUMENT"):
            await desk.release(*("req_1" for _ in range(count)))


async def test_watching_many_replicas_that_are_not_there_keeps_the_router_up(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        names = [f"chat-{number}" for number in range(8)]
        desk = await stack.enter_async_context(router(settings(folder, *names, stale_after_s=1e6)))
        for name in names[::2]:
            await stack.enter_async_context(serving(ScriptedReplica("chat"), folder / name))
        await advance_until(desk, "chat", 4)


async def queued(desk: Router, request_id: str, max_wait_s: float, **more: object) -> router_pb2.Placement:
    item = router_pb2.PlaceItem(request_id=request_id, model="chat", kind=GENERATE, prompt_tokens=10, **more)  # type: ignore[arg-type]
    request = router_pb2.QueueRequest(item=item)
    request.max_wait.FromMilliseconds(int(max_wait_s * 1000))
    response = await call(desk._stub.Queue, request, timeout_s=20, peer="router")
    if response.result.HasField("refusal"):
        raise from_failure(response.result.refusal)
    return response.result.placement


async def test_a_request_waits_in_the_queue_until_a_replica_comes(folder: Path) -> None:
    expected = settings(folder, "chat-0", expected_models={"chat": "generate"}, stale_after_s=1000)
    async with router(expected) as desk:
        waiting = asyncio.create_task(queued(desk, "req_1", 600))
        await eventually(lambda: shows(desk, 'capstan_router_waiting_requests{class="default",model="chat"} 1.0'))
        async with serving(ScriptedReplica("chat"), folder / "chat-0"):
            await advance_until(desk, "chat", 1)
            assert (await waiting).replica_id == "chat-0"


async def shows(desk: Router, line: str) -> bool:
    return line in await desk.metrics()


async def test_a_wait_that_is_too_long_is_refused_with_a_hint(folder: Path) -> None:
    async with router(settings(folder, "chat-0", expected_models={"chat": "generate"})) as desk:
        waiting = asyncio.create_task(queued(desk, "req_1", 5))
        await eventually(lambda: shows(desk, 'capstan_router_waiting_requests{class="default",model="chat"} 1.0'))
        await desk.clock.advance(6)
        with pytest.raises(CapstanError) as refusal:
            await waiting
        assert refusal.value.reason is Reason.OVERLOADED
        assert int(refusal.value.metadata["retry_after_ms"]) >= 1000
        with pytest.raises(CapstanError, match="INVALID_ARGUMENT"):
            await queued(desk, "req_2", 601)


async def test_a_call_that_is_cancelled_leaves_the_queue(folder: Path) -> None:
    async with router(settings(folder, "chat-0", expected_models={"chat": "generate"})) as desk:
        waiting = asyncio.create_task(queued(desk, "req_1", 5))
        await eventually(lambda: shows(desk, 'capstan_router_waiting_requests{class="default",model="chat"} 1.0'))
        waiting.cancel()
        await eventually(lambda: shows(desk, 'capstan_router_waiting_requests{class="default",model="chat"} 0.0'))


async def test_aliases_with_shares_are_told_with_what_they_stand_for(folder: Path) -> None:
    aliases = {"gpt-4o": {"chat": 3, "next": 1}}
    async with (
        serving(ScriptedReplica("chat"), folder / "chat-0"),
        router(settings(folder, "chat-0", aliases=aliases)) as desk,
    ):
        await desk.ready("chat", 1)
        told = (await desk.models())["gpt-4o"]
        assert {target.model: target.weight for target in told.targets} == {"chat": 3, "next": 1}
        assert [replica.address for replica in told.replicas] == [f"unix:{folder / 'chat-0'}"]


async def test_a_failure_of_what_another_router_placed_counts_by_the_replicas_name(folder: Path) -> None:
    async with (
        serving(ScriptedReplica("chat"), folder / "chat-0"),
        router(settings(folder, "chat-0", ejection_failures=1)) as desk,
    ):
        await desk.ready("chat", 1)
        item = router_pb2.ReleaseItem(request_id="req_far", outcome=UNREACHABLE, replica_id="chat-0")
        await call(desk._stub.Release, router_pb2.ReleaseRequest(items=[item]), timeout_s=5, peer="router")
        await desk.ready("chat", 0)


async def test_the_demand_for_a_model_without_replicas_is_served_to_autoscalers(folder: Path) -> None:
    authority = Authority()
    ours, theirs = (
        authority.issue(folder / "router", "localhost"),
        authority.issue(folder / "aggregator", "front-proxy"),
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = settings(
        folder,
        "chat-0",
        expected_models={"chat": "generate"},
        metrics_listen=f"127.0.0.1:{port}",
        metrics_certificate=ours / "tls.crt",
        metrics_key=ours / "tls.key",
        metrics_client_ca=ours / "ca.crt",
    )
    async with router(served) as desk:
        waiting = asyncio.create_task(queued(desk, "req_1", 5, completion_tokens=256 * 1024 - 10))
        await eventually(lambda: shows(desk, 'capstan_router_model_demand{model="chat"} 1.0'))
        url = f"https://localhost:{port}/apis/external.metrics.k8s.io/v1beta1/namespaces/default/capstan_model_demand"
        trusting = ssl.create_default_context(cafile=ours / "ca.crt")
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get(url)
        trusting.load_cert_chain(theirs / "tls.crt", theirs / "tls.key")
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            answer = await client.get(url, params={"labelSelector": "model=chat"})
        assert [item["value"] for item in answer.json()["items"]] == ["1000m"]
        waiting.cancel()
