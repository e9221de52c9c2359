"""Files are recorded once, listed in order, gone when deleted or expired, and nobody sees another tenant's."""

import asyncio
import functools
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from capstan.jobs.v1 import jobs_pb2, jobs_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call, connect
from chassis.testing import running
from services.jobs import commands
from services.jobs.app import build
from services.jobs.settings import Settings
from tests.integration.jobs.conftest import NOON, Desk

METHODS = jobs_pb2.DESCRIPTOR.services_by_name["JobsService"].methods
NAMING_A_FILE = ("GetFile", "DeleteFile")


def refused(reason: Reason, **metadata: str) -> "pytest.RaisesExc[CapstanError]":
    return pytest.raises(
        CapstanError, check=lambda error: error.reason is reason and metadata.items() <= error.metadata.items()
    )


def no_such_file(file_id: str = "file-1") -> "pytest.RaisesExc[CapstanError]":
    return refused(Reason.OBJECT_NOT_FOUND, object="file", id=file_id)


async def named(desk: Desk, method: str, **fields: Any) -> Any:
    """Call any method of the service."""
    request = getattr(jobs_pb2, f"{method}Request")(**fields)
    return await call(getattr(desk.stub, method), request, timeout_s=5, peer="jobs")


async def test_a_file_is_recorded_and_answered(desk: Desk) -> None:
    recorded = await desk.register(filename="Lieder für Ü.txt", expires_in_s=3600.5)
    assert recorded.file_id == "file-1"
    assert (recorded.filename, recorded.purpose, recorded.size_bytes) == (
        "Lieder für Ü.txt",
        jobs_pb2.FILE_PURPOSE_BATCH,
        42,
    )
    assert recorded.create_time.ToDatetime() == NOON.replace(tzinfo=None)
    assert recorded.expire_time.ToMilliseconds() - recorded.create_time.ToMilliseconds() == 3_600_500
    assert await desk.get() == recorded
    assert list((await desk.page()).files) == [recorded]


async def test_a_file_without_an_end_says_nothing_of_one(desk: Desk) -> None:
    assert not (await desk.register()).HasField("expire_time")


async def test_registering_again_answers_the_first(desk: Desk) -> None:
    first = await desk.register(expires_in_s=7200)
    await desk.clock.advance(60)
    assert await desk.register(expires_in_s=7200 - 60) == first
    assert await desk.ids() == ["file-1"]


async def test_ten_registrations_at_once_are_one_file(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.register() for _ in range(10)))
    assert all(answer == answers[0] for answer in answers)
    assert await desk.ids() == ["file-1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"filename": "other"},
        {"size_bytes": 43},
        {"purpose": jobs_pb2.FILE_PURPOSE_EVALS},
        {"expires_in_s": 60.0},
    ],
)
async def test_another_file_under_the_same_id_is_a_conflict(desk: Desk, changes: dict[str, Any]) -> None:
    first = await desk.register()
    with refused(Reason.OBJECT_CONFLICT, object="file", id="file-1"):
        await desk.register(**changes)
    assert await desk.get() == first


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"filename": "nul\0nul"}, "filename"),
        ({"filename": "../up"}, "filename"),
        ({"purpose": jobs_pb2.FILE_PURPOSE_UNSPECIFIED}, "purpose"),
        ({"purpose": 99}, "purpose"),
        ({"size_bytes": -1}, "size_bytes"),
        ({"file_id": "made-up"}, "file_id"),
        ({"expires_in_s": 0.0}, "expire_time"),
        ({"expire_time": {"seconds": 1 << 62}}, "expire_time"),
    ],
)
async def test_a_bad_field_is_refused_by_name_and_nothing_is_recorded(
    desk: Desk, changes: dict[str, Any], param: str
) -> None:
    with refused(Reason.INVALID_ARGUMENT, param=param):
        await desk.register(**changes)
    assert await desk.ids() == []


async def test_the_newest_file_comes_first_and_the_oldest_on_request(desk: Desk) -> None:
    for number in (3, 1, 2):
        await desk.register(f"file-{number}")
        await desk.clock.advance(1)
    assert await desk.ids() == ["file-2", "file-1", "file-3"]
    assert await desk.ids(order=jobs_pb2.SORT_ORDER_DESCENDING) == ["file-2", "file-1", "file-3"]
    assert await desk.ids(order=jobs_pb2.SORT_ORDER_ASCENDING) == ["file-3", "file-1", "file-2"]


@pytest.mark.parametrize("order", [jobs_pb2.SORT_ORDER_ASCENDING, jobs_pb2.SORT_ORDER_DESCENDING])
@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8])
async def test_pages_together_are_the_list_also_when_files_came_at_the_same_instant(
    desk: Desk, order: jobs_pb2.SortOrder, size: int
) -> None:
    for number in range(7):
        await desk.register(f"file-{number}")
        await desk.clock.advance(number % 2)
    seen: list[str] = []
    more = True
    while more:
        page = await desk.page(limit=size, order=order, after=seen[-1] if seen else "")
        assert len(page.files) <= size
        seen += [file.file_id for file in page.files]
        more = page.has_more
    assert seen == await desk.ids(order=order)
    assert len(seen) == 7


async def test_a_list_of_one_purpose_leaves_out_the_others_also_beyond_a_cursor_of_another(desk: Desk) -> None:
    for number in range(4):
        purpose = jobs_pb2.FILE_PURPOSE_VISION if number % 2 else jobs_pb2.FILE_PURPOSE_EVALS
        await desk.register(f"file-{number}", purpose=purpose)
        await desk.clock.advance(1)
    assert await desk.ids(purpose=jobs_pb2.FILE_PURPOSE_VISION) == ["file-3", "file-1"]
    assert await desk.ids(purpose=jobs_pb2.FILE_PURPOSE_VISION, after="file-2") == ["file-1"]
    assert await desk.ids(purpose=jobs_pb2.FILE_PURPOSE_ASSISTANTS) == []


@pytest.mark.parametrize("after", ["file-none", "file-\0", "%", "file-1' or '1'='1"])
async def test_a_cursor_that_names_nothing_is_not_found(desk: Desk, after: str) -> None:
    await desk.register()
    with no_such_file(after):
        await desk.page(after=after)


@pytest.mark.parametrize(
    ("options", "param"),
    [({"limit": -1}, "limit"), ({"limit": 10_001}, "limit"), ({"order": 9}, "order"), ({"purpose": 99}, "purpose")],
)
async def test_a_list_with_a_bad_option_is_refused_by_name(desk: Desk, options: dict[str, Any], param: str) -> None:
    with refused(Reason.INVALID_ARGUMENT, param=param):
        await desk.page(**options)


async def test_a_deleted_file_is_gone_and_cannot_be_deleted_twice(desk: Desk) -> None:
    await desk.register()
    await desk.delete()
    assert await desk.ids() == []
    for again in (desk.get, desk.delete):
        with no_such_file():
            await again()


@pytest.mark.parametrize("file_id", ["", "file-none", "file-\0", "file-" + "x" * 5000])
@pytest.mark.parametrize("method", NAMING_A_FILE)
async def test_an_id_that_names_nothing_is_not_found(desk: Desk, method: str, file_id: str) -> None:
    with no_such_file(file_id):
        await named(desk, method, tenant=desk.tenant, file_id=file_id)


@pytest.mark.parametrize("stranger", [("org-other", "proj_1"), (None, "proj_2")])
async def test_another_tenant_finds_nothing_and_changes_nothing(desk: Desk, stranger: tuple[str | None, str]) -> None:
    mine = await desk.register()
    other = desk.of(stranger[0] or desk.tenant.organization_id, stranger[1])
    assert await other.ids() == []
    for method in NAMING_A_FILE:
        with no_such_file():
            await named(desk, method, tenant=other.tenant, file_id="file-1")
    with no_such_file():
        await other.page(after="file-1")
    assert await desk.get() == mine


async def test_the_same_id_in_two_projects_is_two_files_and_tells_neither_of_the_other(desk: Desk) -> None:
    mine = await desk.register()
    other = desk.of(desk.tenant.organization_id, "proj_2")
    theirs = await other.register(filename="theirs")
    assert (await desk.get(), await other.get()) == (mine, theirs)
    await other.delete()
    assert await desk.get() == mine


@pytest.mark.parametrize("method", [method.name for method in METHODS])
@pytest.mark.parametrize(
    ("tenant", "param"),
    [
        ({}, "tenant.organization_id"),
        ({"project_id": "proj_1"}, "tenant.organization_id"),
        ({"organization_id": "org-1"}, "tenant.project_id"),
        ({"organization_id": "org-\0", "project_id": "proj_1"}, "tenant.organization_id"),
        ({"organization_id": "org-1", "project_id": "proj_\0"}, "tenant.project_id"),
    ],
)
async def test_no_method_answers_without_a_tenant(desk: Desk, method: str, tenant: dict[str, str], param: str) -> None:
    with refused(Reason.INVALID_ARGUMENT, param=param):
        await named(desk, method, tenant=tenant)


def rows(desk: Desk) -> Any:
    return desk.database.fetchval(
        "select count(*) from jobs.files where organization_id = $1", desk.tenant.organization_id
    )


async def test_an_expired_file_is_gone_at_its_instant_although_its_row_is_there(desk: Desk) -> None:
    await desk.register("file-kept")
    await desk.register(expires_in_s=10)
    await desk.clock.advance(9.9)
    assert (await desk.get()).file_id == "file-1"
    await desk.clock.advance(0.1)
    for method in NAMING_A_FILE:
        with no_such_file():
            await named(desk, method, tenant=desk.tenant, file_id="file-1")
    with no_such_file():
        await desk.page(after="file-1")
    assert await desk.ids() == ["file-kept"]
    assert await rows(desk) == 2


async def test_an_expired_file_makes_room_for_another_under_its_id(desk: Desk) -> None:
    await desk.register(expires_in_s=10)
    await desk.clock.advance(10)
    second = await desk.register(filename="second")
    assert second.filename == "second"
    assert await desk.get() == second


async def test_rows_of_expired_files_are_removed_in_time_and_no_others(desk: Desk) -> None:
    await desk.database.execute("truncate jobs.files")
    await desk.register("file-kept")
    await desk.register("file-later", expires_in_s=3600)
    for number in range(3):
        await desk.register(f"file-{number}", expires_in_s=10 + number)
    await desk.clock.advance(61)
    removed = functools.partial(
        desk.service.kit.registry.get_sample_value, "capstan_jobs_files_removed_total", {"why": "expired"}
    )
    async with asyncio.timeout(20):
        while removed() != 3:
            await asyncio.sleep(0.01)
    assert await desk.ids() == ["file-later", "file-kept"]
    assert await rows(desk) == 2


async def test_migrating_twice_changes_nothing(
    desk: Desk, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.register()
    assert await commands.migrate(settings) == 0
    assert "no migration" in capsys.readouterr().out
    assert await desk.ids() == ["file-1"]


async def test_a_database_without_our_schema_is_unavailable_and_the_service_stays(settings: Settings) -> None:
    url, _, query = settings.dsn.get_secret_value().partition("?")
    empty = Settings(dsn=SecretStr(url.rpartition("/")[0] + "/template1?" + query))
    async with running("jobs", build, empty) as service, connect(service.address) as channel:
        await _every_method_is_unavailable(jobs_pb2_grpc.JobsServiceStub(channel))


async def test_jobs_starts_while_postgresql_is_away(tmp_path: Path) -> None:
    away = Settings(dsn=SecretStr(f"postgresql://nobody@/none?host={quote(str(tmp_path))}"))
    async with running("jobs", build, away) as service, connect(service.address) as channel:
        await _every_method_is_unavailable(jobs_pb2_grpc.JobsServiceStub(channel))


async def _every_method_is_unavailable(stub: jobs_pb2_grpc.JobsServiceStub) -> None:
    tenant = jobs_pb2.Tenant(organization_id="org-1", project_id="proj_1")
    named_file = {"tenant": tenant, "file_id": "file-1"}
    fields: dict[str, dict[str, Any]] = {
        "RegisterFile": named_file | {"filename": "a", "purpose": jobs_pb2.FILE_PURPOSE_BATCH},
        "GetFile": named_file,
        "ListFiles": {"tenant": tenant},
        "DeleteFile": named_file,
    }
    assert set(fields) == {method.name for method in METHODS}
    for method, values in fields.items():
        with refused(Reason.UNAVAILABLE, service="postgres"):
            request = getattr(jobs_pb2, f"{method}Request")(**values)
            await call(getattr(stub, method), request, timeout_s=5, peer="jobs")
