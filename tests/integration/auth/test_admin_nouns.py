"""What the administration offers, noun by noun, to somebody who may do everything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from capstan.auth.v1 import actor_pb2, auth_pb2, roles_pb2
from chassis import keys
from chassis.clock import ManualClock
from chassis.errors import Reason
from services.auth.settings import Settings
from services.auth.tiers import TIERS

from .administrator import Administrator, administrator, works
from .conftest import Client, Service, Sql


@pytest.fixture
async def owner(client: Client, first: dict[str, str]) -> Administrator:
    return await administrator(client, first["admin_key"])


async def new_user(owner: Administrator, email: str = "b@example.com", role: str = "reader") -> str:
    invite = (await owner("CreateInvite", email=email, role=role)).invite
    return str((await owner("AcceptInvite", invite_id=invite.id, name="B")).user.id)


async def test_a_project_is_made_renamed_and_archived(owner: Administrator, first: dict[str, str]) -> None:
    made = (await owner("CreateProject", name="Second")).project
    assert re.fullmatch(r"proj_[0-9a-f]{32}", made.id)
    assert not made.HasField("archive_time")
    renamed = await owner(
        "UpdateProject", project_id=made.id, name="New", moderation_policy=auth_pb2.MODERATION_POLICY_REQUIRED
    )
    assert (renamed.project.name, renamed.project.create_time) == ("New", made.create_time)
    assert (await owner("GetProject", project_id=made.id)).project == renamed.project
    archived = (await owner("ArchiveProject", project_id=made.id)).project
    assert archived.HasField("archive_time")
    assert (await owner("ArchiveProject", project_id=made.id)).project == archived
    assert await owner.reason("UpdateProject", project_id=made.id, name="x") is Reason.OBJECT_CONFLICT
    assert [each.id for each in (await owner("ListProjects")).projects] == [first["project_id"]]
    assert len((await owner("ListProjects", include_archived=True)).projects) == 2


async def test_archiving_a_project_ends_its_keys(owner: Administrator, client: Client) -> None:
    project = (await owner("CreateProject", name="P")).project
    key = (await owner("CreateProjectKey", project_id=project.id, name="k")).key
    assert await works(client, key)
    await owner("ArchiveProject", project_id=project.id)
    assert not await works(client, key)
    assert await owner.reason("CreateProjectKey", project_id=project.id, name="k") is Reason.OBJECT_CONFLICT


async def test_lists_come_in_parts_both_ways(owner: Administrator) -> None:
    for number in range(5):
        await owner("CreateProject", name=str(number))
    everything = [each.id for each in (await owner("ListProjects")).projects]
    assert len(everything) == 6
    for order, expected in (
        (actor_pb2.PAGE_ORDER_ASCENDING, everything),
        (actor_pb2.PAGE_ORDER_DESCENDING, everything[::-1]),
    ):
        seen: list[str] = []
        more = True
        while more:
            page = actor_pb2.Page(limit=4, after=seen[-1] if seen else "", order=order)
            answer = await owner("ListProjects", page=page)
            seen += [each.id for each in answer.projects]
            more = answer.has_more
        assert seen == expected
    before = await owner("ListProjects", page=actor_pb2.Page(limit=2, before=everything[3]))
    assert ([each.id for each in before.projects], before.has_more) == (everything[1:3], True)
    for page in (actor_pb2.Page(limit=1001), actor_pb2.Page(limit=-1), actor_pb2.Page(after="a", before="b")):
        assert await owner.reason("ListProjects", page=page) is Reason.INVALID_ARGUMENT


async def test_models_are_permitted_by_list(owner: Administrator, client: Client, first: dict[str, str]) -> None:
    project_id = first["project_id"]
    assert (await owner("GetModelPermissions", project_id=project_id)).permissions.mode == ""
    for mode in ("allow_list", "deny_list"):
        wanted = {"mode": mode, "models": ["a", "b"]}
        set_now = (await owner("SetModelPermissions", project_id=project_id, permissions=wanted)).permissions
        assert (await owner("GetModelPermissions", project_id=project_id)).permissions == set_now
        principal = await client.authenticate(first["api_key"])
        lists = (list(principal.allowed_models), list(principal.denied_models))
        assert lists == ((["a", "b"], []) if mode == "allow_list" else ([], ["a", "b"]))
    empty = {"mode": "allow_list", "models": []}
    refused = await owner.refused("SetModelPermissions", project_id=project_id, permissions=empty)
    assert refused.metadata["param"] == "permissions.models"
    await owner("ClearModelPermissions", project_id=project_id)
    assert not (await client.authenticate(first["api_key"])).denied_models


async def test_a_service_account_comes_with_a_key_and_takes_its_keys_along(
    owner: Administrator, client: Client, first: dict[str, str]
) -> None:
    project_id = first["project_id"]
    made = await owner("CreateServiceAccount", project_id=project_id, name="CI")
    account = made.service_account
    assert (account.role, made.key[:11]) == ("member", "sk-svcacct-")
    assert (made.api_key.owner.id, made.api_key.owner.service_account, made.api_key.owner.active) == (
        account.id,
        True,
        True,
    )
    more = await owner(
        "CreateServiceAccountKey",
        project_id=project_id,
        service_account_id=account.id,
        restrictions={"scopes": ["model.request"]},
    )
    principal = await client.authenticate(more.key)
    assert (principal.kind, principal.role, list(principal.scopes)) == (
        auth_pb2.KEY_KIND_SERVICE_ACCOUNT,
        "member",
        ["model.request"],
    )
    await owner("UpdateServiceAccount", project_id=project_id, service_account_id=account.id, role="none")
    assert not await works(client, made.key)
    listed = await owner("ListProjectKeys", project_id=project_id, owner_project_access="inactive")
    assert {key.id for key in listed.api_keys} == {made.api_key.id, more.api_key.id}
    await owner("UpdateServiceAccount", project_id=project_id, service_account_id=account.id, role="owner", name="CD")
    assert await works(client, made.key)
    await owner("DeleteServiceAccount", project_id=project_id, service_account_id=account.id)
    assert not await works(client, made.key)
    assert not await works(client, more.key)
    gone = await owner.reason("GetServiceAccount", project_id=project_id, service_account_id=account.id)
    assert gone is Reason.OBJECT_NOT_FOUND
    assert not (await owner("ListServiceAccounts", project_id=project_id)).service_accounts
    bare = await owner("CreateServiceAccount", project_id=project_id, name="x", without_key=True)
    assert (bare.key, bare.service_account.role, bare.HasField("api_key")) == ("", "none", False)


async def test_a_key_carries_its_restrictions(owner: Administrator, client: Client, first: dict[str, str]) -> None:
    restrictions: dict[str, Any] = {
        "scopes": ["model.request", "api.files.read"],
        "allowed_models": ["m"],
        "allowed_ips": ["10.1.2.3/8", "2001:db8::1"],
        "rate_limits": [{"requests_per_minute": 3, "concurrent_requests": 1, "burst_percent": 50}],
    }
    made = await owner("CreateProjectKey", project_id=first["project_id"], name="k", restrictions=restrictions)
    assert made.api_key.redacted == keys.redact(made.key)
    principal = await client.authenticate(made.key)
    assert list(principal.scopes) == ["model.request", "api.files.read"]
    assert list(principal.allowed_models) == ["m"]
    assert list(principal.allowed_ips) == ["10.0.0.0/8", "2001:db8::1/128"]
    limit = principal.rate_limits[-1]
    assert (limit.scope, limit.requests_per_minute, limit.concurrent_requests, limit.burst_percent) == (
        auth_pb2.LIMIT_SCOPE_KEY,
        3,
        1,
        50,
    )
    fetched = await owner("GetProjectKey", project_id=first["project_id"], key_id=made.api_key.id)
    assert fetched.api_key == made.api_key
    changed = await owner(
        "UpdateProjectKey", project_id=first["project_id"], key_id=made.api_key.id, restrictions={"scopes": ["*"]}
    )
    assert changed.api_key.name == "k"
    principal = await client.authenticate(made.key)
    assert (list(principal.scopes), list(principal.allowed_models), len(principal.rate_limits)) == (["*"], [], 1)


@pytest.mark.parametrize(
    ("param", "restrictions"),
    [
        ("restrictions.scopes", {"scopes": ["No Scope"]}),
        ("restrictions.scopes", {"scopes": ["a"] * 65}),
        ("restrictions.allowed_models", {"allowed_models": ["a\0"]}),
        ("restrictions.allowed_ips", {"allowed_ips": ["10.0.0.0/33"]}),
        ("restrictions.rate_limits", {"rate_limits": [{"requests_per_minute": -1}]}),
        ("restrictions.rate_limits", {"rate_limits": [{"burst_percent": 101}]}),
        ("restrictions.rate_limits", {"rate_limits": [{"model": "a"}, {"model": "a"}]}),
        ("restrictions.expire_time", {"expire_time": {"seconds": 1}}),
        ("restrictions.expire_time", {"expire_time": {"seconds": 300_000_000_000}}),
    ],
)
async def test_restrictions_that_cannot_be_are_refused(
    owner: Administrator, first: dict[str, str], param: str, restrictions: dict[str, Any]
) -> None:
    refused = await owner.refused(
        "CreateProjectKey", project_id=first["project_id"], name="k", restrictions=restrictions
    )
    assert (refused.reason, refused.metadata["param"]) == (Reason.INVALID_ARGUMENT, param)


async def test_a_key_is_followed_by_another_with_an_overlap(
    settings: Settings, first: dict[str, str], service: Service
) -> None:
    clock = ManualClock()
    async with service(settings, clock) as client:
        owner = await administrator(client, first["admin_key"])
        where = {"project_id": first["project_id"]}
        old = await owner("CreateProjectKey", **where, name="k", restrictions={"scopes": ["model.request"]})
        new = await owner("RotateProjectKey", **where, key_id=old.api_key.id, overlap=Duration(seconds=60))
        assert (new.api_key.name, new.api_key.restrictions) == ("k", old.api_key.restrictions)
        await clock.advance(59)
        assert await works(client, old.key)
        assert await works(client, new.key)
        await clock.advance(1)
        assert not await works(client, old.key)
        newest = await owner("RotateProjectKey", **where, key_id=new.api_key.id)
        assert not await works(client, new.key)
        assert await works(client, newest.key)
        ended = await owner.reason("RotateProjectKey", **where, key_id=new.api_key.id)
        assert ended is Reason.OBJECT_NOT_FOUND
        too_long = await owner.reason(
            "RotateProjectKey", **where, key_id=newest.api_key.id, overlap=Duration(seconds=31 * 86400)
        )
        assert too_long is Reason.INVALID_ARGUMENT


async def test_a_deleted_key_is_gone(owner: Administrator, client: Client, first: dict[str, str]) -> None:
    made = await owner("CreateProjectKey", project_id=first["project_id"], name="k")
    await owner("DeleteProjectKey", project_id=first["project_id"], key_id=made.api_key.id)
    assert not await works(client, made.key)
    for method in ("GetProjectKey", "DeleteProjectKey"):
        again = await owner.reason(method, project_id=first["project_id"], key_id=made.api_key.id)
        assert again is Reason.OBJECT_NOT_FOUND


async def test_the_last_use_of_a_key_is_told(settings: Settings, first: dict[str, str], service: Service) -> None:
    async with service(settings) as client:
        await client.authenticate(first["api_key"])
    async with service(settings) as client:
        owner = await administrator(client, first["admin_key"])
        [key] = (await owner("ListProjectKeys", project_id=first["project_id"])).api_keys
        assert key.HasField("last_use_time")
        [user] = (await owner("ListUsers")).users
        assert user.HasField("key_last_use_time")


async def test_an_invite_becomes_a_user_and_a_member(owner: Administrator, first: dict[str, str]) -> None:
    invite = (
        await owner(
            "CreateInvite",
            email="b@example.com",
            role="reader",
            projects=[{"id": first["project_id"], "role": "member"}],
        )
    ).invite
    assert (invite.status, invite.projects[0].role) == ("pending", "member")
    user = (await owner("AcceptInvite", invite_id=invite.id, name="Bea")).user
    assert (user.email, user.name, user.role) == ("b@example.com", "Bea", "reader")
    accepted = (await owner("GetInvite", invite_id=invite.id)).invite
    assert (accepted.status, accepted.user_id) == ("accepted", user.id)
    members = (await owner("ListProjectUsers", project_id=first["project_id"])).users
    assert [(member.id, member.role) for member in members] == [(user.id, "member")]
    for method in ("AcceptInvite", "DeleteInvite"):
        assert await owner.reason(method, invite_id=invite.id) is Reason.OBJECT_CONFLICT
    taken = await owner.reason("CreateInvite", email="B@Example.com", role="reader")
    assert taken is Reason.OBJECT_CONFLICT
    [found] = (await owner("ListUsers", emails=["B@EXAMPLE.com"])).users
    assert found == user


async def test_an_invite_ends_by_time_or_by_being_taken_back(
    settings: Settings, first: dict[str, str], service: Service
) -> None:
    clock = ManualClock()
    async with service(settings, clock) as client:
        owner = await administrator(client, first["admin_key"])
        invite = (await owner("CreateInvite", email="b@example.com", role="reader")).invite
        await clock.advance(7 * 86400)
        [listed] = (await owner("ListInvites")).invites
        assert listed.status == "expired"
        assert await owner.reason("AcceptInvite", invite_id=invite.id) is Reason.OBJECT_CONFLICT
        await owner("DeleteInvite", invite_id=invite.id)
        assert await owner.reason("GetInvite", invite_id=invite.id) is Reason.OBJECT_NOT_FOUND


async def test_members_come_and_go_and_their_keys_with_them(
    owner: Administrator, client: Client, first: dict[str, str]
) -> None:
    user_id = await new_user(owner)
    where = {"project_id": first["project_id"]}
    assert await owner.reason("CreateProjectKey", **where, user_id=user_id, name="k") is Reason.OBJECT_NOT_FOUND
    await owner("AddProjectUser", **where, email="B@example.com", role="member")
    assert await owner.reason("AddProjectUser", **where, user_id=user_id, role="owner") is Reason.OBJECT_CONFLICT
    made = await owner("CreateProjectKey", **where, user_id=user_id, name="k")
    assert (await client.authenticate(made.key)).role == "member"
    await owner("UpdateProjectUser", **where, user_id=user_id, role="owner")
    assert (await client.authenticate(made.key)).role == "owner"
    await owner("RemoveProjectUser", **where, user_id=user_id)
    assert not await works(client, made.key)
    key = (await owner("GetProjectKey", **where, key_id=made.api_key.id)).api_key
    assert not key.owner.active
    for method in ("GetProjectUser", "RemoveProjectUser"):
        assert await owner.reason(method, **where, user_id=user_id) is Reason.OBJECT_NOT_FOUND


async def test_a_user_who_is_disabled_or_taken_out_takes_their_keys_along(
    owner: Administrator, client: Client, first: dict[str, str]
) -> None:
    user_id = await new_user(owner)
    where = {"project_id": first["project_id"]}
    await owner("AddProjectUser", **where, user_id=user_id, role="member")
    key = (await owner("CreateProjectKey", **where, user_id=user_id, name="k")).key
    admin = (await owner("CreateAdminKey", name="a", user_id=user_id)).key
    await owner("UpdateUser", user_id=user_id, disabled=True)
    assert [await works(client, each) for each in (key, admin)] == [False, False]
    assert (await owner("UpdateUser", user_id=user_id, disabled=False)).user.disabled is False
    assert [await works(client, each) for each in (key, admin)] == [True, True]
    await owner("DeleteUser", user_id=user_id)
    assert [await works(client, each) for each in (key, admin)] == [False, False]
    assert await owner.reason("GetUser", user_id=user_id) is Reason.OBJECT_NOT_FOUND
    again = await new_user(owner)
    assert again != user_id
    assert not await works(client, key)


async def test_one_owner_stays(owner: Administrator, first: dict[str, str]) -> None:
    alone: list[dict[str, Any]] = [{"role": "reader"}, {"disabled": True}]
    for fields in alone:
        assert await owner.reason("UpdateUser", user_id=first["user_id"], **fields) is Reason.OBJECT_CONFLICT
    assert await owner.reason("DeleteUser", user_id=first["user_id"]) is Reason.OBJECT_CONFLICT
    await new_user(owner, role="owner")
    assert (await owner("UpdateUser", user_id=first["user_id"], role="reader")).user.role == "reader"


async def test_a_group_gives_its_users_a_role_in_a_project(
    owner: Administrator, client: Client, first: dict[str, str]
) -> None:
    user_id = await new_user(owner)
    where = {"project_id": first["project_id"]}
    group = (await owner("CreateGroup", name="Team")).group
    await owner("AddProjectGroup", **where, group_id=group.id, role_id="role-project-member")
    await owner("AddGroupUser", group_id=group.id, user_id=user_id)
    await owner("AddGroupUser", group_id=group.id, user_id=user_id)
    assert (await owner("GetGroup", group_id=group.id)).group.member_count == 1
    assert [user.id for user in (await owner("ListGroupUsers", group_id=group.id)).users] == [user_id]
    assert (await owner("GetGroupUser", group_id=group.id, user_id=user_id)).user.email == "b@example.com"
    made = await owner("CreateProjectKey", **where, user_id=user_id, name="k")
    assert await works(client, made.key)
    await owner("RemoveGroupUser", group_id=group.id, user_id=user_id)
    assert not await works(client, made.key)
    await owner("AddGroupUser", group_id=group.id, user_id=user_id)
    assert await works(client, made.key)
    await owner("RemoveProjectGroup", **where, group_id=group.id)
    assert not await works(client, made.key)
    await owner("AddProjectGroup", **where, group_id=group.id, role_id="role-project-owner")
    [listed] = (await owner("ListProjectGroups", **where)).groups
    assert (listed.group_name, listed.role_id) == ("Team", "role-project-owner")
    assert (await owner("GetProjectGroup", **where, group_id=group.id)).group == listed
    await owner("UpdateGroup", group_id=group.id, name="Crew")
    assert [each.name for each in (await owner("ListGroups")).groups] == ["Crew"]
    await owner("DeleteGroup", group_id=group.id)
    assert not await works(client, made.key)


async def test_a_role_gives_what_it_names(owner: Administrator, client: Client, first: dict[str, str]) -> None:
    user_id = await new_user(owner)
    where, who = {"project_id": first["project_id"]}, {"grantee": roles_pb2.Grantee(user_id=user_id)}
    role = (await owner("CreateRole", **where, name="Asker", permissions=["model.request", "api.files.read"])).role
    given = (await owner("AssignRole", **where, **who, role_id=role.id)).assignment
    assert (await owner("AssignRole", **where, **who, role_id=role.id)).assignment == given
    [listed] = (await owner("ListRoleAssignments", **where, **who)).assignments
    assert listed == given == (await owner("GetRoleAssignment", **where, **who, role_id=role.id)).assignment
    made = await owner(
        "CreateProjectKey",
        **where,
        user_id=user_id,
        name="k",
        restrictions={"scopes": ["model.request", "api.files.write"]},
    )
    everything = await owner("CreateProjectKey", **where, user_id=user_id, name="all")
    assert list((await client.authenticate(made.key)).scopes) == ["model.request"]
    assert list((await client.authenticate(everything.key)).scopes) == ["api.files.read", "model.request"]
    await owner("UpdateRole", **where, role_id=role.id, permissions=["api.files.write"], description="d")
    assert list((await client.authenticate(made.key)).scopes) == ["api.files.write"]
    await owner("UnassignRole", **where, **who, role_id=role.id)
    assert not await works(client, made.key)
    await owner("AssignRole", **where, **who, role_id=role.id)
    await owner("DeleteRole", **where, role_id=role.id)
    assert not await works(client, made.key)
    assert await owner.reason("GetRole", **where, role_id=role.id) is Reason.OBJECT_NOT_FOUND


async def test_roles_of_the_organisation_and_of_projects_are_apart(owner: Administrator, first: dict[str, str]) -> None:
    where = {"project_id": first["project_id"]}
    project_roles = {role.id for role in (await owner("ListRoles", **where)).roles}
    assert project_roles == {"role-project-owner", "role-project-member"}
    everywhere = {role.id for role in (await owner("ListRoles")).roles}
    assert everywhere == {"role-organization-owner", "role-organization-reader"}
    made = (await owner("CreateRole", name="Auditor", permissions=["api.audit_logs.read"])).role
    assert (made.resource_type, made.predefined) == ("api.organization", False)
    assert await owner.reason("GetRole", **where, role_id=made.id) is Reason.OBJECT_NOT_FOUND
    assert await owner.reason("CreateRole", name="Auditor", permissions=["a"]) is Reason.OBJECT_CONFLICT
    assert await owner.reason("DeleteRole", role_id="role-organization-owner") is Reason.OBJECT_CONFLICT
    grantees: list[Any] = [{}, {"user_id": "user-1", "group_id": "group_1"}]
    for grantee in grantees:
        assert await owner.reason("AssignRole", grantee=grantee, role_id=made.id) is Reason.INVALID_ARGUMENT


async def test_a_projects_numbers_are_shown_for_each_model_and_set_one_by_one(
    owner: Administrator, client: Client, first: dict[str, str]
) -> None:
    where = {"project_id": first["project_id"]}
    tier = TIERS["local"]
    listed = (await owner("ListProjectRateLimits", **where, models=["m", "n"])).rate_limits
    assert [(each.id, each.inherited, each.limit.tokens_per_minute) for each in listed] == [
        ("rl-m", True, tier.tokens_per_minute),
        ("rl-n", True, tier.tokens_per_minute),
    ]
    changed = await owner(
        "UpdateProjectRateLimit",
        **where,
        rate_limit_id="rl-m",
        limit={"requests_per_minute": 5, "tokens_per_minute": 7},
        batch_day_max_input_tokens=9,
        update_mask=FieldMask(paths=["requests_per_minute", "batch_day_max_input_tokens"]),
    )
    assert changed.rate_limit.limit.requests_per_minute == 5
    assert changed.rate_limit.limit.tokens_per_minute == tier.tokens_per_minute
    assert changed.rate_limit.batch_day_max_input_tokens == 9
    limit = (await client.authenticate(first["api_key"])).rate_limits[-1]
    assert (limit.model, limit.requests_per_minute, limit.HasField("tokens_per_minute")) == ("m", 5, False)
    await owner(
        "UpdateProjectRateLimit",
        **where,
        rate_limit_id="rl-m",
        limit={"shadow": True},
        update_mask=FieldMask(paths=["shadow", "requests_per_minute"]),
    )
    limit = (await client.authenticate(first["api_key"])).rate_limits[-1]
    assert (limit.shadow, limit.HasField("requests_per_minute")) == (True, False)
    page = actor_pb2.Page(limit=1, after="rl-m")
    after = await owner("ListProjectRateLimits", **where, models=["m", "n", "o"], page=page)
    assert ([each.id for each in after.rate_limits], after.has_more) == (["rl-n"], True)
    await owner("DeleteProjectRateLimit", **where, rate_limit_id="rl-m")
    assert len((await client.authenticate(first["api_key"])).rate_limits) == 1
    for fields in ({"rate_limit_id": "m"}, {"rate_limit_id": "rl-m", "update_mask": FieldMask(paths=["model"])}):
        assert await owner.reason("UpdateProjectRateLimit", **where, **fields) is Reason.INVALID_ARGUMENT


async def test_an_operator_makes_organisations_and_replaces_what_a_tier_allows(
    owner: Administrator, client: Client, first: dict[str, str]
) -> None:
    made = await owner("CreateOrganization", name="Other", tier="1", owner_email="o@example.com")
    other_id = made.organization.id
    other = await administrator(client, made.key)
    assert other.organization_id == other_id
    assert not made.admin_key.operator
    assert [each.id for each in (await owner("ListOrganizations")).organizations] == [
        first["organization_id"],
        other_id,
    ]
    assert (await owner("GetOrganization", organization_id=other_id)).organization.tier == "1"
    assert (await other("GetOrganization")).organization.id == other_id
    project = (await other("CreateProject", name="P")).project
    key = (await other("CreateProjectKey", project_id=project.id, name="k")).key
    assert (await client.authenticate(key)).rate_limits[0].requests_per_day == TIERS["1"].requests_per_day
    await owner("UpdateOrganization", organization_id=other_id, tier="2", name="Renamed")
    [limit] = (await client.authenticate(key)).rate_limits
    assert limit.requests_per_minute == TIERS["2"].requests_per_minute
    await owner(
        "UpdateOrganizationRateLimit",
        organization_id=other_id,
        rate_limit_id="rl-",
        limit={"requests_per_minute": 1},
        update_mask=FieldMask(paths=["requests_per_minute"]),
    )
    [limit] = (await client.authenticate(key)).rate_limits
    assert (limit.requests_per_minute, limit.tokens_per_minute) == (1, TIERS["2"].tokens_per_minute)
    [shown] = (await other("ListOrganizationRateLimits")).rate_limits
    assert shown.limit == limit
    await owner("DeleteOrganizationRateLimit", organization_id=other_id, rate_limit_id="rl-")
    [limit] = (await client.authenticate(key)).rate_limits
    assert limit.requests_per_minute == TIERS["2"].requests_per_minute
    refused = await other.refused("ListOrganizations")
    assert (refused.reason, refused.metadata["scope"]) == (Reason.PERMISSION_DENIED, "api.organization.read")
    foreign = await other.reason("GetOrganization", organization_id=first["organization_id"])
    assert foreign is Reason.PERMISSION_DENIED
    assert await owner.reason("GetOrganization", organization_id="org-none") is Reason.OBJECT_NOT_FOUND


async def test_an_admin_key_is_shown_once_and_ended(owner: Administrator, client: Client, sql: Sql) -> None:
    made = await owner("CreateAdminKey", name="A", scopes=["api.projects.read"], allowed_ips=["192.0.2.1"])
    assert made.key.startswith("sk-admin-cap")
    principal = await client.authenticate(made.key)
    assert (principal.kind, principal.role, principal.project_id, principal.operator) == (
        auth_pb2.KEY_KIND_ADMIN,
        "owner",
        "",
        False,
    )
    assert (list(principal.scopes), list(principal.allowed_ips)) == (["api.projects.read"], ["192.0.2.1/32"])
    assert (await owner("GetAdminKey", key_id=made.admin_key.id)).admin_key == made.admin_key
    assert made.key not in str(await owner("ListAdminKeys"))
    narrow = await administrator(client, made.key)
    await narrow("ListProjects")
    assert await narrow.reason("CreateProject", name="x") is Reason.PERMISSION_DENIED
    await owner("DeleteAdminKey", key_id=made.admin_key.id)
    assert not await works(client, made.key)
    assert await narrow.reason("ListProjects") is Reason.KEY_INVALID


async def test_every_change_is_in_the_log_with_who_made_it(
    owner: Administrator, first: dict[str, str], sql: Sql
) -> None:
    project = (await owner("CreateProject", name="Logged")).project
    made = await owner("CreateProjectKey", project_id=project.id, name="k", restrictions={"scopes": ["model.request"]})
    answer = await owner("ListAuditLogs", page=actor_pb2.Page(limit=2))
    newest, older = answer.entries
    assert answer.has_more
    assert (newest.type, older.type) == ("api_key.created", "project.created")
    assert json.loads(newest.details) == {"id": made.api_key.id, "data": {"scopes": ["model.request"]}}
    assert (newest.actor.key_id, newest.actor.user_id) == (owner.key_id, first["user_id"])
    assert (newest.actor.ip_address, newest.actor.request_id) == ("192.0.2.7", "req_1")
    assert (newest.project_id, newest.project_name) == (project.id, "Logged")
    assert made.key not in str(answer)
    filters: list[dict[str, Any]] = [
        {"types": ["project.created"], "project_ids": [project.id]},
        {"object_ids": [project.id]},
        {"actor_ids": [first["user_id"]], "types": ["project.created"]},
        {"from_time": older.effective_time, "until_time": older.effective_time},
    ]
    for fields in filters:
        found = (await owner("ListAuditLogs", **fields)).entries
        assert [entry.id for entry in found] == [older.id], fields
    assert not (await owner("ListAuditLogs", after_time=newest.effective_time)).entries
    assert not (await owner("ListAuditLogs", actor_emails=["nobody@example.com"])).entries
    first_start = (await owner("ListAuditLogs", page=actor_pb2.Page(order=actor_pb2.PAGE_ORDER_ASCENDING))).entries[0]
    assert (first_start.actor.key_id, first_start.actor.user_id) == ("", "")
