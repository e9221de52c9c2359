"""Answers are kept once, threaded, listed by filter, changed and deleted, and nobody sees another tenant's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from capstan.jobs.v1 import jobs_pb2, stored_pb2, stored_pb2_grpc
from chassis.errors import CapstanError, Reason
from chassis.rpc_client import call, connect
from tests.integration.jobs.conftest import Desk

CHAT, RESPONSE = stored_pb2.STORED_KIND_CHAT_COMPLETION, stored_pb2.STORED_KIND_RESPONSE
DAY = 86_400.0


@dataclass
class Shelf:
    """A client of StoredService that acts for one tenant."""

    stub: stored_pb2_grpc.StoredServiceStub
    desk: Desk
    tenant: jobs_pb2.Tenant

    async def call(self, method: str, **fields: Any) -> Any:
        request = getattr(stored_pb2, f"{method}Request")(tenant=self.tenant, **fields)
        return await call(getattr(self.stub, method), request, timeout_s=5, peer="jobs")

    async def put(self, object_id: str, kind: int = CHAT, **fields: Any) -> None:
        made = {"model": "demo", "answer_json": b"{}", "input_json": b"[]"} | fields
        await self.call("PutStored", stored=stored_pb2.Stored(kind=kind, object_id=object_id, **made))
        await self.desk.clock.advance(1)

    async def get(self, object_id: str, kind: int = CHAT) -> stored_pb2.Stored:
        return (await self.call("GetStored", kind=kind, object_id=object_id)).stored

    async def ids(self, kind: int = CHAT, **options: Any) -> list[str]:
        return [item.object_id for item in (await self.call("ListStored", kind=kind, **options)).stored]


@pytest.fixture
async def shelf(desk: Desk) -> AsyncIterator[Shelf]:
    async with connect(desk.service.address) as channel:
        yield Shelf(stored_pb2_grpc.StoredServiceStub(channel), desk, desk.tenant)


def refused(reason: Reason, **metadata: str) -> "pytest.RaisesExc[CapstanError]":
    return pytest.raises(
        CapstanError, check=lambda error: error.reason is reason and metadata.items() <= error.metadata.items()
    )


async def test_an_answer_is_kept_byte_for_byte(shelf: Shelf) -> None:
    answer = b'{"text":"\\u0000 \xc3\xbc"}'
    await shelf.put("chatcmpl-1", answer_json=answer, input_json=b"[\x00]", metadata={"k": "Ü"})
    kept = await shelf.get("chatcmpl-1")
    assert (kept.answer_json, kept.input_json) == (answer, b"[\x00]")
    assert (kept.model, dict(kept.metadata), kept.previous_id) == ("demo", {"k": "Ü"}, "")


async def test_the_first_answer_under_an_id_stays(shelf: Shelf) -> None:
    await shelf.put("chatcmpl-1", model="first")
    await shelf.put("chatcmpl-1", model="second")
    assert (await shelf.get("chatcmpl-1")).model == "first"


async def test_kinds_are_apart(shelf: Shelf) -> None:
    await shelf.put("one", CHAT)
    with refused(Reason.OBJECT_NOT_FOUND, object="response", id="one"):
        await shelf.get("one", RESPONSE)
    assert await shelf.ids(RESPONSE) == []


async def test_another_tenants_answers_do_not_exist(shelf: Shelf) -> None:
    await shelf.put("chatcmpl-1")
    for organization, project in ((shelf.tenant.organization_id, "proj_2"), ("org-other", "proj_1")):
        other = Shelf(shelf.stub, shelf.desk, jobs_pb2.Tenant(organization_id=organization, project_id=project))
        fields = {"kind": CHAT, "object_id": "chatcmpl-1"}
        for method in ("GetStored", "GetThread", "DeleteStored", "UpdateStoredMetadata"):
            with refused(Reason.OBJECT_NOT_FOUND, object="chat completion", id="chatcmpl-1"):
                await other.call(method, **fields)
        with refused(Reason.OBJECT_NOT_FOUND):
            await other.ids(after="chatcmpl-1")
        assert await other.ids() == []
    assert await shelf.ids() == ["chatcmpl-1"]


async def test_a_list_is_filtered_ordered_and_cut(shelf: Shelf) -> None:
    for number in range(5):
        await shelf.put(f"c{number}", model="even" if number % 2 == 0 else "odd", metadata={"n": str(number), "a": "b"})
    ascending = jobs_pb2.SORT_ORDER_ASCENDING
    assert await shelf.ids(order=ascending) == ["c0", "c1", "c2", "c3", "c4"]
    assert await shelf.ids(order=jobs_pb2.SORT_ORDER_DESCENDING, limit=2) == ["c4", "c3"]
    assert await shelf.ids(order=jobs_pb2.SORT_ORDER_DESCENDING, after="c3") == ["c2", "c1", "c0"]
    assert await shelf.ids(order=ascending, model="even", after="c0") == ["c2", "c4"]
    assert await shelf.ids(metadata={"n": "3", "a": "b"}) == ["c3"]
    assert await shelf.ids(metadata={"n": "3", "a": "c"}) == []
    assert await shelf.ids(metadata={"n\0": "3"}) == []
    assert await shelf.ids(model="\0") == []
    page = await shelf.call("ListStored", kind=CHAT, order=ascending, limit=4)
    assert page.has_more
    assert page.stored[0].input_json == b""
    assert not (await shelf.call("ListStored", kind=CHAT, order=ascending, limit=1, after="c3")).has_more


async def test_a_page_of_large_answers_holds_fewer_and_says_so(shelf: Shelf) -> None:
    for number, size in enumerate((3, 3, 3, 9)):
        await shelf.put(f"c{number}", answer_json=b" " * (size * 2**20))
    page = await shelf.call("ListStored", kind=CHAT, order=jobs_pb2.SORT_ORDER_ASCENDING)
    assert [item.object_id for item in page.stored] == ["c0", "c1"]
    assert page.has_more
    assert await shelf.ids(order=jobs_pb2.SORT_ORDER_DESCENDING) == ["c3"]


async def test_a_thread_is_told_from_its_beginning(shelf: Shelf) -> None:
    await shelf.put("resp_1", RESPONSE)
    await shelf.put("resp_2", RESPONSE, previous_id="resp_1", input_json=b"[2]")
    await shelf.put("resp_3", RESPONSE, previous_id="resp_2")
    told = (await shelf.call("GetThread", kind=RESPONSE, object_id="resp_3")).thread
    assert [item.object_id for item in told] == ["resp_1", "resp_2", "resp_3"]
    assert told[1].input_json == b"[2]"
    await shelf.call("DeleteStored", kind=RESPONSE, object_id="resp_1")
    with refused(Reason.OBJECT_NOT_FOUND, id="resp_1"):
        await shelf.call("GetThread", kind=RESPONSE, object_id="resp_3")


async def test_a_thread_that_is_too_large_is_refused(shelf: Shelf) -> None:
    large = b" " * (9 * 2**20)
    await shelf.put("resp_1", RESPONSE, input_json=large)
    await shelf.put("resp_2", RESPONSE, previous_id="resp_1", input_json=large)
    with refused(Reason.INVALID_ARGUMENT, param="object_id"):
        await shelf.call("GetThread", kind=RESPONSE, object_id="resp_2")
    assert len((await shelf.call("GetThread", kind=RESPONSE, object_id="resp_1")).thread) == 1


async def test_a_thread_without_end_is_refused(shelf: Shelf) -> None:
    await shelf.put("resp_1", RESPONSE, previous_id="resp_2")
    await shelf.put("resp_2", RESPONSE, previous_id="resp_1")
    with refused(Reason.INVALID_ARGUMENT, param="object_id"):
        await shelf.call("GetThread", kind=RESPONSE, object_id="resp_1")


async def test_metadata_is_replaced(shelf: Shelf) -> None:
    await shelf.put("chatcmpl-1", metadata={"a": "1", "b": "2"})
    changed = await shelf.call("UpdateStoredMetadata", kind=CHAT, object_id="chatcmpl-1", metadata={"b": "3"})
    assert dict(changed.stored.metadata) == {"b": "3"}
    assert await shelf.ids(metadata={"b": "3"}) == ["chatcmpl-1"]
    assert await shelf.ids(metadata={"a": "1"}) == []


async def test_what_is_deleted_is_gone(shelf: Shelf) -> None:
    await shelf.put("chatcmpl-1")
    await shelf.call("DeleteStored", kind=CHAT, object_id="chatcmpl-1")
    for method in ("GetStored", "DeleteStored"):
        with refused(Reason.OBJECT_NOT_FOUND, id="chatcmpl-1"):
            await shelf.call(method, kind=CHAT, object_id="chatcmpl-1")


async def test_what_is_too_old_is_gone_and_its_id_free(shelf: Shelf) -> None:
    await shelf.put("chatcmpl-1", model="first")
    await shelf.desk.clock.advance(30 * DAY)
    with refused(Reason.OBJECT_NOT_FOUND):
        await shelf.get("chatcmpl-1")
    await shelf.put("chatcmpl-1", model="second")
    assert (await shelf.get("chatcmpl-1")).model == "second"


@pytest.mark.parametrize(
    ("object_id", "fields", "param"),
    [
        ("", {}, "object_id"),
        ("a\0b", {}, "object_id"),
        ("x" * 129, {}, "object_id"),
        ("c", {"previous_id": "a b"}, "previous_id"),
        ("c", {"model": ""}, "model"),
        ("c", {"model": "\0"}, "model"),
        ("c", {"metadata": {"k": "\0"}}, "metadata"),
        ("c", {"metadata": {"k": "x" * 513}}, "metadata"),
        ("c", {"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ("c", {"input_json": b" " * (16 * 2**20)}, "input_json"),
        ("c", {"kind": 0}, "kind"),
    ],
)
async def test_what_cannot_be_kept_is_refused(shelf: Shelf, object_id: str, fields: dict[str, Any], param: str) -> None:
    with refused(Reason.INVALID_ARGUMENT, param=param):
        await shelf.put(object_id, **fields)


async def test_an_id_that_could_not_exist_is_not_found(shelf: Shelf) -> None:
    for object_id in ("", "a\0b", "'; drop table jobs.stored; --"):
        with refused(Reason.OBJECT_NOT_FOUND):
            await shelf.get(object_id)
