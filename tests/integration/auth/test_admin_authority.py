"""Nobody does, and nobody gives away, what they may not: rights are judged at the moment of use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.clock import ManualClock
from chassis.errors import CapstanError, Reason
from services.auth.settings import Settings

from .administrator import Administrator, administrator, works
from .conftest import Client, Service

Fields = dict[str, Any]


@dataclass
class Town:
    """An organisation whose owner makes people with whatever rights a test needs."""

    client: Client
    owner: Administrator
    owner_id: str
    project_id: str
    people: int = 0

    async def person(
        self, permissions: Sequence[str] = (), project_role: str = "", project_permissions: Sequence[str] = ()
    ) -> tuple[str, Administrator]:
        """A reader with more permissions, and their admin key."""
        self.people += 1
        invite = (await self.owner("CreateInvite", email=f"{self.people}@example.com", role="reader")).invite
        user_id = (await self.owner("AcceptInvite", invite_id=invite.id)).user.id
        where = {"project_id": self.project_id}
        if project_role:
            await self.owner("AddProjectUser", **where, user_id=user_id, role=project_role)
        for place, given in (({}, permissions), (where, project_permissions)):
            if given:
                name = f"role {self.people}"
                role = (await self.owner("CreateRole", **place, name=name, permissions=given)).role
                await self.owner("AssignRole", **place, grantee={"user_id": user_id}, role_id=role.id)
        key = (await self.owner("CreateAdminKey", name="k", user_id=user_id)).key
        return user_id, await administrator(self.client, key)


@pytest.fixture
async def town(client: Client, first: dict[str, str]) -> Town:
    owner = await administrator(client, first["admin_key"])
    return Town(client, owner, first["user_id"], first["project_id"])


async def denied(who: Administrator, method: str, **fields: Any) -> str:
    """What is missing."""
    refused = await who.refused(method, **fields)
    assert refused.reason is Reason.PERMISSION_DENIED, refused
    return refused.metadata["scope"]


async def test_a_reader_sees_everything_and_changes_nothing(town: Town) -> None:
    _, reader = await town.person()
    await reader("ListProjects")
    await reader("ListAuditLogs")
    assert await denied(reader, "CreateProject", name="x") == "api.projects.write"
    assert await denied(reader, "DeleteUser", user_id=town.owner_id) == "api.users.write"
    assert await denied(reader, "CreateAdminKey", name="x") == "api.admin_api_keys.write"
    assert await denied(reader, "CreateOrganization", name="x") == "api.organization.write"


async def test_a_projects_owner_rules_the_project_and_no_other(town: Town) -> None:
    other = (await town.owner("CreateProject", name="Other")).project.id
    user_id, ruler = await town.person(project_role="owner")
    where = {"project_id": town.project_id}
    made = await ruler("CreateProjectKey", **where, name="mine")
    assert made.api_key.owner.id == user_id
    await ruler("CreateServiceAccount", **where, name="CI")
    await ruler("UpdateProject", **where, name="Renamed")
    await ruler("CreateRole", **where, name="r", permissions=["model.request"])
    await ruler("AddProjectUser", **where, user_id=town.owner_id, role="owner")
    assert await denied(ruler, "UpdateProject", project_id=other, name="x") == "api.projects.write"
    assert await denied(ruler, "UpdateProject", project_id="proj_none", name="x") == "api.projects.write"
    assert await denied(ruler, "CreateServiceAccount", project_id=other, name="x") == "api.service_accounts.write"
    assert await denied(ruler, "CreateProject", name="x") == "api.projects.write"
    assert await denied(ruler, "CreateRole", name="r", permissions=["model.request"]) == "api.roles.write"


async def test_a_members_right_to_keys_is_no_right_to_an_owners_key(town: Town) -> None:
    where = {"project_id": town.project_id}
    owners = await town.owner("CreateProjectKey", **where, name="owner's")
    _, member = await town.person(project_role="member", project_permissions=["api.api_keys.write"])
    await member("CreateProjectKey", **where, name="mine")
    key = {"key_id": owners.api_key.id}
    await denied(member, "RotateProjectKey", **where, **key)
    await denied(member, "UpdateProjectKey", **where, **key, restrictions={})
    await denied(member, "CreateProjectKey", **where, user_id=town.owner_id, name="x")
    await member("DeleteProjectKey", **where, **key)


async def test_a_key_of_a_service_account_is_no_way_to_what_a_role_lets_it_do(town: Town) -> None:
    where = {"project_id": town.project_id}
    account = (await town.owner("CreateServiceAccount", **where, name="CI", without_key=True)).service_account
    role = (await town.owner("CreateRole", **where, name="uses", permissions=["model.request"])).role
    await town.owner("AssignRole", **where, grantee={"user_id": account.id}, role_id=role.id)
    _, clerk = await town.person(project_permissions=["api.api_keys.write"])
    refused = await clerk.reason("CreateServiceAccountKey", **where, service_account_id=account.id)
    assert refused is Reason.PERMISSION_DENIED
    made = await town.owner("CreateServiceAccountKey", **where, service_account_id=account.id)
    assert await works(town.client, made.key)


async def test_whoever_may_change_users_makes_nobody_greater_than_themselves(town: Town) -> None:
    user_id, clerk = await town.person(permissions=["api.users.write", "api.invites.write", "api.admin_api_keys.write"])
    for fields in ({"user_id": user_id, "role": "owner"}, {"user_id": town.owner_id, "role": "reader"}):
        await denied(clerk, "UpdateUser", **fields)
    await denied(clerk, "DeleteUser", user_id=town.owner_id)
    await denied(clerk, "CreateInvite", email="x@example.com", role="owner")
    invite = (await town.owner("CreateInvite", email="y@example.com", role="owner")).invite
    await denied(clerk, "AcceptInvite", invite_id=invite.id)
    projects = [{"id": town.project_id, "role": "member"}]
    await denied(clerk, "CreateInvite", email="x@example.com", role="reader", projects=projects)
    await denied(clerk, "CreateAdminKey", name="x", user_id=town.owner_id)
    await denied(clerk, "DeleteAdminKey", key_id=town.owner.key_id)
    fresh = (await clerk("CreateInvite", email="z@example.com", role="reader")).invite
    assert (await clerk("AcceptInvite", invite_id=fresh.id)).user.role == "reader"
    await clerk("DeleteUser", user_id=(await town.person())[0])


async def test_whoever_may_change_roles_and_groups_gives_only_what_they_have(town: Town) -> None:
    user_id, clerk = await town.person(permissions=["api.roles.write", "api.groups.write"])
    me = {"grantee": {"user_id": user_id}}
    await denied(clerk, "CreateRole", name="x", permissions=["api.users.write"])
    await denied(clerk, "AssignRole", **me, role_id="role-organization-owner")
    great = (await town.owner("CreateRole", name="great", permissions=["api.users.write"])).role.id
    for method, fields in (
        ("UpdateRole", {"permissions": ["api.groups.write"]}),
        ("DeleteRole", {}),
        ("AssignRole", me),
    ):
        await denied(clerk, method, role_id=great, **fields)
    await town.owner("AssignRole", grantee={"user_id": town.owner_id}, role_id=great)
    await denied(clerk, "UnassignRole", grantee={"user_id": town.owner_id}, role_id=great)
    small = (await clerk("CreateRole", name="small", permissions=["api.groups.write"])).role.id
    await denied(clerk, "UpdateRole", role_id=small, permissions=["api.users.write"])
    group = (await clerk("CreateGroup", name="g")).group.id
    await clerk("AddGroupUser", group_id=group, user_id=user_id)
    await clerk("RemoveGroupUser", group_id=group, user_id=user_id)
    await town.owner("AssignRole", grantee={"group_id": group}, role_id=great)
    await denied(clerk, "AddGroupUser", group_id=group, user_id=user_id)
    rulers = (await town.owner("CreateGroup", name="rulers")).group.id
    await town.owner("AddProjectGroup", project_id=town.project_id, group_id=rulers, role_id="role-project-owner")
    await denied(clerk, "AddGroupUser", group_id=rulers, user_id=user_id)


async def test_a_group_loses_no_role_in_a_project_to_whoever_has_less(town: Town) -> None:
    """As with roles that are assigned to it."""
    where = {"project_id": town.project_id}
    group = (await town.owner("CreateGroup", name="rulers")).group.id
    await town.owner("AddProjectGroup", **where, group_id=group, role_id="role-project-owner")
    _, clerk = await town.person(
        project_role="member", project_permissions=["api.project_groups.write", "api.project_roles.write"]
    )
    await denied(clerk, "AddProjectGroup", **where, group_id=group, role_id="role-project-member")
    await denied(clerk, "RemoveProjectGroup", **where, group_id=group)
    assert (await town.owner("GetProjectGroup", **where, group_id=group)).group.role_id == "role-project-owner"
    await town.owner("AddProjectGroup", **where, group_id=group, role_id="role-project-member")
    await clerk("RemoveProjectGroup", **where, group_id=group)


async def test_a_demoted_owners_keys_are_judged_by_what_is_left(town: Town) -> None:
    invite = (await town.owner("CreateInvite", email="o@example.com", role="owner")).invite
    user_id = (await town.owner("AcceptInvite", invite_id=invite.id)).user.id
    key = (await town.owner("CreateAdminKey", name="k", user_id=user_id)).key
    second = await administrator(town.client, key)
    project_key = (await second("CreateProjectKey", project_id=town.project_id, name="k")).key
    assert await works(town.client, project_key)
    await town.owner("UpdateUser", user_id=user_id, role="reader")
    assert (await town.client.authenticate(key)).role == "reader"
    await second("ListProjects")
    assert await denied(second, "CreateProject", name="x") == "api.projects.write"
    assert not await works(town.client, project_key)
    await town.owner("AddProjectUser", project_id=town.project_id, user_id=user_id, role="member")
    assert await works(town.client, project_key)
    await town.owner("UpdateUser", user_id=user_id, disabled=True)
    assert await second.reason("ListProjects") is Reason.KEY_INVALID


async def test_a_narrow_admin_key_makes_no_broader_one(town: Town) -> None:
    scopes = ["api.admin_api_keys.write", "api.api_keys.write", "api.users.read"]
    narrow = await administrator(town.client, (await town.owner("CreateAdminKey", name="n", scopes=scopes)).key)
    same = await narrow("CreateAdminKey", name="same")
    assert sorted(same.admin_key.scopes) == sorted(scopes)
    narrower = await narrow("CreateAdminKey", name="narrower", scopes=["api.users.read"])
    assert list(narrower.admin_key.scopes) == ["api.users.read"]
    for wanted in (["*"], ["api.users.write"]):
        await denied(narrow, "CreateAdminKey", name="x", scopes=wanted)
    await denied(narrow, "CreateProjectKey", project_id=town.project_id, name="x")


async def test_an_admin_key_ends_by_time(settings: Settings, first: dict[str, str], service: Service) -> None:
    clock = ManualClock()
    async with service(settings, clock) as client:
        owner = await administrator(client, first["admin_key"])
        soon = Timestamp(seconds=int(clock.now()) + 10)
        made = await owner("CreateAdminKey", name="k", expire_time=soon)
        brief = await administrator(client, made.key)
        await brief("ListProjects")
        await clock.advance(10)
        assert not await works(client, made.key)
        assert await brief.reason("ListProjects") is Reason.KEY_INVALID


async def test_a_refusal_leaves_nothing_behind(town: Town) -> None:
    before = len((await town.owner("ListAuditLogs")).entries)
    for fields in ({"role": "king"}, {"email": "x"}, {"role": "owner", "email": "x y@z"}):
        with pytest.raises(CapstanError):
            await town.owner("CreateInvite", **fields)
    assert len((await town.owner("ListAuditLogs")).entries) == before
    assert not (await town.owner("ListInvites")).invites


async def test_two_owners_who_take_each_other_out_at_once_leave_one(town: Town) -> None:
    invite = (await town.owner("CreateInvite", email="o@example.com", role="owner")).invite
    second_id = (await town.owner("AcceptInvite", invite_id=invite.id)).user.id
    key = (await town.owner("CreateAdminKey", name="k", user_id=second_id)).key
    second = await administrator(town.client, key)
    outcomes = await asyncio.gather(
        town.owner("DeleteUser", user_id=second_id),
        second("DeleteUser", user_id=town.owner_id),
        town.owner("UpdateUser", user_id=town.owner_id, role="reader"),
        return_exceptions=True,
    )
    failures = [outcome.reason for outcome in outcomes if isinstance(outcome, CapstanError)]
    assert len(failures) >= 1
    assert set(failures) <= {
        Reason.OBJECT_CONFLICT,
        Reason.PERMISSION_DENIED,
        Reason.OBJECT_NOT_FOUND,
        Reason.KEY_INVALID,
    }
    left = [who for who in (town.owner, second) if await _is_owner(who)]
    assert left


async def _is_owner(who: Administrator) -> bool:
    try:
        return bool(await who("CreateProject", name="still here"))
    except CapstanError as error:
        assert error.reason in (Reason.KEY_INVALID, Reason.PERMISSION_DENIED)  # noqa: PT017 - what a former owner is told
        return False


async def test_an_invite_that_two_accept_at_once_makes_one_user(town: Town) -> None:
    invite = (await town.owner("CreateInvite", email="o@example.com", role="reader")).invite
    outcomes = await asyncio.gather(
        *(town.owner("AcceptInvite", invite_id=invite.id) for _ in range(4)), return_exceptions=True
    )
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, CapstanError)]
    assert reasons == [Reason.OBJECT_CONFLICT] * 3
    assert len((await town.owner("ListUsers", emails=["o@example.com"])).users) == 1
