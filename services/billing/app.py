"""The composition root of billing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from capstan.billing.v1 import billing_pb2_grpc, budgets_pb2_grpc, invoices_pb2_grpc, reports_pb2_grpc, witness_pb2_grpc
from chassis.clock import Clock, utc
from chassis.errors import CapstanError
from chassis.kit import Kit
from chassis.postgres import pool
from chassis.tenancy import Tenancy
from services.billing.alerts import Alerts
from services.billing.budget_servicer import BudgetServicer
from services.billing.budget_store import BudgetStore
from services.billing.invoice_servicer import InvoiceServicer
from services.billing.invoice_store import InvoiceStore
from services.billing.metrics import Metrics
from services.billing.reconciler import Reconciler
from services.billing.report_servicer import ReportServicer
from services.billing.report_store import ReportStore
from services.billing.servicer import BillingServicer
from services.billing.settings import Settings
from services.billing.store import Store
from services.billing.witness_servicer import WitnessServicer
from services.billing.witness_store import WitnessStore

_COUNT_INTERVAL_S = 30.0


@asynccontextmanager
async def build(settings: Settings, kit: Kit) -> AsyncIterator[None]:
    """Serve billing. PostgreSQL may be away at the start: calls are UNAVAILABLE until it is there."""
    metrics = Metrics(kit.registry)

    def now() -> datetime:
        return utc(kit.clock)

    async with pool(settings.database(), application_name=kit.instance, max_size=settings.pool_size) as connections:
        tenancy = Tenancy(connections, "billing")
        store = Store(tenancy, now)
        billing_pb2_grpc.add_BillingServiceServicer_to_server(BillingServicer(store, metrics, kit.clock), kit.server)
        witness = WitnessStore(tenancy)
        witness_pb2_grpc.add_WitnessServiceServicer_to_server(WitnessServicer(witness, now), kit.server)
        reconciler = Reconciler(
            witness,
            store,
            grace=timedelta(seconds=settings.recovery_grace_s),
            interval_s=settings.reconcile_interval_s,
            now=now,
            metrics=metrics,
            log=kit.log,
        )
        kit.tasks.spawn("reconciler", reconciler.run(kit.clock))
        budgets = BudgetServicer(BudgetStore(tenancy, now), kit.ids, now)
        budgets_pb2_grpc.add_BudgetServiceServicer_to_server(budgets, kit.server)
        alerts = Alerts(tenancy, settings.webhook(), now=now, log=kit.log)
        kit.tasks.spawn("spend alerts", alerts.run(kit.clock))
        invoices = InvoiceServicer(InvoiceStore(tenancy, now), kit.ids)
        invoices_pb2_grpc.add_InvoiceServiceServicer_to_server(invoices, kit.server)
        reports = ReportServicer(ReportStore(tenancy), now)
        reports_pb2_grpc.add_ReportServiceServicer_to_server(reports, kit.server)
        kit.tasks.spawn("count dead letters", _count_dead_letters(store, metrics, kit.clock))
        yield


async def _count_dead_letters(store: Store, metrics: Metrics, clock: Clock) -> None:
    while True:
        with suppress(CapstanError):  # the last count stands; that PostgreSQL is away shows elsewhere
            metrics.dead_letters.set(await store.parked_count())
        await clock.sleep(_COUNT_INTERVAL_S)
