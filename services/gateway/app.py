"""The composition root of the gateway: its parts, in the order in which they need each other."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from chassis.errors import unavailable
from chassis.kit import Kit
from chassis.outbox import Outbox
from services.gateway.admin.app import admin_app
from services.gateway.admin.office import Office
from services.gateway.admission import Admission
from services.gateway.attempts import Parts, Rules
from services.gateway.claims import Claims
from services.gateway.desk import Desk
from services.gateway.estimate import CompletionForecast
from services.gateway.exposure import Exposure, Trust
from services.gateway.generation import Generator
from services.gateway.http_server import http_server
from services.gateway.journal import Journal
from services.gateway.metrics import LimitMetrics, Metrics
from services.gateway.peers.admin.authority import Authority
from services.gateway.peers.admin.bookkeeper import Bookkeeper
from services.gateway.peers.answers import SharedAnswers
from services.gateway.peers.auth import Authenticator
from services.gateway.peers.billing import Biller
from services.gateway.peers.inbox import Patience
from services.gateway.peers.inference import Replicas
from services.gateway.peers.jobs import Keeper
from services.gateway.peers.moderation import Classifier
from services.gateway.peers.ratelimit import Limiter
from services.gateway.peers.router import Placer, Release
from services.gateway.peers.treasury import Treasury
from services.gateway.reception import Door, Reception
from services.gateway.replays import Replays
from services.gateway.retry_budget import RetryBudget
from services.gateway.routes import routes
from services.gateway.settings import Settings
from services.gateway.settlements import LINGER_S, Settlements
from services.gateway.shipper import Receipt, Shipper
from services.gateway.spending import Spending
from services.gateway.usage_record import UsageRecord
from services.gateway.wrong_keys import WrongKeys

HOLD_SLACK_S = 120.0
"""How long after a request's deadline the money that it holds may still be settled before it is free again."""

SEED_PATIENCE_S = 2.0
"""How long whoever finds ratelimit without a budget waits for this gateway's own usage to be posted."""

LAST_WORDS_S = 5.0
"""How long a stopping gateway tries to deliver what its peers should still hear; the journal keeps the rest."""


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Serve the public API. No peer has to be there at the start: what needs one answers 503 until it is."""
    metrics = Metrics(kit.registry)
    async with AsyncExitStack() as stack:

        def channel(address: str, *, sticky: bool = False) -> grpc.aio.Channel:
            made = kit.connect(address, sticky=sticky)
            stack.push_async_callback(made.close)
            return made

        auth = channel(settings.auth_address)
        authenticator = Authenticator(auth, kit.clock, kit.log, settings.auth_timeout_s)
        placer = Placer(channel(settings.router_address, sticky=True), kit.clock, settings.router_timeout_s)
        classifier = Classifier(channel(settings.moderation_address), settings.moderation_timeout_s)
        biller = Biller(channel(settings.billing_address), settings.billing_timeout_s, kit.clock)
        treasury = Treasury(channel(settings.billing_address), settings.budget_timeout_s, kit.clock)
        trust = Trust(settings.journal_path.with_suffix(".trust.json"))
        spending = Spending(treasury, kit.clock, trust, capped_completion_tokens=settings.capped_completion_tokens)
        stack.push_async_callback(spending.close)
        replicas = Replicas(kit.instance, kit.log, kit.connect)
        stack.push_async_callback(replicas.close)

        journal = await stack.enter_async_context(Journal.opened(settings.journal_path, log=kit.log))

        async def ship(records: Sequence[UsageRecord]) -> list[Receipt]:
            await settlements.told([record.request_id for record in records])
            return await biller.ingest(records)

        shipper = Shipper(journal, ship, clock=kit.clock, jitter=random.random, log=kit.log)
        metrics.watch_journal(journal, shipper, kit.registry)

        async def seed(subject_id: str, period_id: str) -> int:
            # What this gateway finished has to be posted before anybody is told how much is.
            if not await shipper.drained(SEED_PATIENCE_S):
                raise unavailable("billing", "there is usage that it was not told")
            return await spending.posted(subject_id, period_id)

        limits = LimitMetrics(kit.registry)
        limiter = Limiter(
            channel(settings.ratelimit_address),
            clock=kit.clock,
            log=kit.log,
            metrics=limits,
            gateway_id=kit.instance,
            timeout_s=settings.ratelimit_timeout_s,
            seed=seed,
            exposure=Exposure(trust),
            returned=spending.doubt,
        )
        limits.degraded.set_function(lambda: float(limiter.is_away))
        settlements = Settlements(limiter.settle, kit.clock, kit.log)
        releases: Outbox[Release] = Outbox("releases", placer.release, kit.clock, kit.log, linger_s=LINGER_S)
        kit.tasks.spawn("shipper", shipper.run())
        kit.tasks.spawn("settlements", settlements.run())
        kit.tasks.spawn("releases", releases.run())
        kit.tasks.spawn("watch of auth", authenticator.watch())
        kit.tasks.spawn("heartbeat to ratelimit", limiter.attend())
        kit.tasks.spawn("renewal of reservations", limiter.keep())

        admission = Admission(
            placer=placer,
            limiter=limiter,
            classifier=classifier,
            spending=spending,
            hold_s=settings.request_timeout_s + HOLD_SLACK_S,
            journal=journal,
            settlements=settlements,
            clock=kit.clock,
            metrics=metrics,
            log=kit.log,
        )
        kit.tasks.spawn("what may be served on trust", trust.keep(kit.clock, kit.log))
        kit.tasks.spawn("checkpoints", admission.checkpoint_for_ever())
        retries = RetryBudget(settings.retry_budget, settings.retry_least)
        migrations = RetryBudget(settings.retry_budget, settings.migrate_least)
        generator = Generator(
            Parts(placer, replicas, releases, retries, migrations, metrics),
            Rules(
                Patience(
                    settings.first_token_timeout_s,
                    settings.idle_timeout_s,
                    settings.request_timeout_s,
                    settings.stream_buffer_bytes,
                ),
                settings.queue_timeout_s,
                settings.migrate,
            ),
        )
        shared = SharedAnswers(channel(settings.ratelimit_address), settings.ratelimit_timeout_s)
        claims = Claims(
            shared, kit.clock, lambda: kit.ids.new("claim_"), kit.log, patience_s=settings.request_timeout_s
        )
        replays = Replays(kit.clock.monotonic, claims, max_bytes=settings.idempotency_bytes)
        wrong_keys = WrongKeys(settings.wrong_keys_per_minute)

        def reception(door: Door, hops: int) -> Reception:
            return Reception(authenticator, kit.clock, wrong_keys=wrong_keys, trusted_hops=hops, door=door)

        desk = Desk(
            settings=settings,
            clock=kit.clock,
            log=kit.log,
            metrics=metrics,
            authenticator=authenticator,
            reception=reception("public", settings.trusted_proxy_hops),
            placer=placer,
            releases=releases,
            replicas=replicas,
            classifier=classifier,
            admission=admission,
            generator=generator,
            retries=retries,
            forecast=CompletionForecast(settings.default_completion_tokens),
            keeper=Keeper(channel(settings.jobs_address), settings.jobs_timeout_s),
            replays=replays if settings.idempotency_bytes else None,
        )
        async with AsyncExitStack() as doors:
            await doors.enter_async_context(
                http_server(routes(desk, kit), settings.http_listen, settings, kit, name="http")
            )
            if settings.admin_listen:
                office = Office(
                    settings=settings,
                    clock=kit.clock,
                    log=kit.log,
                    reception=reception("admin", settings.admin_trusted_proxy_hops),
                    authority=Authority(auth, settings.admin_timeout_s),
                    bookkeeper=Bookkeeper(channel(settings.billing_address), settings.admin_timeout_s),
                    placer=placer,
                )
                app = admin_app(office, kit)
                await doors.enter_async_context(http_server(app, settings.admin_listen, settings, kit, name="admin"))
            yield
            grace_ends = kit.clock.monotonic() + settings.grace_s
        # The last clients are gone; what they leave behind is written and told before the channels close.
        await replays.close(grace_ends - kit.clock.monotonic(), kit.draining.hurried)
        await admission.closed(LAST_WORDS_S)
        await settlements.drained(LAST_WORDS_S)
        await releases.drained(LAST_WORDS_S)
        await shipper.drained(LAST_WORDS_S)
