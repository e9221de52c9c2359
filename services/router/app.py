"""The composition root of router."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from capstan.router.v1 import router_pb2_grpc
from chassis.clock import Clock
from chassis.kit import Kit
from services.router import deployments
from services.router.adapters import Adapter
from services.router.demand import Demand
from services.router.discovery import in_cluster
from services.router.ejection import EjectionRules
from services.router.external_metrics import ExternalMetrics
from services.router.metrics import Metrics
from services.router.metrics_listener import metrics_listener
from services.router.models import Catalogue
from services.router.placement import Placements
from services.router.policies import POLICIES
from services.router.pools import Replicas
from services.router.replicas import Kind, Replica, Rules
from services.router.replicas_page import PATH, ReplicasPage
from services.router.roster import Roster
from services.router.servicer import RouterServicer
from services.router.settings import Settings, Sleep
from services.router.sleep import Missed
from services.router.sleeper import Sleeper
from services.router.waiting_room import QueueRules, WaitingRoom
from services.router.watch import Watch

_EXPIRY_INTERVAL_S = 10.0


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Serve router. It is ready at once: a request that comes before a replica was heard finds no capacity, for now."""
    replicas = Replicas(rules(settings))
    expected = {name: Kind(kind) for name, kind in settings.expected_models.items()}
    adapters = [Adapter(name, each.path, each.organization_ids) for name, each in settings.adapters.items()]
    catalogue = Catalogue(settings.aliases, expected, kit.clock.now(), fallbacks=settings.fallbacks, adapters=adapters)
    placements = Placements(
        replicas,
        catalogue,
        expiry_s=settings.placement_expiry_s,
        policy=POLICIES[settings.policy],
        policies={model: POLICIES[policy] for model, policy in settings.policies.items()},
    )
    room = WaitingRoom(placements, QueueRules(settings.queue_capacity, settings.queue_ageing_s), kit.clock)
    demand = Demand(room)

    def demands() -> dict[str, float]:
        return {model: demand.of(model, replicas.serving(model)) for model in catalogue.served_names()}

    metrics = Metrics(kit.registry, replicas, room, demands, kit.clock.monotonic)
    missed = Missed(placements)
    servicer = RouterServicer(placements, room, replicas, catalogue, metrics, kit.clock, missed)
    router_pb2_grpc.add_RouterServiceServicer_to_server(servicer, kit.server)

    def watching(replica: Replica) -> Coroutine[Any, Any, None]:
        return Watch(
            replica,
            replicas,
            catalogue,
            room.look,
            interval_s=settings.load_interval_s,
            clock=kit.clock,
            log=kit.log,
            connect=kit.connect,
        ).run()

    def sleeper(model: str, rule: Sleep, scaling: deployments.Deployments) -> Sleeper:
        return Sleeper(
            model,
            rule,
            scaling,
            wanted=lambda: room.is_waited_in(model) or missed.lately(model, kit.clock.monotonic()),
            replicas=lambda: replicas.serving(model),
            stale_after_s=settings.stale_after_s,
            scaled=metrics.scaled,
            clock=kit.clock,
            log=kit.log,
        )

    if settings.endpoint_slices:
        # Replicas come and go: that a watch of one ends is no failure.
        roster = Roster(replicas, watching, kit.tasks.once)
        kit.tasks.spawn("discovery", in_cluster(settings, roster.keep, kit.log).run())
    else:
        Roster(replicas, watching, kit.tasks.spawn).keep({p.id: p.address for p in settings.all_replicas()})
    if settings.may_sleep:
        scaling = deployments.in_cluster(settings)
        for model, rule in settings.may_sleep.items():
            kit.tasks.spawn(f"sleep of {model}", sleeper(model, rule, scaling).run())
    kit.ops.mount(PATH, ReplicasPage(replicas, kit.clock.monotonic))
    kit.tasks.spawn("queue", room.keep_looking())
    kit.tasks.spawn("expire placements", _expire(placements, metrics, kit.clock))
    async with AsyncExitStack() as stack:
        if settings.metrics_listen:
            external = ExternalMetrics(demands, kit.clock.now)
            where = await stack.enter_async_context(metrics_listener(settings, external, kit))
            kit.log.info("serving external metrics", extra={"path": where})
        yield


def rules(settings: Settings) -> Rules:
    """Bring the settings into the form that the table of replicas takes."""
    return Rules(
        stale_after_s=settings.stale_after_s,
        stalled_after_s=settings.stalled_after_s,
        queue_share=settings.queue_share,
        ejection=EjectionRules(
            failures=settings.ejection_failures,
            pause_s=settings.ejection_pause_s,
            longest_pause_s=settings.ejection_longest_pause_s,
        ),
    )


async def _expire(placements: Placements, metrics: Metrics, clock: Clock) -> None:
    while True:
        await clock.sleep(_EXPIRY_INTERVAL_S)
        metrics.expired.inc(placements.expire(clock.monotonic()))
