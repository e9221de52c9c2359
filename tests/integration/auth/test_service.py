"""Auth through its front door: who a key belongs to, how keys come to be and end, who hears of it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from capstan.auth.v1 import auth_pb2 as pb
from chassis import keys
from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from services.auth.settings import Settings
from services.auth.tiers import TIERS

from .conftest import PEPPER, Client, Service, Sql


def stamp(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(int(seconds * 1e9))
    return made


async def refused(client: Client, key: str) -> Reason:
    with pytest.raises(CapstanError) as caught:
        await client.authenticate(key)
    return caught.value.reason


@asynccontextmanager
async def watching(client: Client) -> AsyncIterator[grpc.aio.UnaryStreamCall[pb.WatchRequest, pb.WatchResponse]]:
    """A Watch stream that has said that it misses nothing from now on."""
    async with asyncio.timeout(30):
        while True:
            stream = client.stub.Watch(pb.WatchRequest())
            try:
                begun = await stream.read()
            except grpc.aio.AioRpcError:  # the service does not listen to the database yet
                await asyncio.sleep(0.02)
                continue
            break
    assert begun == pb.WatchResponse()
    yield stream
    stream.cancel()


async def told(stream: grpc.aio.UnaryStreamCall[pb.WatchRequest, pb.WatchResponse]) -> pb.WatchResponse:
    async with asyncio.timeout(30):
        response = await stream.read()
    assert isinstance(response, pb.WatchResponse)
    return response


async def test_the_first_key_is_its_projects_and_may_do_everything(client: Client, first: dict[str, str]) -> None:
    assert keys.well_formed(first["api_key"])
    principal = await client.authenticate(first["api_key"])
    assert principal.organization_id == first["organization_id"]
    assert principal.project_id == first["project_id"]
    assert principal.owner_id == first["user_id"]
    assert principal.scopes == ["*"]
    assert principal.allowed_models == []
    assert principal.moderation_policy == pb.MODERATION_POLICY_OFF
    assert principal.cache_ttl.seconds == 60
    assert not principal.HasField("expire_time")
    [limit] = principal.rate_limits
    assert (limit.scope, limit.model) == (pb.LIMIT_SCOPE_ORGANIZATION, "")
    assert limit.requests_per_minute == TIERS["local"].requests_per_minute


async def test_a_batch_is_answered_in_order(client: Client, first: dict[str, str]) -> None:
    good, bad = keys.digest(first["api_key"]), bytes(32)
    verdicts = await client.judge(bad, good, bad, good)
    assert [isinstance(verdict, pb.Principal) for verdict in verdicts] == [False, True, False, True]
    assert [v.reason for v in verdicts if isinstance(v, CapstanError)] == [Reason.KEY_INVALID] * 2


@pytest.mark.parametrize("digests", [[], [bytes(31)], [bytes(32), bytes(33)], [bytes(32)] * 1001])
async def test_what_no_gateway_sends_is_refused(client: Client, digests: list[bytes]) -> None:
    with pytest.raises(CapstanError) as caught:
        await client.judge(*digests)
    assert caught.value.reason is Reason.INVALID_ARGUMENT


async def test_what_a_project_was_given_is_told(client: Client, first: dict[str, str], sql: Sql) -> None:
    await sql(
        "UPDATE auth.projects SET moderation_policy = 'required', allowed_models = '{a,b}' WHERE project_id = $1",
        first["project_id"],
    )
    for model, requests, tokens in (("", 5, None), ("a", None, 0)):
        await sql(
            "INSERT INTO auth.project_rate_limits VALUES ($1, $2, $3, $4, $5)",
            first["organization_id"],
            first["project_id"],
            model,
            requests,
            tokens,
        )
    principal = await client.authenticate(first["api_key"])
    assert principal.moderation_policy == pb.MODERATION_POLICY_REQUIRED
    assert principal.allowed_models == ["a", "b"]
    each, named = principal.rate_limits[1:]
    assert (each.scope, each.model, each.requests_per_minute) == (pb.LIMIT_SCOPE_PROJECT, "", 5)
    assert not each.HasField("tokens_per_minute")
    assert (named.model, named.HasField("requests_per_minute"), named.tokens_per_minute) == ("a", False, 0)
    assert named.HasField("tokens_per_minute")


async def test_a_key_that_is_made_works_and_is_stored_as_nothing_that_is_one(
    client: Client, first: dict[str, str], sql: Sql
) -> None:
    made = await client.create_key(first, "laptop", scopes=["model.request"])
    assert keys.well_formed(made.key)
    principal = await client.authenticate(made.key)
    assert (principal.key_id, principal.scopes) == (made.key_id, ["model.request"])
    [row] = await sql("SELECT * FROM auth.keys WHERE key_id = $1", made.key_id)
    assert row["redacted"] == keys.redact(made.key)
    assert row["name"] == "laptop"
    everything = "".join(str(value) for value in row.values()) + row["hmac"].hex()
    assert made.key not in everything
    assert made.key[8:-4] not in everything
    assert keys.digest(made.key) != row["hmac"]


async def test_a_key_expires_by_the_services_clock(settings: Settings, first: dict[str, str], service: Service) -> None:
    clock = ManualClock()
    async with service(settings, clock) as client:
        made = await client.create_key(first, expire_time=stamp(clock.now() + 10))
        assert (await client.authenticate(made.key)).expire_time == stamp(clock.now() + 10)
        await clock.advance(9.5)
        assert await client.authenticate(made.key)
        await clock.advance(0.5)
        assert await refused(client, made.key) is Reason.KEY_INVALID


async def test_a_revoked_key_stops_at_once_also_when_it_was_remembered(client: Client, first: dict[str, str]) -> None:
    made = await client.create_key(first)
    assert await client.authenticate(made.key)
    await client.revoke_key(first, made.key_id)
    assert await refused(client, made.key) is Reason.KEY_INVALID


async def test_making_and_ending_keys_is_written_down_for_good(client: Client, first: dict[str, str], sql: Sql) -> None:
    made = await client.create_key(first)
    await client.revoke_key(first, made.key_id)
    rows = await sql("SELECT action FROM auth.audit_log WHERE $1 = ANY(object_ids) ORDER BY entry_id", made.key_id)
    assert [row["action"] for row in rows] == ["api_key.created", "api_key.deleted"]
    for statement in (
        "UPDATE auth.audit_log SET ip_address = ''",
        "DELETE FROM auth.audit_log",
        "TRUNCATE auth.audit_log",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only added to"):
            await sql(statement)


async def test_every_table_says_whose_row_it_is(first: dict[str, str], sql: Sql) -> None:
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'auth'"
    columns = (
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'auth'"
        " AND column_name = 'organization_id' AND is_nullable = 'NO'"
    )
    assert {row[0] for row in await sql(tables)} - {row[0] for row in await sql(columns)} == {
        "schema_migrations",
        "grants",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE auth.projects SET archived_at = now()",
        "UPDATE auth.projects SET allowed_models = '{x}'",
        "UPDATE auth.organizations SET tier = '1'",
        "INSERT INTO auth.project_rate_limits SELECT organization_id, project_id, 'm', 1, 1 FROM auth.projects",
    ],
)
async def test_a_change_to_a_project_is_told_whoever_makes_it(
    client: Client, first: dict[str, str], sql: Sql, statement: str
) -> None:
    before = await client.authenticate(first["api_key"])
    async with watching(client) as stream:
        await sql(statement)
        assert (await told(stream)).project_ids == [first["project_id"]]
    try:
        assert await client.authenticate(first["api_key"]) != before
    except CapstanError as error:
        assert error.reason is Reason.PROJECT_ARCHIVED  # noqa: PT017 - one of the statements archives the project


async def test_a_revocation_is_told_to_every_listener_and_a_use_is_not(
    settings: Settings, client: Client, first: dict[str, str], sql: Sql, service: Service
) -> None:
    made = await client.create_key(first)
    async with service(settings) as other, watching(client) as here, watching(other) as there:
        assert await other.authenticate(made.key)
        await sql("UPDATE auth.keys SET last_used_at = now()")
        await client.revoke_key(first, made.key_id)
        assert await told(here) == await told(there) == pb.WatchResponse(key_ids=[made.key_id])
        assert await refused(other, made.key) is Reason.KEY_INVALID


async def test_a_listener_whose_database_session_was_lost_is_told_by_the_end_of_its_stream(
    client: Client, first: dict[str, str], sql: Sql
) -> None:
    async with watching(client) as stream:
        await sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await told(stream)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    async with watching(client) as stream:
        await sql("UPDATE auth.projects SET allowed_models = '{y}'")
        assert (await told(stream)).project_ids == [first["project_id"]]


async def test_a_service_that_stops_does_not_wait_for_its_listeners(
    settings: Settings, first: dict[str, str], service: Service
) -> None:
    async with asyncio.timeout(15):  # its grace is 30 s
        async with service(settings) as client, watching(client) as stream:
            client.running.stop.ask()
            with pytest.raises(grpc.aio.AioRpcError):
                await told(stream)


async def test_uses_are_written_in_batches_and_at_the_end(
    settings: Settings, first: dict[str, str], service: Service, sql: Sql
) -> None:
    last_use = "SELECT last_used_at FROM auth.keys WHERE kind = 'user'"
    async with service(settings) as client:
        for _ in range(3):
            await client.authenticate(first["api_key"])
        assert (await sql(last_use))[0][0] is None
    [row] = await sql(last_use)
    assert datetime.now(UTC) - row[0] < timedelta(minutes=5)


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_a_pepper_is_changed_without_losing_a_key(
    settings: Settings, first: dict[str, str], service: Service, sql: Sql, pepper_file: Path
) -> None:
    [before] = await sql("SELECT hmac, pepper_id FROM auth.keys WHERE kind = 'user'")
    new = "another pepper of length enough!"
    write(pepper_file, f"{new}\n{PEPPER}\n")
    async with service(settings) as client:
        assert await client.authenticate(first["api_key"])
    [after] = await sql("SELECT hmac, pepper_id FROM auth.keys WHERE kind = 'user'")
    assert after["hmac"] != before["hmac"]
    assert after["pepper_id"] != before["pepper_id"]
    write(pepper_file, new)
    async with service(settings) as client:
        assert await client.authenticate(first["api_key"])
    write(pepper_file, PEPPER)
    async with service(settings) as client:
        assert await refused(client, first["api_key"]) is Reason.KEY_INVALID


async def test_no_key_and_no_digest_shows_in_the_log(
    client: Client, first: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made = await client.create_key(first)
    for key in (made.key, first["api_key"], keys.mint("proj", os.urandom)):
        await client.judge(keys.digest(key))
        assert key not in caplog.text
        assert keys.digest(key).hex() not in caplog.text
    assert not re.search(r"sk-proj-cap\w+", caplog.text)
