"""Whatever changes what a key may do is told to those who remember keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from capstan.auth.v1 import auth_pb2 as pb
from chassis import keys
from chassis.errors import CapstanError

from .administrator import Administrator, administrator
from .conftest import Client
from .test_service import told, watching
from .world import World, world


@pytest.fixture
async def operator(client: Client, first: dict[str, str]) -> Administrator:
    return await administrator(client, first["admin_key"])


@pytest.fixture
async def here(client: Client, operator: Administrator) -> World:
    return await world(client, operator, "here")


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("ArchiveProject", {}),
    ("UpdateProject", {"moderation_policy": pb.MODERATION_POLICY_REQUIRED}),
    ("SetModelPermissions", {"permissions": {"mode": "deny_list", "models": ["m"]}}),
    ("UpdateProjectUser", {"role": "owner"}),
    ("RemoveProjectUser", {}),
    ("UpdateProjectKey", {"restrictions": {"scopes": ["model.request"]}}),
    ("UpdateProjectKey", {"restrictions": {"rate_limits": [{"requests_per_minute": 1}]}}),
    ("DeleteProjectKey", {}),
    ("RotateProjectKey", {}),
    ("UpdateProjectRateLimit", {"rate_limit_id": "rl-m", "update_mask": FieldMask(paths=["shadow"])}),
    ("UpdateUser", {"disabled": True}),
    ("DeleteUser", {}),
    ("RemoveGroupUser", {}),
    ("DeleteGroup", {}),
    ("RemoveProjectGroup", {}),
    ("UpdateRole", {"permissions": ["api.files.read"]}),
    ("DeleteRole", {}),
    ("UnassignRole", {}),
]


@pytest.mark.parametrize(("method", "more"), CHANGES)
async def test_a_change_of_what_a_key_may_do_is_told(
    client: Client, here: World, method: str, more: dict[str, Any]
) -> None:
    ids: dict[str, Any] = {"project_id": here.project_id}
    if method in ("UpdateUser", "DeleteUser", "RemoveGroupUser", "DeleteGroup"):
        del ids["project_id"]
    if "User" in method:
        ids["user_id"] = here.user_id
    if "Group" in method:
        ids["group_id"] = here.group_id
    if "Role" in method:
        ids["role_id"] = here.project_role_id
    if method == "UnassignRole":
        ids["grantee"] = {"user_id": here.user_id}
    if method.endswith("ProjectKey"):
        ids["key_id"] = here.key_id
    before = await client.judge(keys.digest(here.key))
    async with watching(client) as stream:
        await here.owner(method, **ids, **more)
        change = await told(stream)
    assert here.key_id in change.key_ids or here.project_id in change.project_ids
    after = await client.judge(keys.digest(here.key))
    unchanged = {"RemoveGroupUser", "DeleteGroup", "RemoveProjectGroup", "UpdateRole", "DeleteRole", "UnassignRole"}
    # A member's key has all that a project's key can have, so what else they are granted makes no difference to it.
    assert (str(after) != str(before)) == (method not in unchanged)


async def test_a_change_of_the_organisation_is_told_to_its_keys_and_nobody_elses(
    client: Client, operator: Administrator, here: World, first: dict[str, str]
) -> None:
    async with watching(client) as stream:
        await operator("UpdateOrganization", organization_id=here.organization_id, tier="5")
        change = await told(stream)
    assert list(change.project_ids) == [here.project_id]
    assert list(change.key_ids) == [here.admin_key_id]


async def test_a_new_key_and_a_read_are_nobodys_business(client: Client, here: World) -> None:
    async with watching(client) as stream:
        await here.owner("CreateProjectKey", project_id=here.project_id, name="k")
        await here.owner("ListProjects")
        await here.owner("DeleteProjectKey", project_id=here.project_id, key_id=here.key_id)
        assert list((await told(stream)).key_ids) == [here.key_id]


async def test_a_cold_key_that_a_thousand_ask_for_at_once_costs_two_queries_at_most(
    client: Client, here: World
) -> None:
    def queries() -> float:
        return client.running.kit.registry.get_sample_value("capstan_auth_lookups_total") or 0.0

    made = await here.owner("CreateProjectKey", project_id=here.project_id, name="cold")
    before = queries()
    digest = keys.digest(made.key)
    verdicts = await asyncio.gather(*(client.judge(digest) for _ in range(1000)))
    assert {verdict.key_id for [verdict] in verdicts if not isinstance(verdict, CapstanError)} == {made.api_key.id}
    assert not [verdict for [verdict] in verdicts if isinstance(verdict, CapstanError)]
    assert 1 <= queries() - before <= 2
