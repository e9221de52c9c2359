"""A jobs service on a migrated database of the module's own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from capstan.jobs.v1 import jobs_pb2, jobs_pb2_grpc
from chassis.clock import ManualClock
from chassis.rpc_client import call, connect
from chassis.testing import Running, running
from services.jobs import commands
from services.jobs.app import build
from services.jobs.settings import Settings

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Desk:
    """A client of the service that acts for one tenant, and a look behind it."""

    stub: jobs_pb2_grpc.JobsServiceStub
    database: asyncpg.Connection
    clock: ManualClock
    service: Running
    tenant: jobs_pb2.Tenant

    def of(self, organization_id: str, project_id: str) -> "Desk":
        tenant = jobs_pb2.Tenant(organization_id=organization_id, project_id=project_id)
        return Desk(self.stub, self.database, self.clock, self.service, tenant)

    async def register(self, file_id: str = "file-1", *, expires_in_s: float | None = None, **changes: Any) -> Any:
        fields: dict[str, Any] = {
            "tenant": self.tenant,
            "file_id": file_id,
            "filename": "batch.jsonl",
            "purpose": jobs_pb2.FILE_PURPOSE_BATCH,
            "size_bytes": 42,
        }
        request = jobs_pb2.RegisterFileRequest(**(fields | changes))
        if expires_in_s is not None:
            request.expire_time.FromDatetime(datetime.fromtimestamp(self.clock.now() + expires_in_s, UTC))
        return (await call(self.stub.RegisterFile, request, timeout_s=5, peer="jobs")).file

    async def get(self, file_id: str = "file-1") -> Any:
        request = jobs_pb2.GetFileRequest(tenant=self.tenant, file_id=file_id)
        return (await call(self.stub.GetFile, request, timeout_s=5, peer="jobs")).file

    async def delete(self, file_id: str = "file-1") -> None:
        request = jobs_pb2.DeleteFileRequest(tenant=self.tenant, file_id=file_id)
        await call(self.stub.DeleteFile, request, timeout_s=5, peer="jobs")

    async def page(self, **options: Any) -> Any:
        request = jobs_pb2.ListFilesRequest(tenant=self.tenant, **options)
        return await call(self.stub.ListFiles, request, timeout_s=5, peer="jobs")

    async def ids(self, **options: Any) -> list[str]:
        return [file.file_id for file in (await self.page(**options)).files]


@pytest.fixture
def settings(postgres_dsn: str) -> Settings:
    return Settings(dsn=SecretStr(postgres_dsn))


@pytest.fixture
async def desk(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """Acts for a project of the test's own, since tests of a module share a database."""
    assert await commands.migrate(settings) == 0
    clock = ManualClock(NOON.timestamp())
    database = await asyncpg.connect(settings.database())
    tenant = jobs_pb2.Tenant(organization_id=f"org-{request.node.name}", project_id="proj_1")
    try:
        async with (
            running("jobs", build, settings, clock=clock) as service,
            connect(service.address) as channel,
        ):
            yield Desk(jobs_pb2_grpc.JobsServiceStub(channel), database, clock, service, tenant)
    finally:
        await database.close()
